"""QEMU's system mode: its command line, and a program without an operating system on a Cortex-M3."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

import pytest
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

from sandbox import process
from sandbox.image.emulator import Emulator, system_mode
from tests import host

PROGRAM = r"""
static int semihosting(int operation, const void *argument)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}
void reset(void)
{
    static const unsigned exit_status_3[] = {0x20026, 3}; /* ADP_Stopped_ApplicationExit */
    semihosting(0x04, "hello\n");                         /* SYS_WRITE0 */
    semihosting(0x20, exit_status_3);                     /* SYS_EXIT_EXTENDED */
    for (;;) {
    }
}
__attribute__((section(".vectors"), used)) static const void *const vectors[] = {(void *)0x20004000, (void *)reset};
"""
LAYOUT = """ENTRY(reset)
SECTIONS { . = 0; .flash : { KEEP(*(.vectors)) *(.text*) *(.rodata*) } /DISCARD/ : { *(.ARM.exidx*) } }
"""


def test_command_line() -> None:
    emulator = Emulator(
        version="7.2", digest="", architecture="arm64", triplet="aarch64-linux-gnu", root=Path("/emulator")
    )
    words = system_mode(emulator, "mps2-an385")
    assert words[0] == "/emulator/usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1"
    assert words[3:6] == ("/emulator/usr/bin/qemu-system-arm", "-machine", "mps2-an385")


def compiled(folder: Path) -> Path:
    """`PROGRAM` for a Cortex-M3, with the compiler that compiles the native parts."""
    (folder / "program.c").write_text(PROGRAM)
    (folder / "layout.ld").write_text(LAYOUT)
    zig = str(distribution("ziglang").locate_file("ziglang/zig"))
    argv = [zig, "cc", "-target", "thumb-freestanding-eabi", "-mcpu=cortex_m3", "-O2", "-nostdlib"]
    argv += ["-fno-sanitize=all", "-Wl,-T,layout.ld", "program.c", "-o", "program.elf"]
    cache = {"ZIG_GLOBAL_CACHE_DIR": str(folder / "zig"), "ZIG_LOCAL_CACHE_DIR": str(folder / "zig")}
    done = process.run(argv, timeout=120, env=cache, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "program.elf"


@pytest.mark.engine("local")
def test_a_program_on_a_cortex_m3(tmp_path: Path) -> None:
    emulator = host.builder().system_emulator()
    argv = [*system_mode(emulator, "mps2-an385"), "-kernel", str(compiled(tmp_path))]
    done = process.run(argv, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (3, "hello\n")


@pytest.mark.engine("local")
def test_the_image_has_every_library_that_it_needs() -> None:
    """One that is left out would be taken from the host, where it is there, and be missing elsewhere."""
    emulator = host.builder().system_emulator()
    libraries = emulator.root / "usr/lib" / emulator.triplet
    needed, seen = {emulator.root / "usr/bin/qemu-system-arm"}, set()
    while needed:
        path = needed.pop()
        seen.add(path)
        assert path.is_file(), f"{path.name} is not in the image"
        with path.open("rb") as file:
            dynamic = ELFFile(file).get_section_by_name(".dynamic")
            assert isinstance(dynamic, DynamicSection)
            names = {tag.needed for tag in dynamic.iter_tags("DT_NEEDED")}  # type: ignore[attr-defined]  # it has one
        needed |= {libraries / name for name in names} - seen
    assert len(seen) > 40
