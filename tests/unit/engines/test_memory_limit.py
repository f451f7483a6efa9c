"""Where a memory limit can be set: the layouts of both cgroup versions, as /proc and folders show them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sandbox import process
from sandbox.engines.memory_limit import (
    MemoryLimit,
    memory_hierarchies,
    open_limit,
    own_limit_bytes,
    remove_cgroup,
    settle_in_scope,
)

V1_CGROUP = "9:name=systemd:/\n4:memory:/jobs/mine\n2:cpu,cpuacct:/\n0::/\n"
V1_MOUNTS = (
    "31 23 0:28 / {top} rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / {top}/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / {top}/memory rw,relatime shared:5 - cgroup cgroup rw,memory\n"
)
V2_CGROUP = "0::/user.slice/session-2.scope\n"
V2_MOUNTS = "35 24 0:30 / {top} rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
TOP = Path("/sys/fs/cgroup")


def hierarchies(cgroup: str, mounts: str) -> list[tuple[int, Path, Path]]:
    return memory_hierarchies(cgroup, mounts.format(top=TOP))


def test_version_1() -> None:
    assert hierarchies(V1_CGROUP, V1_MOUNTS) == [(1, TOP / "memory", TOP / "memory/jobs/mine")]


def test_version_2() -> None:
    assert hierarchies(V2_CGROUP, V2_MOUNTS) == [(2, TOP, TOP / "user.slice/session-2.scope")]


def test_both_at_once() -> None:
    unified = V2_MOUNTS.replace("{top}", "{top}/unified")
    assert hierarchies(V1_CGROUP, V1_MOUNTS + unified) == [
        (1, TOP / "memory", TOP / "memory/jobs/mine"),
        (2, TOP / "unified", TOP / "unified"),
    ]


def test_controllers_mounted_together() -> None:
    mounts = "35 31 0:32 / /sys/fs/cgroup/all rw - cgroup cgroup rw,cpu,memory\n"
    assert hierarchies("4:cpu,memory:/mine\n", mounts) == [(1, TOP / "all", TOP / "all/mine")]


@pytest.mark.parametrize(
    ("root", "path", "own"),
    [
        ("/", "/", "."),
        ("/", "/a/b", "a/b"),
        ("/docker/id", "/docker/id", "."),  # a container without a cgroup namespace
        ("/docker/id", "/docker/id/inner", "inner"),
        ("/docker/id", "/elsewhere", "."),
    ],
)
def test_place_below_the_mount(root: str, path: str, own: str) -> None:
    mounts = f"35 24 0:30 {root} /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    assert hierarchies(f"0::{path}\n", mounts) == [(2, TOP, TOP / own)]


@pytest.mark.parametrize(
    "line",
    [
        "36 24 0:31 / /mnt rw - fuse.portal  rw,user_id=0\n",  # an empty source
        "36 24 0:31 / /mnt rw - tmpfs  rw\n",
        "36 24 0:31 / /mnt/a\\040memory rw - ext4 /dev/vda rw\n",
        "36 24 0:31 / /mnt rw master:1 propagate_from:2 - overlay overlay rw,lowerdir=/a,upperdir=/b\n",
    ],
)
def test_other_mounts_do_not_matter(line: str) -> None:
    assert hierarchies(V2_CGROUP, line) == []
    assert hierarchies(V2_CGROUP, line + V2_MOUNTS) == hierarchies(V2_CGROUP, V2_MOUNTS)


def test_a_mount_point_with_a_blank() -> None:
    mounts = "35 24 0:30 / /my\\040cgroups rw - cgroup2 cgroup2 rw\n"
    assert hierarchies("0::/\n", mounts) == [(2, Path("/my cgroups"), Path("/my cgroups"))]


def test_a_host_without_cgroups() -> None:
    assert memory_hierarchies("", "") == []


def layout(folder: Path, cgroup: str, mounts: str) -> Path:
    """Write what /proc/self would hold; ``{top}`` is ``folder/cgroup``."""
    proc = folder / "proc"
    proc.mkdir()
    (proc / "cgroup").write_text(cgroup)
    (proc / "mountinfo").write_text(mounts.format(top=folder / "cgroup"))
    return proc


def make(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def test_limit_of_version_1(tmp_path: Path) -> None:
    own = make(tmp_path / "cgroup/memory/jobs/mine")
    limit = open_limit("x-1", 1000, proc=layout(tmp_path, V1_CGROUP, V1_MOUNTS))
    assert limit.mechanism == "cgroup v1"
    assert limit.enforced
    assert limit.directory == own / "edge-sandbox-x-1"
    assert limit.launcher[-1] == f"{limit.directory}/cgroup.procs"
    assert (limit.directory / "memory.limit_in_bytes").read_text() == "1000"
    assert not (limit.directory / "memory.memsw.limit_in_bytes").exists(), "a kernel without swap accounting"
    (limit.directory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    assert limit.kills() == 2


def test_the_lowest_limit_around_this_process(tmp_path: Path) -> None:
    make(tmp_path / "cgroup/memory", memory__limit_in_bytes="9223372036854771712\n")
    make(tmp_path / "cgroup/memory/jobs", memory__limit_in_bytes="5000\n")
    make(tmp_path / "cgroup/memory/jobs/mine", memory__limit_in_bytes="7000\n")
    proc = layout(tmp_path, V1_CGROUP, V1_MOUNTS)
    assert own_limit_bytes(proc=proc) == 5000


@pytest.mark.parametrize(("text", "limit"), [("max\n", None), ("4096\n", 4096), ("", None)])
def test_a_limit_of_version_2_around_this_process(tmp_path: Path, text: str, limit: int | None) -> None:
    make(tmp_path / "cgroup/user.slice", memory__max=text)
    assert own_limit_bytes(proc=layout(tmp_path, V2_CGROUP, V2_MOUNTS)) == limit


def test_limit_of_version_2_beside_this_process(tmp_path: Path) -> None:
    make(tmp_path / "cgroup", cgroup__controllers="cpu memory pids")
    slice_ = make(tmp_path / "cgroup/user.slice", cgroup__subtree_control="memory pids")
    make(slice_ / "session-2.scope", cgroup__subtree_control="")
    limit = open_limit("x-1", 1000, proc=layout(tmp_path, V2_CGROUP, V2_MOUNTS))
    assert limit.mechanism == "cgroup v2"
    assert limit.directory == slice_ / "edge-sandbox-x-1"
    assert sorted(path.name for path in limit.directory.iterdir()) == ["memory.max"]
    assert (limit.directory / "memory.max").read_text() == "1000"
    limit.set(2000)
    assert (limit.directory / "memory.max").read_text() == "2000"
    assert limit.limit_bytes == 2000
    (limit.directory / "memory.events").write_text("low 0\nmax 9\noom 1\noom_kill 1\noom_group_kill 7\n")
    assert limit.kills() == 1
    (limit.directory / "memory.events").unlink()
    assert limit.kills() == 1, "the last count outlives the cgroup"


SCOPE_CGROUP = "0::/app.slice/run-1.scope\n"


def own_scope(folder: Path, *pids: int) -> tuple[Path, Path]:
    """The folders of a delegated scope with these processes in it, and of /proc/self."""
    make(folder / "cgroup", cgroup__controllers="cpu memory pids")
    make(folder / "cgroup/app.slice", cgroup__subtree_control="memory pids")
    procs = "".join(f"{pid}\n" for pid in pids)
    scope = make(folder / "cgroup/app.slice/run-1.scope", cgroup__subtree_control="", cgroup__procs=procs)
    return scope, layout(folder, SCOPE_CGROUP, V2_MOUNTS)


def test_in_its_own_scope_the_tool_steps_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_SANDBOX_SCOPE", "1")
    scope, proc = own_scope(tmp_path, os.getpid())
    settle_in_scope(proc=proc)
    assert (scope / "edge-sandbox-tool/cgroup.procs").read_text() == str(os.getpid())
    assert (scope / "cgroup.subtree_control").read_text() == "+memory"
    # what the kernel makes of it
    (scope / "cgroup.subtree_control").write_text("memory\n")
    (proc / "cgroup").write_text("0::/app.slice/run-1.scope/edge-sandbox-tool\n")
    (scope / "edge-sandbox-tool/cgroup.subtree_control").write_text("")
    for name in ("x-1", "x-2"):  # the second job's is beside the first, not below
        assert open_limit(name, 1000, proc=proc).directory == scope / f"edge-sandbox-{name}"


@pytest.mark.parametrize(("told", "others"), [("", ()), ("1", (1,))])
def test_a_scope_that_is_not_its_own_is_left_alone(
    told: str, others: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_SANDBOX_SCOPE", told)
    scope, proc = own_scope(tmp_path, os.getpid(), *others)
    settle_in_scope(proc=proc)
    assert sorted(path.name for path in scope.iterdir()) == ["cgroup.procs", "cgroup.subtree_control"]
    assert (scope / "cgroup.subtree_control").read_text() == ""


@pytest.mark.parametrize(
    ("controllers", "subtree"), [("cpu pids", "memory"), ("cpu memory pids", "cpu pids"), ("", "")]
)
def test_version_2_without_the_memory_controller(controllers: str, subtree: str, tmp_path: Path) -> None:
    make(tmp_path / "cgroup", cgroup__controllers=controllers)
    make(tmp_path / "cgroup/user.slice", cgroup__subtree_control=subtree)
    make(tmp_path / "cgroup/user.slice/session-2.scope", cgroup__subtree_control="")
    limit = open_limit("x-1", 1000, proc=layout(tmp_path, V2_CGROUP, V2_MOUNTS))
    assert (limit.mechanism, limit.enforced, limit.limit_bytes) == ("watchdog", False, 1000)


def test_without_cgroups_a_watchdog_says_so(tmp_path: Path) -> None:
    limit = open_limit("x-1", 1000, proc=tmp_path / "none")
    assert (limit.mechanism, limit.enforced, limit.directory, limit.kills()) == ("watchdog", False, None, 0)
    limit.set(2000)
    assert limit.limit_bytes == 2000
    limit.close()


def test_a_taken_name_is_not_shared(tmp_path: Path) -> None:
    own = make(tmp_path / "cgroup/memory/jobs/mine")
    make(own / "edge-sandbox-x-1")
    assert open_limit("x-1", 1000, proc=layout(tmp_path, V1_CGROUP, V1_MOUNTS)).mechanism == "watchdog"


def test_no_limit_asked_for() -> None:
    limit = open_limit("x-1", None)
    assert (limit.mechanism, limit.directory, limit.limit_bytes) == ("none", None, None)


def test_remove(tmp_path: Path) -> None:
    directory = make(tmp_path / "edge-sandbox-x")
    remove_cgroup(directory)
    assert not directory.exists()
    remove_cgroup(directory)
    MemoryLimit(mechanism="cgroup v2", directory=directory).close()


@pytest.mark.subprocess
@pytest.mark.parametrize("joined", [False, True])
def test_launcher_joins_and_becomes_the_program(joined: bool, tmp_path: Path) -> None:
    procs = make(tmp_path / "cgroup/memory/jobs/mine") / "edge-sandbox-x-1/cgroup.procs"
    limit = open_limit("x-1", 1000 if joined else None, proc=layout(tmp_path, V1_CGROUP, V1_MOUNTS))
    program = ("/bin/sh", "-c", 'ulimit -c; echo "$@"; echo $$', "sh", "a b", "$HOME")
    with process.start((*limit.launcher, *program), stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        printed = running.stdout.read().decode().splitlines()
    assert printed == ["0", "a b $HOME", str(running.pid)]
    assert procs.exists() == joined
    if joined:
        assert procs.read_text() == f"{running.pid}\n"


@pytest.mark.parametrize(
    ("name", "text", "kernel"),
    [
        ("memory.kmem.usage_in_bytes", "700000\n", 700_000),
        ("memory.stat", "anon 5\nkernel 800000\nkernel_stack 16384\n", 800_000),
        ("memory.stat", "anon 5\nkernel_stack 16384\npagetables 8192\npercpu 720\nslab 4096\nslab_x 7\n", 29_392),
        ("memory.stat", "cache 5\n", 0),
        ("memory.kmem.usage_in_bytes", "what\n", 0),
    ],
)
def test_room_for_what_the_kernel_keeps(name: str, text: str, kernel: int, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    room = MemoryLimit(mechanism="cgroup", directory=tmp_path).room_bytes()
    assert room == MemoryLimit(mechanism="watchdog").room_bytes() + kernel
