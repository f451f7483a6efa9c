"""Device specs for tests: the shipped ones, and the least that one can be."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

from sandbox.device import available_devices

SPECS = Path(__file__).parents[2] / "device_specs"
SHIPPED = available_devices(SPECS)
README_EXAMPLES = re.findall(r"```toml\n(.*?)```", (SPECS / "README.md").read_text(encoding="utf-8"), re.DOTALL)

MINIMAL: dict[str, Any] = {
    "name": "Board",
    "soc": "SoC",
    "ram_bytes": 2**30,
    "cpu": {"core": "cortex-a53", "implementer": 0x41, "part": 0xD03, "cores": 4, "clock_hz": 1_200_000_000},
    "os": [{"image": "bookworm-arm64", "emulated_cpu": "cortex-a53", "page_size_bytes": 4096}],
}


def toml(table: dict[str, Any]) -> str:
    """The subset of TOML that the specs use; JSON's scalars and lists are TOML's."""

    def line(key: str, value: object) -> str:
        return f"{json.dumps(key)} = {inline(value)}"

    def inline(value: object) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(line(key, inner) for key, inner in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(inline(inner) for inner in value) + "]"
        text = json.dumps(value)
        # JSON writes DEL as it is, TOML wants it escaped; infinities have other names.
        return {"Infinity": "inf", "-Infinity": "-inf", "NaN": "nan"}.get(text, text.replace("\x7f", "\\u007f"))

    return "\n".join(line(key, value) for key, value in table.items()) + "\n"


def write(folder: Path, table: dict[str, Any], name: str = "board") -> str:
    path = folder / f"{name}.toml"
    path.write_text(toml(table), encoding="utf-8")
    return str(path)


def priced(**to: object) -> dict[str, Any]:
    """`MINIMAL` with a price of which some values are replaced."""
    return MINIMAL | {"price": {"amount": 35.0, "currency": "USD", "date": "2024-05", **to}}


def changed(*keys: str | int, **to: object) -> dict[str, Any]:
    """`MINIMAL` with some values of the table at ``keys`` replaced, or removed where the new value is ``...``."""
    spec = copy.deepcopy(MINIMAL)
    table: Any = spec
    for key in keys:
        table = table.setdefault(key, {}) if isinstance(table, dict) else table[key]
    for key, value in to.items():
        if value is ...:
            del table[key]
        else:
            table[key] = value
    return spec
