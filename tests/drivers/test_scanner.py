"""Scans come whole out of any stream, and keys of a scanner are told from those of people and input methods."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import DeviceFault
from drivers.link import BackOff, Link, MemoryLink, link_from_address
from drivers.scanner import (
    DuplicateGuard,
    Scan,
    ScanFramer,
    SerialScanner,
    Wedge,
    WedgeDetector,
    WedgeVerdict,
    narrowed,
)
from drivers.simulated import SimulatedScanner
from tests.drivers.fault_links import Noise, OneByteAtATime, RandomLoss, WithDelays, eventually

EAN = "6901028075763"
CODES = st.lists(
    st.text("0123456789ABCxyz-./\x1d(", min_size=1, max_size=30).filter(lambda code: code.strip()), max_size=8
)
SUFFIXES = st.sampled_from([b"\r", b"\n", b"\r\n"])


def burst(detector: WedgeDetector, text: str, gaps: list[float], at_s: float = 100.0) -> list[WedgeVerdict]:
    """Press the keys of a text and Enter, each so long after the one before."""
    verdicts = []
    for key, gap in zip([*text, "enter"], [0.0, *gaps], strict=True):
        at_s += gap
        verdicts.append(detector.key(key, at_s))
    return verdicts


@given(CODES, SUFFIXES, st.data())
def test_any_chunking_gives_the_same_scans(codes: list[str], suffix: bytes, data: st.DataObject) -> None:
    stream = b"".join(code.encode() + suffix for code in codes)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    framer = ScanFramer()
    scans = [scan for start, end in pairwise([0, *cuts, len(stream)]) for scan in framer.feed(stream[start:end])]
    assert [scan.full for scan in scans] == [code.strip(" ") for code in codes]
    assert scans == ScanFramer().feed(stream)


@given(st.binary(max_size=400), st.data())
def test_noise_is_framed_the_same_in_any_portions_and_never_upsets(noise: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(noise)))
    parts = ScanFramer()
    assert parts.feed(noise[:cut]) + parts.feed(noise[cut:]) == ScanFramer().feed(noise)


@pytest.mark.parametrize(
    ("data", "scan"),
    [
        (b"]E06901028075763\r", Scan(EAN, "]E0")),
        (b"]C10106901028075763\x1d10AB\r\n", Scan("0106901028075763\x1d10AB", "]C1")),
        (b"\x02" + EAN.encode() + b"\x03\n", Scan(EAN)),
        ("]Q1https://example.invalid/可乐\r".encode(), Scan("https://example.invalid/可乐", "]Q1")),
        ("会员卡一二".encode("gb18030") + b"\r", Scan("会员卡一二")),
        (b" 12345678 \r", Scan("12345678")),
        (b"]X\r", Scan("]X")),
    ],
)
def test_a_frame_is_read_with_its_prefix_apart_and_its_separators_kept(data: bytes, scan: Scan) -> None:
    assert ScanFramer().feed(data) == [scan]
    assert scan.full.startswith(scan.aim)


def test_empty_frames_and_bare_prefixes_are_no_scans() -> None:
    assert ScanFramer().feed(b"\r\n\r\r\n  \r]E0\r\x00\r") == []


def test_a_frame_longer_than_any_code_is_dropped_whole_and_the_next_one_read() -> None:
    framer = ScanFramer(20)
    assert framer.feed(b"x" * 21 + b"\r123\r" + b"y" * 20 + b"\r") == [Scan("123"), Scan("y" * 20)]
    assert framer.dropped == 1


def test_a_code_held_under_the_scanner_counts_once_and_a_second_pass_counts_again() -> None:
    guard = DuplicateGuard(0.5)
    scan, other = Scan(EAN), Scan("1")
    assert [guard.admits(scan, at) for at in (0.0, 0.3, 0.6, 0.9, 1.5)] == [True, False, False, False, True]
    assert guard.admits(other, 1.6)
    assert guard.admits(scan, 1.7)
    assert all(DuplicateGuard(0).admits(scan, 0.0) for _ in range(3))


@given(st.text("0123456789ABC-", min_size=4, max_size=30), st.data())
def test_keys_under_30_ms_that_end_in_enter_are_a_scan(code: str, data: st.DataObject) -> None:
    gaps = data.draw(st.lists(st.floats(0, 0.0299), min_size=len(code), max_size=len(code)))
    verdict = burst(WedgeDetector(), code, gaps)[-1]
    assert verdict == WedgeVerdict(Wedge.SCANNED, Scan(code), len(code))


@given(st.text("0123456789ABC-", min_size=1, max_size=30), st.data())
def test_keys_over_80_ms_are_a_person(code: str, data: st.DataObject) -> None:
    gaps = data.draw(st.lists(st.floats(0.0801, 2), min_size=len(code), max_size=len(code)))
    assert {verdict.kind for verdict in burst(WedgeDetector(), code, gaps)} == {Wedge.TYPED}


def test_a_busy_machine_may_stretch_a_few_gaps_of_a_scan() -> None:
    gaps = [0.005] * len(EAN)
    gaps[3] = gaps[8] = 0.06
    assert burst(WedgeDetector(), EAN, gaps)[-1].kind is Wedge.SCANNED


def test_what_was_typed_before_a_scan_stays_typed() -> None:
    detector = WedgeDetector()
    detector.key("3", 10.0)
    detector.key("*", 10.2)
    verdict = burst(detector, EAN, [0.01] * 13, at_s=10.9)[-1]
    assert verdict == WedgeVerdict(Wedge.SCANNED, Scan(EAN), 13)


def test_a_second_enter_right_behind_a_scan_is_an_echo_and_a_later_one_a_person() -> None:
    detector = WedgeDetector()
    burst(detector, EAN, [0.0] * 13, at_s=10.0)
    assert detector.key("enter", 10.0).kind is Wedge.ECHO
    assert detector.key("ctrl+j", 10.02).kind is Wedge.ECHO
    assert detector.key("enter", 10.5).kind is Wedge.TYPED


def test_an_enter_behind_a_key_that_did_something_is_a_persons_however_soon_after_a_scan() -> None:
    detector = WedgeDetector()
    burst(detector, EAN, [0.0] * 13, at_s=10.0)
    detector.key("+", 10.02)
    detector.restart()
    assert detector.key("enter", 10.05).kind is Wedge.TYPED


def test_full_width_digits_of_an_input_method_are_the_digits() -> None:
    assert burst(WedgeDetector(), "６９０１０２８０７５７６３", [0.01] * 13)[-1].scan == Scan(EAN)
    assert narrowed("３＊　Ａ可") == "3* A可"


@pytest.mark.parametrize(
    "phrase", [["可口可乐"], list("可口可乐"), [EAN], ["6", "901可", "2", "3"], ["1", "left", "2", "3", "4"]]
)
def test_a_committed_phrase_or_a_moved_cursor_is_never_a_scan(phrase: list[str]) -> None:
    detector = WedgeDetector()
    verdicts = [detector.key(key, 10 + 0.005 * place) for place, key in enumerate([*phrase, "enter"])]
    assert {verdict.kind for verdict in verdicts} == {Wedge.TYPED}
    assert burst(detector, EAN, [0.01] * 13, at_s=20)[-1].kind is Wedge.SCANNED, "it spoils nothing that comes later"


def test_group_separators_arrive_from_a_terminal_as_a_key_of_their_own() -> None:
    detector = WedgeDetector()
    keys = [*"]C110AB", "ctrl+right_square_bracket", *"17261231", "enter"]
    verdict = [detector.key(key, place * 0.01) for place, key in enumerate(keys)][-1]
    assert verdict.scan == Scan("10AB\x1d17261231", "]C1")
    assert verdict.typed_length == len(keys) - 1


def test_a_short_run_is_no_scan_however_fast() -> None:
    assert burst(WedgeDetector(), "12", [0.001, 0.001])[-1].kind is Wedge.TYPED
    assert WedgeDetector().key("enter", 0.0).kind is Wedge.TYPED


@pytest.mark.parametrize("wrap", [OneByteAtATime, WithDelays, lambda link: link], ids=["one byte", "delays", "plain"])
def test_a_serial_scanner_is_heard_over_a_crooked_line(wrap: type) -> None:
    inner = MemoryLink()
    link: Link = wrap(inner)
    heard: list[Scan] = []
    scanner = SerialScanner(link, heard.append, back_off=BackOff(0.01, 0.02))
    scanner.start()
    eventually(lambda: inner.is_open)
    inner.feed(b"]E0" + EAN.encode() + b"\r\n12345678\r")
    eventually(lambda: len(heard) == 2)
    scanner.stop()
    assert heard == [Scan(EAN, "]E0"), Scan("12345678")]


@pytest.mark.parametrize(
    "wrap", [lambda link: Noise(link, 0.3), lambda link: RandomLoss(link, 0.3)], ids=["noise", "loss"]
)
def test_a_bad_cable_never_stops_a_scanner_for_good(wrap: type) -> None:
    inner = MemoryLink()
    heard: list[Scan] = []
    scanner = SerialScanner(wrap(inner), heard.append, back_off=BackOff(0.01, 0.02))
    scanner.start()
    eventually(lambda: inner.is_open)

    def scanned() -> bool:
        inner.feed(b"77\r")
        return Scan("77") in heard

    eventually(scanned)
    scanner.stop()


def test_a_scanner_without_suffix_is_ended_by_silence() -> None:
    link = MemoryLink()
    heard: list[Scan] = []
    scanner = SerialScanner(link, heard.append, silence_ends=True)
    scanner.start()
    eventually(lambda: link.is_open)
    link.feed(EAN.encode())
    eventually(lambda: heard == [Scan(EAN)])
    scanner.stop()


def test_a_scanner_on_a_port_is_unplugged_and_plugged_in_again_without_a_restart(tmp_path: Path) -> None:
    device = SimulatedScanner(tmp_path / "scanner")
    heard: list[Scan] = []
    states: list[DeviceFault | None] = []
    scanner = SerialScanner(
        link_from_address(device.address),
        heard.append,
        lambda error: states.append(error.fault if error is not None else None),
        guard=DuplicateGuard(0.001),
        back_off=BackOff(0.01, 0.05),
    )
    scanner.start()
    eventually(lambda: states == [None])
    device.scan(EAN)
    eventually(lambda: heard == [Scan(EAN)])
    device.port.send(b"half a co")
    device.port.unplug()
    eventually(lambda: states[-1] is not None)
    device.port.plug_in()
    eventually(lambda: states[-1] is None)
    device.scan("]E0" + EAN)
    eventually(lambda: len(heard) == 2)
    scanner.stop()
    device.close()
    assert heard[1] == Scan(EAN, "]E0"), "the half code before is forgotten"
