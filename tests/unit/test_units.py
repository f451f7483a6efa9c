"""Sizes and times: what people may write, and how numbers are printed."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import UsageError
from sandbox.units import format_count, format_duration, format_size, parse_duration, parse_share, parse_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("1", 1),
        ("512", 512),
        ("512B", 512),
        ("4k", 4096),
        ("4kB", 4000),
        ("4KiB", 4096),
        ("512M", 512 * 2**20),
        ("512MiB", 512 * 2**20),
        ("512MB", 512_000_000),
        ("1.5GiB", 3 * 2**29),
        ("2g", 2**31),
        ("2GB", 2 * 10**9),
        ("  8 MB ", 8_000_000),
        ("0.5k", 512),
    ],
)
def test_sizes(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5ns", 5e-9),
        ("250us", 250e-6),
        ("250µs", 250e-6),
        ("250μs", 250e-6),  # the Greek letter, which looks the same
        ("50ms", 0.05),
        ("50 MS", 0.05),
        ("1.5s", 1.5),
        ("2min", 120.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    "text",
    ["", "M", "-1M", "+1M", "1e3", "1,5G", "1.G", ".5G", "512 Mb/s", "٥M", "0", "0.0G", "0.1B", "nan", "9" * 400],
)
def test_what_is_not_a_size(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size") as caught:
        parse_size(text)
    assert caught.value.hint == "write it like 512M, 1.5GiB or 800MB"
    assert repr(text) in caught.value.message


@pytest.mark.parametrize("text", ["", "50", "50m", "0ms", "-1s", "1h", "fast", "9" * 400 + "s"])
def test_what_is_not_a_time(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time") as caught:
        parse_duration(text)
    assert caught.value.hint == "write it like 50ms, 1.5s or 2min"


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.6, "1.00 kB"),
        (1000, "1.00 kB"),
        (9_994, "9.99 kB"),
        (9_996, "10.0 kB"),
        (41_943_040, "41.9 MB"),
        (99_960_000, "100 MB"),
        (999_400_000, "999 MB"),
        (999_600_000, "1.00 GB"),
        (8 * 2**30, "8.59 GB"),
        (5e12, "5,000 GB"),
        (-41_943_040, "-41.9 MB"),
    ],
)
def test_printed_sizes(size_bytes: float, text: str) -> None:
    assert format_size(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ns"),
        (5e-9, "5 ns"),
        (1.5e-6, "1.50 µs"),
        (0.412, "412 ms"),
        (0.0125, "12.5 ms"),
        (0.9996, "1.00 s"),
        (75, "75.0 s"),
        (3600, "3,600 s"),
    ],
)
def test_printed_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (999, "999"), (1000, "1.00 k"), (10_562_023, "10.6 M"), (3.2e9, "3.20 G")]
)
def test_printed_counts(count: float, text: str) -> None:
    assert format_count(count) == text


@given(st.integers(1, 10**14))
def test_a_printed_size_reads_back_within_its_digits(size_bytes: int) -> None:
    assert parse_size(format_size(size_bytes).replace(",", "")) == pytest.approx(size_bytes, rel=0.006)


@given(st.floats(1e-9, 1e6))
def test_a_printed_time_reads_back_within_its_digits(seconds: float) -> None:
    digits = 0.006 if seconds > 1e-6 else 0.51e-9 / seconds
    assert parse_duration(format_duration(seconds).replace(",", "")) == pytest.approx(seconds, rel=digits)


@given(st.text(max_size=12))
def test_any_other_text_is_a_usage_error(text: str) -> None:
    for parse in (parse_size, parse_duration):
        with contextlib.suppress(UsageError):
            assert parse(text) > 0


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), (" 2.5 % ", 0.025), ("0%", 0.0), ("250%", 2.5)])
def test_percentages(text: str, share: float) -> None:
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["5", "0.05", "-5%", "five%", "%", "", "1e3%", "٥%", "9" * 400 + "%"])
def test_what_is_no_percentage_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a percentage") as caught:
        parse_share(text)
    assert caught.value.hint == "write it like 5% or 2.5%"
