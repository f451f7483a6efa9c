"""What is wrong with a device's file, in one line for each finding: the key, the problem, what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel

_KIND = {
    bool: "true or false",
    str: "text",
    int: "a whole number",
    float: "a fraction",
    list: "a list",
    dict: "a table",
}
_SCALES = {
    "bytes": (("kilobytes", 2**10), ("megabytes", 2**20), ("gigabytes", 2**30)),
    "hz": (("kilohertz", 10**3), ("megahertz", 10**6), ("gigahertz", 10**9)),
    "second": (("kilobytes a second", 10**3), ("megabytes a second", 10**6), ("gigabytes a second", 10**9)),
}
_WANTED = {
    "os": "one [[os]] table for each system the device runs",
    "sources": 'text in a [sources] table, as in "cpu.clock_hz" = "BCM2711 datasheet", the key in quotes',
    "bogomips": '"108.00", as /proc/cpuinfo prints it',
    "implementer": "the number of /proc/cpuinfo, e.g. 0x41",
    "part": "the number of /proc/cpuinfo, e.g. 0xd08",
    "variant": "a number from 0 to 15",
    "cores": "a whole number, e.g. 4",
    "page_size_bytes": "4096, 16384 or 65536",
    "kernel_bits": "32 or 64",
    "emulated_cpu": 'a CPU name of QEMU, e.g. "cortex-a72"',
    "fpu": "none, single or double",
    "mve": "none, integer or float",
    "dsp": "true or false",
    "flash": "one [[flash]] table for each region",
    "ram": "one [[ram]] table for each bank",
    "emulator": "one [[emulator]] table for each emulator that can stand for the board",
    "amount": "a price, e.g. 35.0",
    "currency": 'three capitals of ISO 4217, e.g. "USD"',
    "date": 'when it was listed, e.g. "2024-06-24"',
    "base": "the address of its first byte, e.g. 0x20000000",
    "medium": "flash, mram, qspi or ram",
    "kind": "sram, dtcm, itcm or external",
    "engine": "qemu-system or renode",
    "states": "cycles, e.g. 5",
    "differs": 'a list of sentences, e.g. ["flash reads wait for nothing"]',
    "bytes": "plain bytes, e.g. 4294967296",
    "hz": "plain hertz, e.g. 1500000000",
    "second": "plain bytes a second, e.g. 2500000000",
    "watts": "watts, e.g. 2.7",
    "64": 'a list of words, e.g. ["fp", "asimd"]',
    "32": 'a list of words, e.g. ["half", "thumb"]',
}
"""What belongs at a key; or, by the last part of its name, in a unit."""


def describe(detail: Mapping[str, Any], spec: type[BaseModel], tables: Mapping[str, type[BaseModel]]) -> str:
    """One line for one of pydantic's findings: the dotted key, what is wrong, what to write.

    ``spec`` is the model of the whole file, ``tables`` those of its tables by key.
    """
    kind, loc, value, bounds = detail["type"], detail["loc"], detail["input"], detail.get("ctx", {})
    names = [part for part in loc if isinstance(part, str)]
    key, unit = names[-1], names[-1].rpartition("_")[2]
    wanted = _wanted(names, tables)
    what, write = f"is {_KIND.get(type(value), 'a date or time')}", f"write {wanted}"
    if kind == "missing":
        what = "is missing"
    elif kind == "extra_forbidden":
        table = tables[names[0]] if len(names) > 1 else spec
        known = [name for name in table.model_fields if name not in {"id", "origin"}]
        near = difflib.get_close_matches(key, known, n=1)
        what, write = "unknown key", f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
    elif kind == "literal_error" and isinstance(value, (str, int)):
        what = f"{repr(value)[:40]} is not known here"
    elif kind == "greater_than_equal" and value > 0 and unit in _SCALES:
        fits = [(name, value * factor) for name, factor in _SCALES[unit] if value * factor >= bounds["ge"]]
        what = f"{value} looks like {fits[0][0]}" if fits else f"{value} is far too small"
        write = f"write {wanted}" + (f"; here {fits[0][1]}" if fits else "")
    elif kind in {"greater_than_equal", "greater_than", "less_than_equal", "finite_number"}:
        what = f"{str(value)[:40]} cannot be right"
    elif kind == "too_short":
        what = "is empty"
    elif isinstance(value, str) and kind.startswith("string_"):
        what = f"{value[:40]!r} is not of the right form"
    return f"{'.'.join(names)}: {what}; {write}"


def _wanted(names: list[str], tables: Mapping[str, type[BaseModel]]) -> str:
    """What belongs at the key with that path."""
    if names[0] == "sources":
        return _WANTED["sources"]
    if names == ["cpu", "revision"]:
        return _WANTED["variant"]
    if names == ["os", "image"]:
        return f"one of {', '.join(get_args(tables['os'].model_fields['image'].annotation))}"
    if len(names) == 1 and names[0] in {"cpu", "board", "memory", "power"}:
        return f"a [{names[0]}] table"
    return _WANTED.get(names[-1]) or _WANTED.get(names[-1].rpartition("_")[2], "one line of text")
