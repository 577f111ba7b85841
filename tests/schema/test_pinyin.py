"""What a cashier types finds the name that is meant."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.rules.pinyin import reading, search_key


@pytest.mark.parametrize(
    ("name", "initials", "full"),
    [
        ("可口可乐", "kkkl", "kekoukele"),
        ("重庆小面", "cqxm", "chongqingxiaomian"),
        ("中国银行", "zgyh", "zhongguoyinhang"),
        ("旅行装洗发水", "lxzxfs", "lvxingzhuangxifashui"),
        ("绿茶 500ml", "lc500ml", "lvcha500ml"),
        ("ＮＦＣ橙汁（1L）", "nfccz1l", "nfcchengzhi1l"),
        ("长沙臭豆腐", "cscdf", "changshachoudoufu"),
        ("番茄酱", "fqj", "fanqiejiang"),
        ("薄荷糖", "bht", "bohetang"),
        ("薄脆饼干", "bcbg", "baocuibinggan"),
        ("六安瓜片", "lagp", "luanguapian"),
        ("百事可乐-无糖", "bsklwt", "baishikelewutang"),
        ("", "", ""),
        ("™…", "tm", "tm"),
    ],
)
def test_a_name_is_found_by_initials_and_by_full_pinyin(name: str, initials: str, full: str) -> None:
    assert search_key(name) == (initials, full)


@given(st.text(max_size=60))
def test_keys_are_lower_case_ascii_without_spaces_for_any_text(name: str) -> None:
    key = search_key(name)
    assert (key.initials + key.full).isascii()
    assert key.initials == "" or key.initials.isalnum()
    assert key.full == key.full.lower()


def test_a_character_that_is_not_chinese_has_no_reading() -> None:
    assert reading("，") == ""
    assert reading("女") == "nv"


def test_twenty_thousand_names_take_less_than_a_second() -> None:
    reading("一")  # The table is loaded before the clock starts.
    names = [f"{chr(0x4E00 + i % 5000)}{chr(0x5000 + i * 7 % 9000)}牌红烧牛肉面 {i % 900}g" for i in range(20_000)]
    best = min(_seconds(names) for _ in range(2))
    assert best < 1


def _seconds(names: list[str]) -> float:
    started = time.perf_counter()
    for name in names:
        search_key(name)
    return time.perf_counter() - started
