"""Scales are read in whole grams, in any portions, and sold by only when they stand still."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.errors import DeviceError, DeviceFault
from drivers.link import BackOff, Link, MemoryLink, link_from_address
from drivers.scale import (
    PROTOCOLS,
    CasPolled,
    ContinuousAscii,
    Reading,
    Scale,
    ScaleProtocol,
    ScaleWatch,
    Toledo8217,
    Unit,
    WeighState,
    grams_of,
)
from drivers.simulated import ScaleSpeech, SimulatedScale
from tests.drivers.fault_links import Hang, Noise, OneByteAtATime, RandomLoss, Unplug, WithDelays, eventually

S = WeighState
CAS = b"\x01\x02S 01.234kg\x65\x03\x04"


def readings(protocol: ScaleProtocol, data: bytes, cuts: list[int] | None = None) -> list[Reading]:
    protocol.ask()
    places = [0, *sorted(min(cut, len(data)) for cut in cuts or []), len(data)]
    return [one for start, end in pairwise(places) for one in protocol.feed(data[start:end]).readings]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x0201.234\r", Reading(S.STABLE, 1234)),
        (b"\x02 1.234N\r", Reading(S.STABLE, 1234, is_net=True)),
        (b"\x0200.000\r", Reading(S.ZERO, 0)),
        (b"\x02?\x41\r", Reading(S.UNSTABLE)),
        (b"\x02?\x42\r", Reading(S.OVERLOADED)),
        (b"\x02?\x43\r", Reading(S.OVERLOADED)),
        (b"\x02?\x44\r", Reading(S.NEGATIVE)),
        (b"\x02?\x50\r", Reading(S.ZERO, 0)),
        (bytes(byte | 0x80 for byte in b"\x0201.234\r"), Reading(S.STABLE, 1234)),
        (b"\x020\x0201.5\r", Reading(S.STABLE, 1500)),
    ],
)
def test_toledo_8217_answers_are_read(data: bytes, expected: Reading) -> None:
    assert readings(Toledo8217(), data) == [expected]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (CAS, [Reading(S.STABLE, 1234)]),
        (b"\x06" + CAS, [Reading(S.STABLE, 1234)]),
        (CAS.replace(b"234", b"734"), []),
        (b"\x01\x02S 01.234kg\x64\x03\x04", []),
    ],
)
def test_cas_blocks_are_read_when_their_check_byte_is_right(data: bytes, expected: list[Reading]) -> None:
    assert readings(CasPolled(), data) == expected


def test_a_check_byte_that_looks_like_an_ack_swallows_no_block() -> None:
    speech = ScaleSpeech("cas")
    speech.reading = Reading(S.OVERLOADED, 1)
    block = speech.answer(b"\x11")
    assert block[-3] == CasPolled.ACK
    assert readings(CasPolled(), block + CAS) == [Reading(S.OVERLOADED), Reading(S.STABLE, 1234)]


def test_cas_is_greeted_before_it_is_asked() -> None:
    protocol = CasPolled()
    assert protocol.ask() == b"\x05"
    assert protocol.feed(b"\x00").reply == b""
    assert protocol.feed(b"\x06").reply == b"\x11"
    assert protocol.feed(CAS).readings == (Reading(S.STABLE, 1234),)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ST,GS,+00012.5 kg", Reading(S.STABLE, 12500)),
        ("ST,NT,+0001.234kg", Reading(S.STABLE, 1234, is_net=True)),
        ("ST,+00012.50  g", Reading(S.STABLE, 13)),
        ("US,GS,  0.500 kg", Reading(S.UNSTABLE, 500)),
        ("ST,GS,- 0.010kg", Reading(S.NEGATIVE, -10)),
        ("ST,GS,+00000.0 kg", Reading(S.ZERO, 0)),
        ("OL,GS,+99999.9 kg", Reading(S.OVERLOADED)),
        ("OL,", Reading(S.OVERLOADED)),
        ("ST,GS,01,A,   1.000 lb", Reading(S.STABLE, 454)),
        ("ST,GS,+0001.5", Reading(S.STABLE, 1500)),
        ("ST,GS,+-1 kg", None),
        ("XX,GS,+1 kg", None),
        ("ST,GS,+1 stone", None),
        ("ST,GS,  kg", None),
    ],
)
def test_continuous_lines_are_read(line: str, expected: Reading | None) -> None:
    data = b"7.77 kg\r\n" + line.encode() + b"\r\n"
    assert readings(ContinuousAscii(), data) == ([expected] if expected is not None else [])


def test_the_end_of_a_line_whose_beginning_was_not_heard_is_never_a_weight() -> None:
    assert readings(ContinuousAscii(), b"ST,GS,+0001.000 kg\r\n") == []


@given(
    st.sampled_from(sorted(PROTOCOLS)),
    st.lists(st.tuples(st.integers(0, 29_999), st.sampled_from(list(S))), max_size=5),
    st.binary(max_size=30),
    st.lists(st.integers(0, 200), max_size=10),
)
@settings(deadline=None)
def test_any_chunking_gives_the_same_readings(
    name: str, loads: list[tuple[int, WeighState]], noise: bytes, cuts: list[int]
) -> None:
    speech = ScaleSpeech(name)
    stream = noise
    for grams, state in loads:
        speech.reading = Reading(state, grams)
        stream += speech.answer(b"W\x11") + speech.talk()
    assert readings(PROTOCOLS[name](), stream, cuts) == readings(PROTOCOLS[name](), stream)


@given(st.decimals(-9999, 9999, places=3), st.sampled_from(list(Unit)))
def test_grams_are_exact_and_halves_go_away_from_zero(weight: Decimal, unit: Unit) -> None:
    factor = {Unit.GRAM: "1", Unit.KILOGRAM: "1000", Unit.POUND: "453.59237", Unit.OUNCE: "28.349523125"}[unit]
    assert grams_of(f"{weight:f}", unit) == int((weight * Decimal(factor)).to_integral_value(ROUND_HALF_UP))


@pytest.mark.parametrize("text", ["", "1e3", "１", "1,5", "--1", "nan", ".", "1/2", "0x1"])
def test_what_is_no_weight_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        grams_of(text, Unit.KILOGRAM)


def scale_on(link: Link, protocol: str = "toledo-8217") -> Scale:
    return Scale(link, PROTOCOLS[protocol](), answer_s=0.05, period_s=0.005, back_off=BackOff(0.005, 0.01))


@pytest.mark.parametrize("protocol", ["toledo-8217", "cas"])
@pytest.mark.parametrize("wrap", [lambda link: link, OneByteAtATime, WithDelays], ids=["plain", "one byte", "delays"])
def test_a_stable_weight_is_sold_by_over_a_crooked_line(protocol: str, wrap: type) -> None:
    speech = ScaleSpeech(protocol)
    speech.reading = Reading(S.STABLE, 345)
    assert scale_on(wrap(MemoryLink(speech.answer)), protocol).weigh(2) == 345


@pytest.mark.parametrize(
    ("state", "fault"),
    [
        (S.UNSTABLE, DeviceFault.SCALE_UNSTABLE),
        (S.OVERLOADED, DeviceFault.SCALE_OVERLOADED),
        (S.ZERO, DeviceFault.SCALE_EMPTY),
        (S.NEGATIVE, DeviceFault.SCALE_NEGATIVE),
    ],
)
def test_nothing_is_sold_by_any_other_reading(state: WeighState, fault: DeviceFault) -> None:
    speech = ScaleSpeech()
    speech.reading = Reading(state, 0)
    with pytest.raises(DeviceError) as caught:
        scale_on(MemoryLink(speech.answer)).weigh(0.05)
    assert caught.value.fault is fault


def test_a_scale_that_comes_to_rest_is_waited_for() -> None:
    speech = ScaleSpeech()
    asked = []

    def answer(data: bytes) -> bytes:
        asked.append(data)
        speech.reading = Reading(S.STABLE if len(asked) > 3 else S.UNSTABLE, 500)
        return speech.answer(data)

    assert scale_on(MemoryLink(answer)).weigh(2) == 500


def test_a_silent_a_hanging_and_a_babbling_scale_are_told_apart() -> None:
    speech = ScaleSpeech()
    for link, fault in (
        (MemoryLink(), DeviceFault.SILENT),
        (Hang(MemoryLink(speech.answer)), DeviceFault.SILENT),
        (MemoryLink(lambda _: b"\xf3\x91\x17"), DeviceFault.GARBLED),
    ):
        with pytest.raises(DeviceError) as caught:
            scale_on(link).read()
        assert caught.value.fault is fault


def test_an_unplugged_scale_weighs_again_when_it_is_back() -> None:
    speech = ScaleSpeech()
    speech.reading = Reading(S.STABLE, 70)
    scale = scale_on(Unplug(MemoryLink(speech.answer), 1))
    assert scale.weigh() == 70
    with pytest.raises(DeviceError) as caught:
        scale.read()
    assert caught.value.fault is DeviceFault.UNPLUGGED
    assert scale.weigh() == 70


@pytest.mark.parametrize("seed", range(5))
def test_noise_and_loss_never_make_another_weight_of_a_checked_block(seed: int) -> None:
    speech = ScaleSpeech("cas")
    speech.reading = Reading(S.STABLE, 12_345)
    for wrapped in (Noise(MemoryLink(speech.answer), 0.05, seed), RandomLoss(MemoryLink(speech.answer), 0.05, seed)):
        assert scale_on(wrapped, "cas").weigh(5) == 12_345


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_a_scale_on_a_port_is_watched_through_unplugging(tmp_path: Path, protocol: str) -> None:
    device = SimulatedScale(tmp_path / "scale", protocol, period_s=0.02)
    scale = Scale(link_from_address(device.address), PROTOCOLS[protocol](), answer_s=0.3, back_off=BackOff(0.01, 0.05))
    heard: list[Reading] = []
    states: list[DeviceFault | None] = []
    watch = ScaleWatch(scale, heard.append, lambda error: states.append(error.fault if error else None), period_s=0.01)
    device.load(1500)
    watch.start()
    eventually(lambda: Reading(S.STABLE, 1500) in heard)
    device.port.unplug()
    eventually(lambda: states[-1] is not None)
    device.load(250)
    device.port.plug_in()
    eventually(lambda: heard[-1] == Reading(S.STABLE, 250))
    assert states[0] is None
    assert states[-1] is None
    watch.stop()
    device.close()
