"""Stands for Renode where there is none: reads the script that it is given, and goes wrong in the way asked for.

What it prints has the form of the recorded runs in tests/data/renode. Its first argument is the way.
"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

VERSIONS = {"old": "Renode v1.13.2.1\n", "no-version": "sh: renode: something else entirely\n"}
STAMP = "03:19:06.0360"


def main(way: str, arguments: list[str]) -> None:
    if "--version" in arguments:
        print(VERSIONS.get(way, "Renode v1.16.1.2670\n  build: d66b0c2a-202611210127\n"), end="")
        return
    print(
        f"{STAMP} [INFO] Loaded monitor commands from: RENODE/scripts/monitor.py\nRenode, version 1.16.1\n", flush=True
    )
    if "--console" not in arguments or "--disable-gui" not in arguments or sys.stdin.read():
        time.sleep(600)  # a monitor on telnet waits for somebody to call
    config = Path(arguments[arguments.index("--config") + 1])
    assert config.parent == Path(arguments[-1]).parent, "the user's own configuration would be read and written"
    for line in Path(arguments[-1]).read_text().splitlines():
        step(way, line)
    print("Renode is quitting")


def refuse(way: str, line: str, folder: Path) -> None:
    """Say what is wrong with the line, and end as Renode does: with status 0."""
    word, loads = line.partition(" ")[0], "LoadPlatformDescription" in line
    told = None
    if way == "unknown-command" and word == "logLevel":
        told = "No such command or device: logLevel\n(m) 03:19:35.9630 [INFO] m: Disposed."
    if way == "missing-platform" and loads:
        told = f"There was an error executing command '{line}'\nCould not find file '/nonexistent.repl'."
    if way == "newer" and loads and "SemihostingUart @ cpu" in (folder / "board.repl").read_text():
        told = f"There was an error executing command '{line}'\nError E28: No suitable register method was found."
    if way == "newer" and word == "console":
        told = "No such command or device: console"
    if told is not None:
        print(told)
    if told is not None or (way == "ends-early" and "RunFor" in line):
        sys.exit(0)


def step(way: str, line: str) -> None:
    folder = Path(sys.argv[-1]).parent
    refuse(way, line, folder)
    if "RunFor" in line:
        run(way)
    if line.startswith("echo"):
        print(line.partition(" ")[2].strip('"'))
    if line == "cpu ExecutedInstructions":
        print("0x00000000002DCBA0\n")
    elif line == "cpu PC":
        print("0x80001fc")
    elif line.startswith("sysbus ReadDoubleWord"):
        values = {"0xe000ed28": 0x00010000 if way == "fault" else 0}
        print(f"0x{values.get(line.rsplit(maxsplit=1)[-1].lower(), 0):08X}")
    elif "DumpBinary" in line:
        dump(way, folder, line)


def run(way: str) -> None:
    script = Path(sys.argv[-1]).read_text()
    hooks = {name: at for at, name in re.findall(r'cpu AddHook (0x[0-9a-f]+) "self.ErrorLog\(\'MARK (\w+)', script)}
    if way == "abort-never-returns":
        print(
            f"{STAMP} [ERROR] cpu: CPU abort [PC=0x70000000]: Trying to execute code outside RAM or ROM at 0x70000000."
        )
        sys.stdout.flush()
        time.sleep(600)
    if way == "never-returns":
        time.sleep(600)
    if way == "flood":
        Path(sys.argv[-1]).with_name("console.txt").write_bytes(b"x" * (1 << 20))
        time.sleep(600)
    if "begin" in hooks:
        print(f"{STAMP} [ERROR] cpu: MARK begin 1239")
    if way == "stray":
        where = "[cpu: 0x80001FC] WriteDoubleWord to non existing peripheral at 0x20050000, value 0x12345678."
        print(f"{STAMP} [WARNING] sysbus: {where} (7)")
        print(f"{STAMP} [WARNING] sysbus: [cpu: 0x8000198] ReadDoubleWord from non existing peripheral at 0x40021000.")
    if way == "guard":
        print(f"{STAMP} [ERROR] guard1: GUARD Write 4 at 0x20020000L from 0x80001FC")
    if way == "fault":
        print(f"{STAMP} [ERROR] cpu: FAULT 3 lr 0xFFFFFFF9 sp 0x2001FF00")
    elif way == "exit":
        print(f"{STAMP} [ERROR] cpu: EXIT 24 131110")
    elif "end" in hooks:
        print(f"{STAMP} [ERROR] cpu: MARK end 301242")


def dump(way: str, folder: Path, line: str) -> None:
    content = bytearray(b"\xa5" * (128 << 10))
    if way == "fault":
        content[0x1FF00 + 0x18 : 0x1FF00 + 0x1C] = (0x08000048).to_bytes(4, "little")
    (folder / line.rpartition("/")[2]).write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
