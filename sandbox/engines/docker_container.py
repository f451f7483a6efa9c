"""A job as a container: one description, said once to the Docker API and once as a command line for people."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .base import GUEST_RUN_DIR, LARGEST_FILE_BYTES, Mount

_PROCESSES = 1024
_TMPFS = {"/tmp": "rw,exec,nosuid,nodev,mode=1777", "/sys": "rw,nosuid,nodev,noexec,mode=755"}
"""A private /tmp, and nothing of the host's /sys."""

_ULIMITS = {"core": 0, "fsize": LARGEST_FILE_BYTES}
_NAMES = {"dns": ["127.0.0.1"], "dns_search": ["."]}
"""Docker would write the host's name servers and domain into the container, network or not."""


@dataclass(frozen=True, kw_only=True)
class Container:
    """What a job's container is made of. The run folder is all it can write to, beside its own /tmp."""

    image: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    hostname: str
    user: str
    run_dir: Path
    mounts: tuple[Mount, ...]
    memory_bytes: int | None
    """The first limit: the guest's and what the emulator may use until that is measured."""

    def options(self) -> dict[str, Any]:
        """Keyword arguments of the SDK's ``containers.create``, without the name."""
        from docker import types  # noqa: PLC0415  # only a run with containers pays for it

        mounts = [types.Mount(m.target, str(m.source), type="bind", read_only=True) for m in self.mounts]
        memory = (
            {} if self.memory_bytes is None else {"mem_limit": self.memory_bytes, "memswap_limit": self.memory_bytes}
        )
        return {
            "image": self.image,
            "command": list(self.argv),
            "environment": dict(self.env),
            "hostname": self.hostname,
            "user": self.user,
            "working_dir": GUEST_RUN_DIR,
            "labels": {"edge-sandbox": str(os.getpid())},
            # a signal that the first process of a namespace sends itself is ignored: a crash there would hang
            "init": True,
            "network_mode": "none",
            **_NAMES,
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "pids_limit": _PROCESSES,
            "ulimits": [types.Ulimit(name=name, soft=most, hard=most) for name, most in _ULIMITS.items()],
            "log_config": types.LogConfig(type="none"),  # what it prints is read from the stream, all of it
            "tmpfs": dict(_TMPFS),
            "mounts": [*mounts, types.Mount(GUEST_RUN_DIR, str(self.run_dir), type="bind")],
            **memory,
        }

    def command_line(self) -> tuple[str, ...]:
        """The ``docker run`` that does the same, once the image has been imported."""
        words = ["docker", "run", "--rm", "--pull", "never", "--init", "--network", "none", "--read-only"]
        words += [word for key, values in _NAMES.items() for word in (f"--{key.replace('_', '-')}", *values)]
        words += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--pids-limit", str(_PROCESSES)]
        words += [word for name, most in _ULIMITS.items() for word in ("--ulimit", f"{name}={most}:{most}")]
        words += ["--user", self.user, "--hostname", self.hostname]
        if self.memory_bytes is not None:
            words += ["--memory", f"{self.memory_bytes}b", "--memory-swap", f"{self.memory_bytes}b"]
        for target, mode in _TMPFS.items():
            words += ["--tmpfs", f"{target}:{mode}"]
        for mount in self.mounts:
            words += ["--mount", f"type=bind,source={mount.source},target={mount.target},readonly"]
        words += ["--mount", f"type=bind,source={self.run_dir},target={GUEST_RUN_DIR}", "--workdir", GUEST_RUN_DIR]
        for key, value in sorted(self.env.items()):
            words += ["--env", f"{key}={value}"]
        return (*words, self.image, *self.argv)
