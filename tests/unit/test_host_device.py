"""This host as a device: the spec made from its /proc/cpuinfo is one that loads."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.device import load_device, render_cpuinfo, select_os
from sandbox.errors import HostError
from sandbox.host_device import host_spec

CPUINFO = 'processor\t: 0\nmodel name\t: Some(R) "Processor" \\ CPU @ 2.50GHz\ncpu MHz\t\t: 2500.1\n'


def test_the_spec_loads(tmp_path: Path) -> None:
    path = tmp_path / "host.toml"
    path.write_text(host_spec(CPUINFO, ram_bytes=2**33, cores=2, clock_hz=2_500_000_000))
    device = load_device(str(path), tmp_path)
    assert (device.cpu.cores, device.cpu.clock_hz, device.ram_bytes) == (2, 2_500_000_000, 2**33)
    assert select_os(device, None).image == "bookworm-amd64"
    assert render_cpuinfo(device, select_os(device, None)).count("processor") == 2


def test_a_host_without_a_name_is_refused() -> None:
    with pytest.raises(HostError, match="names no processor"):
        host_spec("processor : 0\n", ram_bytes=2**30, cores=1, clock_hz=10**9)


@given(st.text(min_size=1, max_size=40))
def test_no_name_breaks_the_file(name: str) -> None:
    text = host_spec(f"model name\t: x{name}\n", ram_bytes=2**33, cores=1, clock_hz=10**9)
    assert text.splitlines()[0].count('"') == 2
