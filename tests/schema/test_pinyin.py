"""What a cashier types finds the name that is meant."""

from __future__ import annotations

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


def test_a_character_is_looked_up_once_however_many_names_have_it() -> None:
    reading.cache_clear()
    names = [f"{chr(0x4E00 + i % 500)}{chr(0x5000 + i * 7 % 900)}牌红烧牛肉面 {i % 900}g" for i in range(20_000)]
    for name in names:
        search_key(name)
    assert reading.cache_info().misses <= len(set("".join(names)))
