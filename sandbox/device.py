"""What a device is: reads ``device_specs/<id>.toml``, checks it, and renders the /proc files the guest will see.

The format is described in ``device_specs/README.md``. A fact that no source gives is absent, never guessed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .device_errors import describe
from .device_file import MICROCONTROLLER, locate_spec, read_spec, spec_ids
from .errors import DataFileError, UsageError
from .metrics import Metric, Unavailable
from .units import format_size

ImageId = Literal["bookworm-arm64", "bookworm-armhf", "bullseye-arm64", "trixie-arm64", "bookworm-amd64"]
"""The last is no board's: it is for an x86-64 host that stands for a device."""

# The bounds only catch a wrong unit: every Linux board lies far inside them.
_Memory = Annotated[int, Field(strict=True, ge=64 * 2**20, le=2**42)]
_Reserve = Annotated[int, Field(strict=True, ge=2**20, le=2**42)]
_Cache = Annotated[int, Field(strict=True, ge=2**12, le=2**32)]
_Hertz = Annotated[int, Field(strict=True, ge=10**8, le=10**10)]
_BytesPerSecond = Annotated[int, Field(strict=True, ge=10**7, le=10**13)]
_Watts = Annotated[float, Field(strict=True, gt=0, le=1000, allow_inf_nan=False)]
_Count = Annotated[int, Field(strict=True, ge=1, le=1024)]
_Nibble = Annotated[int, Field(strict=True, ge=0, le=0xF)]
_Text = Annotated[str, Field(min_length=1, pattern=r"^[^\r\n]+$")]
_Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.+-]+$")]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cpu(_Table):
    """The cores that run the model: their identity in MIDR fields, clocks in hertz, caches in bytes."""

    core: _Word
    implementer: Annotated[int, Field(strict=True, ge=0, le=0xFF)]
    part: Annotated[int, Field(strict=True, ge=0, le=0xFFF)]
    variant: _Nibble | None = None
    revision: _Nibble | None = None
    cores: _Count
    clock_hz: _Hertz
    sustained_clock_hz: _Hertz | None = None
    """Under permanent load of all cores with passive cooling."""
    l1d_bytes: _Cache | None = None
    l1i_bytes: _Cache | None = None
    l2_bytes: _Cache | None = None
    """The L2 cache that one core can use, shared or not; the same for L1 and L3."""
    l3_bytes: _Cache | None = None
    bogomips: Annotated[str, Field(pattern=r"^\d+\.\d\d$")] | None = None
    features_64: tuple[_Word, ...] | None = None
    """The ``Features`` line of a 64-bit kernel."""
    features_32: tuple[_Word, ...] | None = None
    """The ``Features`` line of a 32-bit kernel."""


class Board(_Table):
    """The tail that Raspberry Pi kernels add to /proc/cpuinfo; the serial number is one board's own, so left out."""

    hardware: _Text | None = None
    revision: _Word | None = None
    model: _Text | None = None


class Memory(_Table):
    """How fast the DRAM is."""

    bandwidth_bytes_per_second: _BytesPerSecond
    """Bytes that memcpy copies a second, each counted once although it is read and written (tinymembench's way)."""


class Power(_Table):
    """What the whole board draws."""

    idle_watts: _Watts | None = None
    load_watts: _Watts | None = None


class Price(_Table):
    """What one board costs, for comparisons: a list price, by whoever lists it, on a day."""

    amount: Annotated[float, Field(strict=True, gt=0, le=1e6, allow_inf_nan=False)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    """ISO 4217."""
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}(-\d{2})?$")]
    """When it was listed."""


class OsChoice(_Table):
    """One operating system the device can run, and what the emulator has to imitate for it."""

    image: ImageId
    emulated_cpu: _Word
    """QEMU's ``-cpu``: never the emulator's default, which knows instructions the board has not."""
    page_size_bytes: Literal[4096, 16384, 65536]
    kernel_bits: Literal[32, 64] | None = None
    """Width of the kernel where it is not the image's: a Pi 4 runs a 32-bit userland on a 64-bit kernel."""
    mem_total_bytes: _Memory | None = None
    """MemTotal: what firmware, GPU and kernel leave of the RAM."""
    os_used_bytes: _Reserve | None = None
    """What an idle system without a desktop uses of it (total less available)."""
    swap_bytes: _Reserve | None = None
    """The swap file or partition that the system sets up by itself."""
    zram_bytes: _Reserve | None = None
    """Pages that the system would keep compressed in the RAM itself: the size of its zram device, uncompressed."""

    @property
    def has_64_bit_kernel(self) -> bool:
        """Whether /proc/cpuinfo has the 64-bit layout."""
        return (self.kernel_bits or (32 if self.image.endswith("armhf") else 64)) == 64


