"""This host as a device: a spec made from what its kernel says, so that the tool can be checked against real runs."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .errors import HostError
from .image.emulator import host_architecture

_LEAST_CLOCK_HZ, _FREQUENCY = 10**8, Path("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")


def host_spec(cpuinfo: str, *, ram_bytes: int, cores: int, clock_hz: int) -> str:
    """The TOML text of a spec for an x86-64 host with that /proc/cpuinfo. Raises `HostError` for another host."""
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    if found is None:
        raise HostError("/proc/cpuinfo names no processor", hint="write a spec: device_specs/README.md")
    name = re.sub(r"[^\w .@()/-]", "", found[1]).strip() or "x86-64"
    return "\n".join(
        (
            f'name = "{name}, this host"',
            f'soc = "{name}"',
            f"ram_bytes = {ram_bytes}",
            "",
            "[cpu]",
            'core = "x86-64"',
            "implementer = 0",
            "part = 0",
            "variant = 0",
            "revision = 0",
            f"cores = {cores}",
            f"clock_hz = {clock_hz}",
            'features_64 = ["x86-64"]',
            "",
            "[[os]]",
            'image = "bookworm-amd64"',
            'emulated_cpu = "max"',
            "page_size_bytes = 4096",
            "",
        )
    )


def this_host_spec() -> str:
    """The spec of the host this runs on. Raises `HostError` where it is no x86-64 host: boards have specs."""
    if host_architecture() != "amd64":
        raise HostError("only x86-64 hosts are described by themselves", hint="name the board with --device")
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return host_spec(cpuinfo, ram_bytes=pages, cores=os.cpu_count() or 1, clock_hz=_clock_hz(cpuinfo))


def _clock_hz(cpuinfo: str) -> int:
    """What the kernel says of the first core; it only scales numbers that are fitted on the same host."""
    try:
        return int(_FREQUENCY.read_text()) * 1000
    except (OSError, ValueError):
        shown = re.search(r"^cpu MHz\s*:\s*([\d.]+)", cpuinfo, re.MULTILINE)
        return max(_LEAST_CLOCK_HZ, int(float(shown[1]) * 1e6)) if shown else 10**9
