"""Owns the search key of a Chinese name: pinyin initials and full pinyin, so that `kkkl` finds 可口可乐.

A till searches as the cashier types, and nobody types Chinese at a till. Readings come from pypinyin's table of
single characters, asked once per character; whole-phrase segmentation would be slower by orders of magnitude and
matters only where goods words use a rare reading, which a short list of words settles.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

_WORD_READINGS: dict[str, tuple[str, ...]] = {
    "重庆": ("chong", "qing"),
    "重阳": ("chong", "yang"),
    "长沙": ("chang", "sha"),
    "长城": ("chang", "cheng"),
    "长白": ("chang", "bai"),
    "厦门": ("xia", "men"),
    "番茄": ("fan", "qie"),
    "乐百氏": ("le", "bai", "shi"),
    "银行": ("yin", "hang"),
    "行货": ("hang", "huo"),
    "商行": ("shang", "hang"),
    "睡觉": ("shui", "jiao"),
    "模具": ("mu", "ju"),
    "弹力": ("tan", "li"),
    "便宜": ("pian", "yi"),
    "大夫": ("dai", "fu"),
    "都江堰": ("du", "jiang", "yan"),
    "成都": ("cheng", "du"),
    "首都": ("shou", "du"),
    "音乐": ("yin", "yue"),
    "单县": ("shan", "xian"),
    "洗发": ("xi", "fa"),
    "护发": ("hu", "fa"),
    "头发": ("tou", "fa"),
    "参茸": ("shen", "rong"),
    "人参": ("ren", "shen"),
    "海参": ("hai", "shen"),
    "西洋参": ("xi", "yang", "shen"),
    "豆瓣": ("dou", "ban"),
    "六安": ("lu", "an"),
    "铁观音": ("tie", "guan", "yin"),
    "蛤蜊": ("ge", "li"),
    "咖喱": ("ga", "li"),
    "咖啡": ("ka", "fei"),
    "薄荷": ("bo", "he"),
    "薄饼": ("bao", "bing"),
    "大麦": ("da", "mai"),
    "大大": ("da", "da"),
    "仔排": ("zi", "pai"),
    "调味": ("tiao", "wei"),
    "调和": ("tiao", "he"),
    "空调": ("kong", "tiao"),
    "露露": ("lu", "lu"),
    "呷哺": ("xia", "bu"),
    "冲泡": ("chong", "pao"),
    "朝鲜": ("chao", "xian"),
    "芥菜": ("jie", "cai"),
    "茄子": ("qie", "zi"),
    "血糯": ("xue", "nuo"),
    "扎啤": ("zha", "pi"),
    "提子": ("ti", "zi"),
    "奇异果": ("qi", "yi", "guo"),
    "柚子": ("you", "zi"),
    "车厘子": ("che", "li", "zi"),
}
"""Goods words whose characters are read otherwise than their commonest single reading."""

_CHARACTER_READINGS: dict[str, str] = {
    "长": "chang",
    "重": "zhong",
    "单": "dan",
    "调": "tiao",
    "茄": "qie",
    "盛": "sheng",
    "仔": "zai",
    "嘉": "jia",
    "乐": "le",
    "大": "da",
    "和": "he",
    "的": "de",
    "虾": "xia",
    "发": "fa",
    "干": "gan",
    "便": "bian",
    "会": "hui",
    "车": "che",
    "石": "shi",
    "都": "du",
    "给": "gei",
    "藏": "zang",
    "似": "si",
    "种": "zhong",
    "只": "zhi",
    "得": "de",
    "露": "lu",
    "薄": "bao",
    "伽": "jia",
    "葚": "shen",
    "椎": "zhui",
    "豉": "chi",
    "龈": "yin",
    "什": "shi",
    "蛤": "ge",
    "咖": "ka",
}
"""Single characters for which the table's first reading is not the one that goods' names use."""

_PIECES = re.compile("|".join(sorted(_WORD_READINGS, key=len, reverse=True)) + r"|[a-z0-9]+|.", re.DOTALL)
_ASCII_WORD = re.compile(r"[a-z0-9]+")


class SearchKey(NamedTuple):
    """What a name is found by, in lower-case ASCII: `kkkl` and `kekoukele`; ASCII words are kept in both."""

    initials: str
    full: str


@lru_cache(maxsize=1)
def _table() -> dict[int, str]:
    from pypinyin.constants import PINYIN_DICT  # Heavy: 42,000 readings, loaded when first asked.

    table: dict[int, str] = PINYIN_DICT
    return table


@lru_cache(maxsize=16_384)
def reading(character: str) -> str:
    """Return a Chinese character's usual reading without tone in ASCII (`ü` is `v`); empty for other characters."""
    known = _CHARACTER_READINGS.get(character)
    if known is not None:
        return known
    readings = _table().get(ord(character))
    if not readings:
        return ""
    plain = unicodedata.normalize("NFD", readings.split(",", 1)[0]).replace("u\u0308", "v")
    return "".join(letter for letter in plain if "a" <= letter <= "z")


@lru_cache(maxsize=4_096)
def _piece(piece: str) -> tuple[str, str]:
    if _ASCII_WORD.fullmatch(piece):
        return piece, piece
    readings = _WORD_READINGS.get(piece) or (reading(piece),)
    return "".join(r[:1] for r in readings), "".join(readings)


def search_key(name: str) -> SearchKey:
    """Return the initials and the full pinyin of a name; punctuation and spaces vanish, ASCII words stay."""
    pieces = [_piece(piece) for piece in _PIECES.findall(unicodedata.normalize("NFKC", name).lower())]
    return SearchKey("".join(p[0] for p in pieces), "".join(p[1] for p in pieces))


class SearchStarts(NamedTuple):
    """What a name is found by from every character on: of 可口可乐 `kkkl kkl kl l` and `kekoukele koukele kele le`."""

    initials: tuple[str, ...]
    full: tuple[str, ...]


INITIALS_MAX = 12
FULL_MAX = 20
"""Letters that a start keeps: nobody types more of one before looking at what was found."""


def search_starts(name: str) -> SearchStarts:
    """Return the starts of a name's initials and full pinyin, the whole name's first, cut to what people type."""
    readings: list[tuple[str, str]] = []
    for piece in _PIECES.findall(unicodedata.normalize("NFKC", name).lower()):
        if _ASCII_WORD.fullmatch(piece):
            readings.append((piece, piece))
        else:
            readings += [(full[0], full) for full in _WORD_READINGS.get(piece) or (reading(piece),) if full]
    initials, full = "".join(r[0] for r in readings), "".join(r[1] for r in readings)
    starts: list[str] = []
    full_starts: list[str] = []
    at = full_at = 0
    for short, long in readings:
        starts.append(initials[at : at + INITIALS_MAX])
        full_starts.append(full[full_at : full_at + FULL_MAX])
        at, full_at = at + len(short), full_at + len(long)
    return SearchStarts(tuple(starts), tuple(full_starts))