class DeviceSpec(_Table):
    """A device as its TOML file describes it; ``id`` is the file's stem and ``origin`` its path."""

    id: str
    origin: Path
    name: _Text
    soc: _Text
    ram_bytes: _Memory
    cpu: Cpu
    board: Board | None = None
    memory: Memory | None = None
    power: Power | None = None
    price: Price | None = None
    os: Annotated[tuple[OsChoice, ...], Field(min_length=1)]
    sources: dict[str, _Text] = Field(default_factory=dict)
    """Dotted key of a fact → where it was read."""


_TABLES: dict[str, type[BaseModel]] = {
    "cpu": Cpu,
    "board": Board,
    "memory": Memory,
    "power": Power,
    "price": Price,
    "os": OsChoice,
}


def available_devices(directory: Path) -> tuple[str, ...]:
    """The ids of the Linux devices in ``directory``, sorted."""
    return spec_ids(directory)


def load_device(id_or_path: str, directory: Path) -> DeviceSpec:
    """The spec of that id in ``directory``, or of a ``.toml`` file. Raises `UsageError` and `DataFileError`."""
    path = locate_spec(id_or_path, directory)
    table = read_spec(path, directory)
    if table.get("kind") == MICROCONTROLLER:
        raise UsageError(
            f"{path.stem} is a microcontroller: no Linux runs on it, and this needs one",
            hint="profile, check, compare and devices know microcontrollers; or choose a Linux device "
            "(edge-sandbox devices list)",
        )
    problems = [f"{key}: unknown key; the file's name is the id" for key in ("id", "origin") if key in table]
    try:
        device = DeviceSpec.model_validate({**table, "id": path.stem, "origin": path})
    except ValidationError as error:
        # A list with a faulty item also counts as too short; one line for it is enough.
        details = [d for d in error.errors(include_url=False) if d["type"] != "too_short" or not d["input"]]
        problems += [describe(detail, DeviceSpec, _TABLES) for detail in details]
    else:
        problems += _contradictions(device)
        if not problems:
            return device
    raise DataFileError(
        "\n".join(f"{path}: {' '.join(line.split())}" for line in dict.fromkeys(problems)),
        hint="correct the file; device_specs/README.md has every key and a complete example",
    )


def select_os(device: DeviceSpec, image_id: str | None) -> OsChoice:
    """The device's first choice, or the one whose image is ``image_id``. Raises `UsageError`."""
    for choice in device.os:
        if image_id in {None, choice.image}:
            return choice
    images = ", ".join(choice.image for choice in device.os)
    raise UsageError(f"{device.id} does not run the OS image {image_id!r}", hint=f"choose one of {images}")


def shown_features(device: DeviceSpec, os: OsChoice) -> tuple[str, ...] | None:
    """The core's features as /proc/cpuinfo shows them with that OS; None where the spec does not say."""
    return device.cpu.features_64 if os.has_64_bit_kernel else device.cpu.features_32


def render_cpuinfo(device: DeviceSpec, os: OsChoice, processors: int | None = None) -> str:
    """/proc/cpuinfo of the device with that OS, for all its cores or for ``processors`` of them.

    Layouts from Linux: arch/arm64/kernel/cpuinfo.c and arch/arm/kernel/setup.c. A 32-bit process on a 64-bit kernel
    reads the 64-bit file, because its personality stays PER_LINUX unless setarch changes it. Raises `UsageError` for
    a number of processors the device does not have, `DataFileError` when the spec lacks part of the identity.
    """
    cpu, count = device.cpu, device.cpu.cores if processors is None else processors
    if not 1 <= count <= cpu.cores:
        raise UsageError(f"{device.id} has {cpu.cores} cores, not {count}", hint=f"ask for 1 to {cpu.cores}")
    features_key, features = "features_64" if os.has_64_bit_kernel else "features_32", shown_features(device, os)
    missing = [key for key in ("variant", "revision", features_key) if getattr(cpu, key) is None]
    if missing or features is None:
        names = ", ".join(f"cpu.{key}" for key in missing)
        raise DataFileError(
            f"{device.origin}: {names}: missing, and /proc/cpuinfo of {os.image} shows it to the runtime",
            hint="copy it from /proc/cpuinfo of the board",
        )
    lines: list[str] = []
    for index in range(count):
        lines.append(f"processor\t: {index}")
        if not os.has_64_bit_kernel:
            lines.append(f"model name\t: ARMv7 Processor rev {cpu.revision} (v7l)")
        if cpu.bogomips:
            lines.append(f"BogoMIPS\t: {cpu.bogomips}")
        # A 32-bit kernel ends the list with a blank.
        lines.append(f"Features\t: {' '.join(features)}" + ("" if os.has_64_bit_kernel else " "))
        lines.append(f"CPU implementer\t: 0x{cpu.implementer:02x}")
        lines.append(f"CPU architecture: {8 if os.has_64_bit_kernel else 7}")
        lines.append(f"CPU variant\t: 0x{cpu.variant:x}")
        lines.append(f"CPU part\t: 0x{cpu.part:03x}")
        lines.extend((f"CPU revision\t: {cpu.revision}", ""))
    if device.board:
        tail = {"Hardware\t": device.board.hardware, "Revision\t": device.board.revision}
        tail["Model\t\t"] = device.board.model
        lines.extend(f"{label}: {value}" for label, value in tail.items() if value)
    return "\n".join(lines) + "\n"


