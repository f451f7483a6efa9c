"""The /proc files and the memory budget that a device spec makes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.device import (
    load_device,
    memory_budget,
    render_cpuinfo,
    render_meminfo,
    select_os,
)
from sandbox.errors import DataFileError, UsageError
from sandbox.metrics import Metric, Unavailable
from tests.unit.specs import MINIMAL, SPECS, write

# /proc/cpuinfo and /proc/meminfo


def cpuinfo(device_id: str, image: str | None = None, processors: int | None = None) -> str:
    device = load_device(device_id, SPECS)
    return render_cpuinfo(device, select_os(device, image), processors)


def test_cpuinfo_of_a_64_bit_kernel() -> None:
    # fastfetch-cli/fastfetch#1529, without the serial number.
    core = (
        "BogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\n"
        "CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n\n"
    )
    tail = "Revision\t: c03112\nModel\t\t: Raspberry Pi 4 Model B Rev 1.2\n"
    assert cpuinfo("rpi4b") == "".join(f"processor\t: {index}\n{core}" for index in range(4)) + tail


def test_cpuinfo_of_a_32_bit_kernel() -> None:
    # sbc-bench, results/cpuinfo/BCM2836_BCM2709-5.10.63-v7+.cpuinfo, without the serial number.
    assert cpuinfo("rpi2b", processors=1) == (
        "processor\t: 0\nmodel name\t: ARMv7 Processor rev 5 (v7l)\nBogoMIPS\t: 57.60\n"
        "Features\t: half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm \n"
        "CPU implementer\t: 0x41\nCPU architecture: 7\nCPU variant\t: 0x0\nCPU part\t: 0xc07\nCPU revision\t: 5\n\n"
        "Hardware\t: BCM2835\nRevision\t: a01041\nModel\t\t: Raspberry Pi 2 Model B Rev 1.1\n"
    )


def test_a_32_bit_system_on_a_64_bit_kernel_reads_the_64_bit_file() -> None:
    assert cpuinfo("rpi4b", "bookworm-armhf") == cpuinfo("rpi4b", "bookworm-arm64")
    assert "CPU architecture: 7" in cpuinfo("rpi3b", "bookworm-armhf")


def test_cpuinfo_without_a_board_ends_after_the_cores() -> None:
    text = cpuinfo("aws-graviton2")
    assert text.count("processor") == 2
    assert text.endswith("CPU revision\t: 1\n\n")


@pytest.mark.parametrize("processors", [0, -1, 5])
def test_cpuinfo_refuses_cores_the_device_has_not(processors: int) -> None:
    with pytest.raises(UsageError, match="has 4 cores"):
        cpuinfo("rpi4b", processors=processors)


def test_cpuinfo_says_which_part_of_the_identity_is_missing(tmp_path: Path) -> None:
    device = load_device(write(tmp_path, MINIMAL), SPECS)
    with pytest.raises(DataFileError, match=r"cpu.variant, cpu.revision, cpu.features_64: missing"):
        render_cpuinfo(device, device.os[0])


def test_meminfo_has_the_kernels_columns() -> None:
    lines = render_meminfo(3885396 * 1024, 3600000 * 1024).splitlines()
    assert lines[0] == "MemTotal:        3885396 kB"
    assert lines[2] == "MemAvailable:    3600000 kB"
    assert "SwapTotal:             0 kB" in lines
    swap = render_meminfo(3885396 * 1024, 3600000 * 1024, 100 << 20).splitlines()
    assert {"SwapTotal:        102400 kB", "SwapFree:         102400 kB"} <= set(swap)


@given(total=st.integers(0, 2**45), available=st.integers(-(2**45), 2**46))
def test_meminfo_adds_up(total: int, available: int) -> None:
    lines = [re.fullmatch(r"(\w+): +(\d+) kB", line) for line in render_meminfo(total, available).splitlines()]
    values = {match[1]: int(match[2]) for match in lines if match}
    assert len(values) == len(lines)
    assert values["MemTotal"] == total // 1024
    assert 0 <= values["MemAvailable"] <= values["MemTotal"]
    assert values["MemFree"] + values["Buffers"] + values["Cached"] == values["MemAvailable"]
    assert {"SwapTotal", "SwapFree", "Active", "Inactive", "Shmem", "Slab", "SReclaimable"} <= set(values)


def test_memory_budget_is_total_less_the_system() -> None:
    device = load_device("rpi2b", SPECS)
    budget = memory_budget(device, device.os[0])
    assert isinstance(budget, Metric)
    assert budget.value == (922 - 94) * 2**20
    assert (budget.unit, budget.mode) == ("byte", "measured")
    assert budget.source == "MemTotal 967 MB less 98.6 MB that an idle bookworm-armhf uses (rpi2b.toml)"


def test_memory_budget_says_why_it_is_not_known() -> None:
    device = load_device("rpi4b-2gb", SPECS)
    budget = memory_budget(device, device.os[0])
    assert isinstance(budget, Unavailable)
    assert "no mem_total_bytes and no os_used_bytes for bookworm-arm64" in budget.unavailable
