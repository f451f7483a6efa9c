"""A small virtual machine with cgroup v2, for hosts that have version 1: Debian's own kernel over this host's files.

The kernel comes through this host's apt and is kept in the cache; nothing is installed. The machine sees the host's
root read-only, and can write to one folder. It runs by plain emulation, so that it needs no KVM.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from sandbox import process
from sandbox.image.emulator import host_architecture
from sandbox.resources import cache_directory
from tests import host

_FOLDER = Path(__file__).parent
_PROJECT = _FOLDER.parents[1]
_QEMU = "qemu-system-x86_64"
_MODULES = ("drivers/virtio", "drivers/block/zram", "fs/9p", "fs/fscache", "fs/netfs", "fs/overlayfs", "net/9p", "mm")
"""Folders of the kernel's modules that hold what ``init`` loads and what that needs."""
_TARGETS = {"arm64": "aarch64-linux-musl", "armhf": "arm-linux-musleabihf"}
_GUEST_FOLDERS = ("dev", "edge", "emulator", "proc", "sys", "tmp")
_BOOT_SECONDS = 600


def host_has_cgroup_v2() -> bool:
    """Whether the tests on the host itself are on version 2 already."""
    top = Path("/sys/fs/cgroup/cgroup.controllers")
    return top.exists() and "memory" in top.read_text().split()


@functools.cache
def left_out() -> str | None:
    """Why this host cannot boot it, or None."""
    if host_architecture() != "amd64":
        return "the virtual machine is made for x86-64 hosts"
    if shutil.which(_QEMU) is None:
        return f"there is no {_QEMU}; next: apt-get install qemu-system-x86"
    for name in ("apt-get", "dpkg-deb"):
        if shutil.which(name) is None:
            return f"there is no {name} to get a kernel with"
    try:
        _kernel()
    except RuntimeError as error:
        return str(error)
    return None


def run(folder: Path) -> dict[str, Any]:
    """Boot, run `tests.vm.jobs`, and return what it told, by name; ``console`` is what the machine printed."""
    results = folder / "results"
    results.mkdir()
    images = {name: _guest(folder / name, target) for name, target in _TARGETS.items()}
    emulator = dataclasses.asdict(host.emulator())
    request = folder / "request.json"
    opened = [str(_PROJECT), str(emulator["root"]), *images.values()]
    request.write_text(json.dumps({"emulator": emulator, "images": images, "open": opened}, default=str))
    kernel = _kernel()
    initrd = folder / "initrd"
    _make_initrd(kernel / "tree", initrd)
    # 9p has the host's own numbers of files, which differ between its file systems: hence remap
    shares = [
        *("-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap"),
        *("-device", "virtio-9p-pci,fsdev=host,mount_tag=host"),
        *("-fsdev", f"local,id=results,path={results},security_model=none"),
        *("-device", "virtio-9p-pci,fsdev=results,mount_tag=results"),
    ]
    words = f"console=ttyS0 quiet panic=-1 python={sys.executable} project={_PROJECT} request={request}"
    machine = (_QEMU, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio")
    hardware = ("-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2G")
    software = ("-kernel", str(kernel / "vmlinuz"), "-initrd", str(initrd), "-append", words)
    done = process.run((*machine, *hardware, *software, *shares), timeout=_BOOT_SECONDS)
    told = {path.name: json.loads(path.read_text()) for path in results.iterdir() if path.stat().st_size}
    return {**told, "console": done.stdout + done.stderr}


def _guest(directory: Path, target: str) -> str:
    """An image folder with nothing in it but the program and the places that are mounted over."""
    root = directory / "root"
    for name in _GUEST_FOLDERS:
        (root / name).mkdir(parents=True)
    options = ("-O1", "-ffreestanding", "-fno-stack-protector", "-nostdlib", "-static", "-target", target)
    program = ("-o", str(root / "allocate"), str(_FOLDER / "allocate.c"))
    _must((sys.executable, "-m", "ziglang", "cc", *options, *program))
    return str(directory)


@functools.cache
def _kernel() -> Path:
    """The folder with ``vmlinuz`` and the ``tree`` to start from. Raises `RuntimeError` when apt cannot give them."""
    meta = _must(("apt-cache", "depends", "linux-image-amd64"))
    found = re.search(r"Depends: (linux-image-(\S+))$", meta, re.MULTILINE)
    if found is None:
        raise RuntimeError("apt knows no linux-image-amd64; next: apt-get update")
    package, release = found.groups()
    kept = cache_directory() / "test-kernels" / package
    if not kept.is_dir():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as work:
            _unpack(Path(work), package, release).rename(kept)
    return kept


def _unpack(work: Path, package: str, release: str) -> Path:
    """A folder with the kernel, and all of the first root file system but ``init``."""
    _must(("apt-get", "download", "-qq", package, "busybox-static"), cwd=work)
    for deb in work.glob("*.deb"):
        _must(("dpkg-deb", "-x", str(deb), str(work / "all")))
    made = work / "made"
    modules = Path("lib/modules") / release
    for name in ("bin", "proc"):
        (made / "tree" / name).mkdir(parents=True)
    shutil.copy(work / "all/bin/busybox", made / "tree/bin")
    for name in _MODULES:
        if (work / "all" / modules / "kernel" / name).is_dir():
            shutil.copytree(work / "all" / modules / "kernel" / name, made / "tree" / modules / "kernel" / name)
    for name in ("modules.builtin", "modules.order"):
        shutil.copy(work / "all" / modules / name, made / "tree" / modules)
    _must((str(made / "tree/bin/busybox"), "depmod", "-b", str(made / "tree"), release))
    shutil.copy(work / "all/boot" / f"vmlinuz-{release}", made / "vmlinuz")
    return made


def _make_initrd(tree: Path, out: Path) -> None:
    """``init`` comes as an archive of its own behind that of the tree: the kernel unpacks one after the other."""
    pack = 'b=$1/bin/busybox; cd "$1" && "$b" find . | "$b" cpio -o -H newc >"$3"'
    pack += ' && cd "$2" && echo init | "$b" cpio -o -H newc >>"$3"'
    _must(("/bin/sh", "-c", pack, "sh", str(tree), str(_FOLDER), str(out)))


def _must(argv: tuple[str, ...], cwd: Path | None = None) -> str:
    done = process.run(argv, timeout=300, cwd=cwd, env={**os.environ, "LC_ALL": "C"})
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv[:3])} failed: {done.stderr.strip()[-500:]}")
    return done.stdout