def render_meminfo(mem_total_bytes: int, available_bytes: int, swap_bytes: int = 0) -> str:
    """/proc/meminfo of an idle system; ``available_bytes`` is held between 0 and the total.

    MemFree + Buffers + Cached make MemAvailable, as programs that predate that line assume; the split is invented.
    """
    total = mem_total_bytes // 1024
    available = max(0, min(available_bytes // 1024, total))
    buffers, cached, used = available // 100, available // 10, total - available
    values = {
        "MemTotal": total,
        "MemFree": available - buffers - cached,
        "MemAvailable": available,
        "Buffers": buffers,
        "Cached": cached,
        "Active": used // 2 + cached // 2,
        "Inactive": buffers + cached // 2,
        "SwapTotal": swap_bytes // 1024,
        "SwapFree": swap_bytes // 1024,
        "AnonPages": used // 2,
        "Shmem": 0,
        "Slab": used // 4,
        "SReclaimable": 0,
        "SUnreclaim": used // 4,
    }
    return "".join(f"{label + ':':<16}{value:>8} kB\n" for label, value in values.items())


def memory_budget(device: DeviceSpec, os: OsChoice) -> Metric | Unavailable:
    """Bytes that processes may use: MemTotal less what an idle OS uses; or why that is not known."""
    total, used = os.mem_total_bytes, os.os_used_bytes
    if total is None or used is None:
        absent = [key for key in ("mem_total_bytes", "os_used_bytes") if getattr(os, key) is None]
        return Unavailable(
            unavailable=f"the spec of {device.id} gives no {' and no '.join(absent)} for {os.image}: "
            f"no source says what the system leaves of its {format_size(device.ram_bytes)} of RAM"
        )
    source = (
        f"MemTotal {format_size(total)} less {format_size(used)} that an idle {os.image} uses ({device.origin.name})"
    )
    return Metric(value=total - used, unit="byte", mode="measured", source=source)


def facts(device: DeviceSpec) -> tuple[str, ...]:
    """Dotted keys of the physical facts that the spec states, each of which should have a source."""
    tables: dict[str, BaseModel | None] = {
        name: getattr(device, name) for name in ("cpu", "board", "memory", "power", "price")
    }
    found = ["soc", "ram_bytes"]
    found += [f"{name}.{key}" for name, table in tables.items() if table for key, value in table if value is not None]
    choices = {"image", "emulated_cpu"}  # ours, not the device's
    found += [f"os.{key}" for os in device.os for key, value in os if value is not None and key not in choices]
    return tuple(dict.fromkeys(found))


def _contradictions(device: DeviceSpec) -> Iterator[str]:
    cpu = device.cpu
    if cpu.sustained_clock_hz is not None and cpu.sustained_clock_hz > cpu.clock_hz:
        yield "cpu.sustained_clock_hz: is above cpu.clock_hz; write the lower clock that holds under load"
    for os in device.os:
        if os.mem_total_bytes is not None and os.mem_total_bytes > device.ram_bytes:
            yield f"os.mem_total_bytes: {os.image} cannot see more than ram_bytes; check both numbers"
        if os.os_used_bytes is not None and os.os_used_bytes >= (os.mem_total_bytes or device.ram_bytes):
            yield f"os.os_used_bytes: {os.image} would leave no memory at all; write total less available"
        if not os.image.endswith("armhf") and not os.has_64_bit_kernel:
            yield f"os.kernel_bits: {os.image} does not run on a 32-bit kernel; write 64 or leave it out"
    for image, times in Counter(os.image for os in device.os).items():
        if times > 1:
            yield f"os.image: {image} is listed {times} times; keep one"
