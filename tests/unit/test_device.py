"""Device specs: every shipped file, the format's rules, and the /proc files made of them."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sandbox.device import (
    DeviceSpec,
    available_devices,
    facts,
    load_device,
    memory_budget,
    render_cpuinfo,
    render_meminfo,
    select_os,
)
from sandbox.errors import DataFileError, SandboxError, UsageError
from sandbox.metrics import Metric, Unavailable

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


def problem(tmp_path: Path, table: dict[str, Any]) -> str:
    with pytest.raises(DataFileError) as caught:
        load_device(write(tmp_path, table), SPECS)
    assert caught.value.hint
    prefix = f"{tmp_path / 'board.toml'}: "
    assert all(line.startswith(prefix) for line in caught.value.message.splitlines())
    return caught.value.message.replace(prefix, "")


# The shipped specs


def test_the_promised_devices_are_there() -> None:
    promised = {"rpi2b", "rpi3b", "rpi3b-plus", "rpi-zero-2w", "rpi4b", "cm4", "rpi5"}
    promised |= {"aws-graviton1", "aws-graviton2", "aws-graviton3"}
    promised |= {f"rpi4b-{size}gb" for size in (1, 2, 4, 8)} | {f"rpi5-{size}gb" for size in (2, 4, 8, 16)}
    assert promised <= set(SHIPPED)
    assert list(SHIPPED) == sorted(SHIPPED)


@pytest.mark.parametrize("device_id", SHIPPED)
def test_every_fact_of_a_shipped_spec_has_a_source(device_id: str) -> None:
    device = load_device(device_id, SPECS)
    assert device.id == device_id
    assert [fact for fact in facts(device) if fact not in device.sources] == []
    assert [key for key in device.sources if key not in facts(device)] == [], "a source of a fact that is not stated"


@pytest.mark.parametrize("device_id", [name for name in SHIPPED if name.startswith(("rpi", "cm"))])
def test_swap_of_raspberry_pi_os(device_id: str) -> None:
    for os in load_device(device_id, SPECS).os:
        if os.image != "trixie-arm64":
            assert (os.swap_bytes, os.zram_bytes) == (100 << 20, None)
            continue
        mem_total = os.mem_total_bytes
        whole_mib = None if mem_total is None else min(mem_total >> 20, 2048) << 20
        assert (os.swap_bytes, os.zram_bytes) == (None, whole_mib)


@pytest.mark.parametrize("device_id", SHIPPED)
def test_a_shipped_spec_renders_for_each_of_its_systems(device_id: str) -> None:
    device = load_device(device_id, SPECS)
    for choice in device.os:
        text = render_cpuinfo(device, choice)
        assert text.count("processor\t: ") == device.cpu.cores
        assert f"CPU part\t: 0x{device.cpu.part:03x}\n" in text
        assert memory_budget(device, choice)


@pytest.mark.parametrize("device_id", SHIPPED)
def test_the_emulated_core_knows_no_more_than_the_board(device_id: str) -> None:
    device = load_device(device_id, SPECS)
    for choice in device.os:
        if choice.image.endswith("arm64"):
            assert choice.emulated_cpu == {"neoverse-v1": "neoverse-n1"}.get(device.cpu.core, device.cpu.core)
        else:
            assert choice.emulated_cpu == ("cortex-a7" if device.cpu.core == "cortex-a7" else "cortex-a15")


@pytest.mark.parametrize("device_id", [name for name in SHIPPED if name.startswith(("rpi", "cm4"))])
def test_the_revision_code_says_the_ram_of_the_spec(device_id: str) -> None:
    # Bits 20-22 of a new-style revision code: 0 is 256 MB, each step doubles.
    device = load_device(device_id, SPECS)
    assert device.board is not None
    assert device.board.revision is not None
    assert 2**28 << (int(device.board.revision, 16) >> 20 & 7) == device.ram_bytes


def test_which_systems_a_board_offers() -> None:
    images = {name: [choice.image for choice in load_device(name, SPECS).os] for name in SHIPPED}
    assert images["rpi2b"] == ["bookworm-armhf"]
    assert images["rpi4b"] == ["bookworm-arm64", "bookworm-armhf", "trixie-arm64", "bullseye-arm64"]
    assert "bullseye-arm64" not in images["rpi5"]
    assert not any(image.endswith("armhf") for image in images["aws-graviton2"])


def test_page_sizes_of_the_raspberry_pi_5() -> None:
    pages = {choice.image: choice.page_size_bytes for choice in load_device("rpi5", SPECS).os}
    assert pages == {"bookworm-arm64": 16384, "bookworm-armhf": 4096, "trixie-arm64": 16384}


def test_the_readme_example_is_a_complete_spec(tmp_path: Path) -> None:
    (tmp_path / "camera.toml").write_text(README_EXAMPLES[0], encoding="utf-8")
    device = load_device(str(tmp_path / "camera.toml"), SPECS)
    assert device.id == "camera"
    assert device.origin == tmp_path / "camera.toml"
    assert set(facts(device)) == set(device.sources)
    assert render_cpuinfo(device, device.os[0])
    assert isinstance(memory_budget(device, device.os[0]), Metric)


def test_the_readme_variant_builds_on_a_shipped_spec(tmp_path: Path) -> None:
    (tmp_path / "camera.toml").write_text(README_EXAMPLES[1], encoding="utf-8")
    device = load_device(str(tmp_path / "camera.toml"), SPECS)
    assert device.cpu.sustained_clock_hz == 1_200_000_000
    assert device.cpu.core == "cortex-a72"
    assert set(facts(device)) == set(device.sources)


def test_a_price_is_a_board_s_own(tmp_path: Path) -> None:
    shipped = load_device("rpi4b", SPECS)
    assert shipped.price is not None
    assert "price.amount" in shipped.sources
    (tmp_path / "camera.toml").write_text('base = "rpi4b"\nname = "Camera"\n', encoding="utf-8")
    camera = load_device(str(tmp_path / "camera.toml"), SPECS)
    assert camera.price is None
    assert not [key for key in camera.sources if key.startswith("price")]
    assert camera.sources["cpu.clock_hz"] == shipped.sources["cpu.clock_hz"]


def test_a_spec_is_frozen() -> None:
    device = load_device("rpi4b", SPECS)
    with pytest.raises(ValidationError):
        device.ram_bytes = 1  # type: ignore[misc]


# Finding and reading a file


def test_unknown_device_names_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        load_device("rpi4", SPECS)
    assert caught.value.message == "unknown device 'rpi4'"
    assert "rpi4b" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["", "xyzzy", "README", "a\0b", "."])
def test_unknown_device_without_a_near_name_lists_some(name: str) -> None:
    with pytest.raises(SandboxError, match="unknown device"):
        load_device(name, SPECS)


def test_unknown_device_in_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no spec"):
        load_device("rpi4b", tmp_path)
    assert available_devices(tmp_path / "absent") == ()


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="no such file"):
        load_device(str(tmp_path / "absent.toml"), SPECS)
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(DataFileError, match="cannot be read"):
        load_device(str(tmp_path / "folder.toml"), SPECS)
    with pytest.raises(DataFileError, match="not a TOML file"):
        load_device("a\0b.toml", SPECS)


def test_a_syntax_error_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "board.toml").write_text('name = "x"\nram_bytes = 4 GB\n', encoding="utf-8")
    with pytest.raises(DataFileError, match=r"board.toml: not a TOML file: .*line 2"):
        load_device(str(tmp_path / "board.toml"), SPECS)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a = " + b"[" * 5000, b"a = " + b"9" * 5000])
def test_hostile_bytes_are_one_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "board.toml").write_bytes(content)
    with pytest.raises(DataFileError, match="not a TOML file"):
        load_device(str(tmp_path / "board.toml"), SPECS)


# What is wrong with a file


def test_the_minimal_spec_loads(tmp_path: Path) -> None:
    device = load_device(write(tmp_path, MINIMAL), SPECS)
    assert (device.board, device.memory, device.power, device.cpu.l2_bytes) == (None, None, None, None)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (changed(ram_bytes=...), "ram_bytes: is missing; write plain bytes, e.g. 4294967296"),
        (changed("cpu", clock_hz=...), "cpu.clock_hz: is missing; write plain hertz, e.g. 1500000000"),
        (changed("cpu", part=...), "cpu.part: is missing; write the number of /proc/cpuinfo, e.g. 0xd08"),
        (changed(cpu=...), "cpu: is missing; write a [cpu] table"),
        (changed(os=...), "os: is missing; write one [[os]] table for each system the device runs"),
        (changed(os=[]), "os: is empty; write one [[os]] table for each system the device runs"),
        (changed(os=MINIMAL["os"][0]), "os: is a table; write one [[os]] table for each system the device runs"),
        (changed("os", 0, page_size_bytes=...), "os.page_size_bytes: is missing; write 4096, 16384 or 65536"),
        (changed(ram_mb=512), "ram_mb: unknown key; did you mean ram_bytes?"),
        (changed("cpu", clock_mhz=1500), "cpu.clock_mhz: unknown key; did you mean clock_hz?"),
        (changed("os", 0, memtotal_bytes=1), "os.memtotal_bytes: unknown key; did you mean mem_total_bytes?"),
        (changed(id="x"), "id: unknown key; the file's name is the id"),
        (changed(ram_bytes="4GB"), "ram_bytes: is text; write plain bytes, e.g. 4294967296"),
        (changed(ram_bytes=4.0), "ram_bytes: is a fraction; write plain bytes, e.g. 4294967296"),
        (changed(ram_bytes=True), "ram_bytes: is true or false; write plain bytes, e.g. 4294967296"),
        (
            changed(ram_bytes=4),
            "ram_bytes: 4 looks like gigabytes; write plain bytes, e.g. 4294967296; here 4294967296",
        ),
        (
            changed(ram_bytes=512),
            "ram_bytes: 512 looks like megabytes; write plain bytes, e.g. 4294967296; here 536870912",
        ),
        (
            changed("cpu", clock_hz=1500),
            "cpu.clock_hz: 1500 looks like megahertz; write plain hertz, e.g. 1500000000; here 1500000000",
        ),
        (
            changed("memory", bandwidth_bytes_per_second=2500),
            (
                "memory.bandwidth_bytes_per_second: 2500 looks like megabytes a second; "
                "write plain bytes a second, e.g. 2500000000; here 2500000000"
            ),
        ),
        (changed(ram_bytes=-1), "ram_bytes: -1 cannot be right; write plain bytes, e.g. 4294967296"),
        (changed("cpu", cores=0), "cpu.cores: 0 cannot be right; write a whole number, e.g. 4"),
        (changed("cpu", revision=99), "cpu.revision: 99 cannot be right; write a number from 0 to 15"),
        (priced(amount=-1.0), "price.amount: -1.0 cannot be right; write a price, e.g. 35.0"),
        (
            priced(date="May 2024"),
            "price.date: 'May 2024' is not of the right form; write when it was listed, e.g. \"2024-06-24\"",
        ),
        (changed("power", idle_watts="2.7"), "power.idle_watts: is text; write watts, e.g. 2.7"),
        (changed("power", idle_watts=float("inf")), "power.idle_watts: inf cannot be right; write watts, e.g. 2.7"),
        (
            changed("os", 0, image="buster-arm64"),
            (
                "os.image: 'buster-arm64' is not known here; "
                "write one of bookworm-arm64, bookworm-armhf, bullseye-arm64, trixie-arm64, bookworm-amd64"
            ),
        ),
        (
            changed("cpu", bogomips="108"),
            "cpu.bogomips: '108' is not of the right form; write \"108.00\", as /proc/cpuinfo prints it",
        ),
        (changed(name=3), "name: is a whole number; write one line of text"),
        (changed(cpu=3), "cpu: is a whole number; write a [cpu] table"),
        (changed(board=["x"]), "board: is a list; write a [board] table"),
        (
            changed("os", 0, kernel_bits=32),
            "os.kernel_bits: bookworm-arm64 does not run on a 32-bit kernel; write 64 or leave it out",
        ),
        (
            changed("os", 0, mem_total_bytes=2**31),
            "os.mem_total_bytes: bookworm-arm64 cannot see more than ram_bytes; check both numbers",
        ),
        (
            changed("os", 0, os_used_bytes=2**30),
            "os.os_used_bytes: bookworm-arm64 would leave no memory at all; write total less available",
        ),
        (
            changed("cpu", sustained_clock_hz=2 * 10**9),
            "cpu.sustained_clock_hz: is above cpu.clock_hz; write the lower clock that holds under load",
        ),
        (changed(os=MINIMAL["os"] * 2), "os.image: bookworm-arm64 is listed 2 times; keep one"),
    ],
)
def test_one_clear_line_for_each_problem(tmp_path: Path, table: dict[str, Any], expected: str) -> None:
    assert problem(tmp_path, table) == expected


def test_an_unknown_key_unlike_any_other_lists_the_known_ones(tmp_path: Path) -> None:
    assert "known are hardware, revision, model" in problem(tmp_path, changed("board", qqq="x"))


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    lines = problem(tmp_path, changed("cpu", clock_hz=..., cores="four")).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["cpu.cores", "cpu.clock_hz"]


def test_a_dotted_source_key_without_quotes_is_explained(tmp_path: Path) -> None:
    assert "the key in quotes" in problem(tmp_path, changed(sources={"cpu": {"clock_hz": "datasheet"}}))


# base


def test_base_inherits_and_overrides(tmp_path: Path) -> None:
    first = changed("cpu", variant=1) | {"sources": {"ram_bytes": "a", "cpu.clock_hz": "a", "os.page_size_bytes": "a"}}
    write(tmp_path, first, "first")
    system = {"image": "trixie-arm64", "emulated_cpu": "cortex-a53", "page_size_bytes": 16384}
    second = {"base": "first", "cpu": {"clock_hz": 10**9}, "os": [system], "sources": {"cpu.clock_hz": "b"}}
    device = load_device(write(tmp_path, second, "second"), SPECS)
    assert (device.id, device.name, device.cpu.variant, device.cpu.clock_hz) == ("second", "Board", 1, 10**9)
    assert [choice.image for choice in device.os] == ["trixie-arm64"]
    assert device.sources == {"ram_bytes": "a", "cpu.clock_hz": "b"}, (
        "a source stays only with the value it vouches for"
    )


def test_base_may_be_a_shipped_spec_of_the_same_name(tmp_path: Path) -> None:
    device = load_device(write(tmp_path, {"base": "rpi4b", "name": "Mine"}, "rpi4b"), SPECS)
    assert (device.name, device.soc) == ("Mine", "Broadcom BCM2711")


@pytest.mark.parametrize("base", ["rpi4", "a\0b", "../device_specs/rpi4b", 3, [], {}])
def test_an_unknown_base_is_refused(tmp_path: Path, base: object) -> None:
    with pytest.raises(DataFileError, match=r"board.toml: base: no device spec named"):
        load_device(write(tmp_path, {"base": base}), SPECS)


def test_a_circle_of_bases_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {"base": "b"}, "a")
    write(tmp_path, {"base": "a"}, "b")
    with pytest.raises(DataFileError, match="base: a → b → a goes round in a circle"):
        load_device("a", tmp_path)
    write(tmp_path, {"base": "c"}, "c")
    with pytest.raises(DataFileError, match="base: c → c goes round in a circle"):
        load_device("c", tmp_path)


# Choosing a system


def test_select_os() -> None:
    device = load_device("rpi4b", SPECS)
    assert select_os(device, None) is device.os[0]
    assert select_os(device, "trixie-arm64").image == "trixie-arm64"
    with pytest.raises(UsageError) as caught:
        select_os(load_device("rpi5", SPECS), "bullseye-arm64")
    assert caught.value.hint == "choose one of bookworm-arm64, bookworm-armhf, trixie-arm64"


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


# Whatever a file holds, the tool's own error comes out


def loaded_or_refused(name: str) -> DeviceSpec | SandboxError:
    try:
        return load_device(name, SPECS)
    except SandboxError as error:
        return error


def _places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path] * bool(path) + [place for key, below in inner for place in _places(below, (*path, key))]


COMPLETE = MINIMAL | {
    "cpu": MINIMAL["cpu"]
    | {"bogomips": "38.40", "features_64": ["fp"], "sustained_clock_hz": 10**9, "l2_bytes": 2**19},
    "board": {"revision": "a02082", "model": "Board Rev 1"},
    "memory": {"bandwidth_bytes_per_second": 10**9},
    "power": {"idle_watts": 1.4},
    "os": [MINIMAL["os"][0] | {"mem_total_bytes": 2**29, "os_used_bytes": 2**27, "kernel_bits": 64}],
    "sources": {"ram_bytes": "datasheet"},
    "base": "rpi3b",
}
KEYS = st.text(st.characters(codec="utf-8"), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | KEYS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))
MUTATIONS = st.lists(
    st.tuples(st.sampled_from(_places(COMPLETE)), st.sampled_from(["set", "drop", "rename"]), VALUES, KEYS),
    min_size=1,
    max_size=3,
)


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(inner) for key, inner in value.items() if inner is not None}
    return [_without_null(inner) for inner in value if inner is not None] if isinstance(value, list) else value


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutations=MUTATIONS)
def test_mutated_specs_raise_nothing_but_our_errors(tmp_path: Path, mutations: list[tuple[Any, str, Any, str]]) -> None:
    spec: Any = copy.deepcopy(COMPLETE)
    for place, action, value, key in mutations:
        table = spec
        try:
            for step in place[:-1]:
                table = table[step]
            old = table.pop(place[-1])
        except (KeyError, IndexError, TypeError, AttributeError):
            continue  # an earlier mutation took the place away
        if isinstance(table, list):
            table.insert(place[-1], value)
        elif action != "drop":
            table[key if action == "rename" else place[-1]] = old if action == "rename" else value
    outcome = loaded_or_refused(write(tmp_path, _without_null(spec)))
    assert isinstance(outcome, DeviceSpec) or not re.search("pydantic|validation error", str(outcome))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200) | st.text(st.characters(codec="utf-8"), max_size=200).map(str.encode))
def test_random_bytes_raise_nothing_but_our_errors(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "board.toml").write_bytes(content)
    with pytest.raises(DataFileError):
        load_device(str(tmp_path / "board.toml"), SPECS)


@settings(deadline=None)
@given(name=st.text(max_size=300))
def test_random_names_raise_nothing_but_our_errors(name: str) -> None:
    outcome = loaded_or_refused(name)
    assert isinstance(outcome, DeviceSpec) or outcome.hint
