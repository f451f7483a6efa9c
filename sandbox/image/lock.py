"""``images lock``: resolve an image's packages and wheels to exact files. A maintainer's command; needs apt.

apt resolves with a private state, a foreign architecture and no installed packages, and checks the archives'
signatures against the host's Debian keyring, so the hashes that land in the lock are Debian's.
"""

from __future__ import annotations

import json
import re
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import unquote

from sandbox import process
from sandbox.errors import DataFileError, HostError
from sandbox.progress import Progress

from .archives import Sources, fetch_debs
from .spec import ImageSpec, Lock, LockedDeb, LockedWheel
from .store import Store
from .wheels import resolve_wheels

_KEYRINGS = ("/usr/share/keyrings/debian-archive-keyring.pgp", "/usr/share/keyrings/debian-archive-keyring.gpg")
_TIMEOUT_SECONDS = 600.0
_URI_LINE = re.compile(r"'(?P<uri>[^']+)' (?P<file>\S+) (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})")


def resolve_lock(spec: ImageSpec, *, sources: Sources, store: Store, progress: Progress) -> Lock:
    """Resolve and download everything. Raises `HostError` without apt or network, `NoSuchWheel`."""
    resolved = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    with progress.task(f"resolving {spec.id}"):
        debs = _resolve_debs(spec, sources)
        wheels = tuple(w for runtime in spec.runtimes for w in resolve_wheels(runtime, spec, store.downloads))
    fetch_debs(debs, resolved=resolved, sources=sources, downloads=store.downloads, progress=progress)
    return Lock(image=spec.id, resolved=resolved, debs=debs, wheels=wheels)


def derive_lock(base: Lock, wheels: tuple[LockedWheel, ...]) -> Lock:
    """The lock of ``base`` with other runtimes' wheels instead of its own."""
    return base.model_copy(update={"wheels": wheels})


def write_lock(lock: Lock, directory: Path) -> Path:
    """Write ``<directory>/<image>/lock.json``, one file a line so that changes can be reviewed."""
    path = directory / lock.image / "lock.json"
    document = lock.model_dump()
    head = {key: value for key, value in document.items() if not isinstance(value, (list, tuple))}
    lines = [json.dumps(head)[1:-1]]
    for key in ("debs", "wheels"):
        rows = ",\n  ".join(json.dumps(row) for row in document[key])
        lines.append(f'"{key}": [\n  {rows}\n]' if rows else f'"{key}": []')
    path.write_text("{" + ",\n".join(lines) + "}\n")
    return path


def _resolve_debs(spec: ImageSpec, sources: Sources) -> tuple[LockedDeb, ...]:
    keyring = next((k for k in _KEYRINGS if Path(k).is_file()), None)
    if keyring is None:
        raise HostError("this host has no Debian archive keyring", hint="apt-get install debian-archive-keyring")
    with tempfile.TemporaryDirectory(prefix="edge-sandbox-apt-") as scratch:
        options = _private_apt(Path(scratch), spec, sources, keyring)
        for command in (["update"], ["install", "--print-uris", "--yes", "-qq", *spec.packages]):
            done = process.run(["apt-get", *options, *command], timeout=_TIMEOUT_SECONDS)
            if done.returncode != 0:
                problem = next((t for t in (done.stderr + done.stdout).splitlines() if t.startswith("E:")), "failed")
                raise HostError(f"apt cannot resolve {spec.id}: {problem}", hint="check the packages and the mirror")
    debs = [_locked_deb(line, sources) for line in done.stdout.splitlines() if line.startswith("'")]
    if not debs:
        raise DataFileError(f"{spec.id}: apt resolved to no package at all", hint="check `packages` in its image.toml")
    return tuple(sorted(debs, key=lambda deb: deb.name))


def _private_apt(scratch: Path, spec: ImageSpec, sources: Sources, keyring: str) -> list[str]:
    for folder in ("lists/partial", "cache/archives/partial", "etc"):
        (scratch / folder).mkdir(parents=True)
    status, listing = scratch / "status", scratch / "etc/sources.list"
    status.touch()
    entries = []
    for suite in spec.suites:
        security = suite.endswith("-security")
        roots = [root for root in sources.mirrors if root.endswith("-security") == security]
        entries += [f"deb [arch={spec.architecture} signed-by={keyring}] {root} {suite} main" for root in roots[:1]]
    listing.write_text("\n".join(entries) + "\n")
    settings = {
        "Dir::Etc": scratch / "etc",
        "Dir::Etc::sourcelist": listing,
        "Dir::Etc::sourceparts": "-",
        "Dir::State": scratch,
        "Dir::State::lists": scratch / "lists",
        "Dir::State::status": status,
        "Dir::Cache": scratch / "cache",
        "APT::Architecture": spec.architecture,
        "APT::Architectures::": spec.architecture,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
        "Acquire::ForceHash": "SHA256",
        "Acquire::Retries": "3",
        "Acquire::Check-Valid-Until": "false",  # an archived release has an old Release file; its signature still holds
        "Debug::NoLocking": "true",
    }
    return [argument for key, value in settings.items() for argument in ("-o", f"{key}={value}")]


def _locked_deb(line: str, sources: Sources) -> LockedDeb:
    match = _URI_LINE.match(line)
    if match is None:
        raise DataFileError(f"apt printed no sha256: {line}", hint="use apt 2.0 or newer")
    roots = sorted(sources.mirrors, key=len, reverse=True)
    root = next((root for root in roots if match["uri"].startswith(f"{root}/")), None)
    if root is None:
        raise DataFileError(f"{match['uri']} is in none of the archives that apt was given", hint="name another mirror")
    name, version, _rest = match["file"].split("_", 2)
    return LockedDeb(
        name=name,
        version=unquote(version),
        path=unquote(match["uri"].removeprefix(f"{root}/")),
        size_bytes=int(match["size"]),
        sha256=match["sha256"],
    )
