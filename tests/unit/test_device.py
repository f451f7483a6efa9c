"""Device specs: every shipped file, the format's rules, and the /proc files made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sandbox.device import (
    available_devices,
    facts,
    load_device,
    memory_budget,
    render_cpuinfo,
    select_os,
)
from sandbox.errors import DataFileError, SandboxError, UsageError
from sandbox.metrics import Metric
from tests.unit.specs import MINIMAL, README_EXAMPLES, SHIPPED, SPECS, changed, priced, write


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
