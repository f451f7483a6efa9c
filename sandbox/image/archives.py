"""Where .debs come from: the host's apt configuration, an address given by the user, or a Debian snapshot.

No mirror address is written here. Sources, in order: ``--mirror`` or ``$EDGE_SANDBOX_MIRROR`` (an address or a
folder), the Debian entries of the host's apt sources, the Debian template that python-apt ships (Ubuntu), and for
versions that the mirrors have since replaced a snapshot: ``$EDGE_SANDBOX_SNAPSHOT``, or the one that the apt
sources name in a comment as Debian's container images do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from sandbox.errors import DataFileError, HostError
from sandbox.progress import Progress

from .spec import LockedDeb
from .store import Downloads

_APT_SOURCES = Path("/etc/apt")
_PYTHON_APT_TEMPLATE = Path("/usr/share/python-apt/templates/Debian.info")
_URI = re.compile(r"(?<![\w+])(?:https?|file):[^\s\]]+")  # not mirror+file:, tor+http: and the like
_MIRROR_LIST = re.compile(r"(?<!\S)mirror\+file:(?://)?(/\S+)")
_COMMENT = re.compile(r"(?:^|\s)#.*", re.MULTILINE)
_DEBIAN_ARCHIVE = re.compile(r"/debian(-security)?/?$")
_SNAPSHOT = re.compile(r"(https?://\S+?)/archive/debian(?:-security)?/\d{8}T\d{6}Z")
_CONNECT_SECONDS, _READ_SECONDS = 15, 60
_RETRIES = 3
"""A mirror may drop one of a hundred connections or be busy: it is asked again, three times within two seconds."""
_BUSY = (429, 500, 502, 503, 504)
_MIRROR_HINT = (
    "set EDGE_SANDBOX_MIRROR to the address or folder of a Debian mirror (its root, the folder that holds pool/)"
)


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Archive roots to try in order, and the root of a snapshot service if one is known."""

    mirrors: tuple[str, ...]
    snapshot: str | None = None

    def candidates(self, path: str, resolved: str) -> tuple[str, ...]:
        """Addresses at which ``path`` (``pool/…``) may be found; ``resolved`` is the lock's snapshot time."""
        roots = list(self.mirrors)
        if self.snapshot:
            roots += [f"{self.snapshot}/archive/{name}/{resolved}" for name in ("debian", "debian-security")]
        return tuple(f"{root}/{quote(path, safe='/~') if _is_address(root) else path}" for root in roots)


def find_sources(mirror: str | None = None) -> Sources:
    """Debian archives that this host knows of; ``mirror`` or ``$EDGE_SANDBOX_MIRROR`` come before apt's."""
    chosen = mirror or os.environ.get("EDGE_SANDBOX_MIRROR")
    texts = [p.read_text(errors="replace") for p in _apt_source_files()]
    lists = [Path(name) for text in texts for name in _MIRROR_LIST.findall(_COMMENT.sub("", text))]
    texts += [path.read_text(errors="replace") for path in lists if path.is_file()]
    roots = _with_security([_as_root(chosen)]) if chosen else ()
    roots += tuple(root for text in texts for root in debian_roots(text))
    if not roots and _PYTHON_APT_TEMPLATE.is_file():
        template = _PYTHON_APT_TEMPLATE.read_text(errors="replace")
        roots = _with_security(r for r in debian_roots(template) if not r.endswith("-security"))
    snapshot = os.environ.get("EDGE_SANDBOX_SNAPSHOT") or next((s for t in texts if (s := snapshot_root(t))), None)
    return Sources(mirrors=tuple(dict.fromkeys(roots)), snapshot=snapshot.rstrip("/") if snapshot else None)


def debian_roots(apt_sources: str) -> tuple[str, ...]:
    """Roots of Debian archives in apt sources text (one-line or deb822 form), comments left out."""
    found = (match.rstrip("/") for match in _URI.findall(_COMMENT.sub("", apt_sources)))
    return tuple(dict.fromkeys(uri for uri in found if _DEBIAN_ARCHIVE.search(urlsplit(uri).path)))


def snapshot_root(apt_sources: str) -> str | None:
    """The snapshot service that apt sources name, be it in a comment, or None."""
    match = _SNAPSHOT.search(apt_sources)
    return match[1] if match else None


def fetch_debs(
    debs: Sequence[LockedDeb], *, resolved: str, sources: Sources, downloads: Downloads, progress: Progress
) -> None:
    """Bring every .deb into ``downloads``, four at a time. Raises `HostError` when one cannot be had."""
    missing = [deb for deb in debs if not downloads.has(deb.sha256)]
    if not missing:
        return
    if not sources.mirrors and not sources.snapshot:
        raise HostError("this host's apt configuration names no Debian archive", hint=_MIRROR_HINT)
    total = sum(deb.size_bytes for deb in missing)
    with progress.task("downloading Debian packages", total=total) as advance, ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(_fetch, deb, resolved, sources, downloads) for deb in missing]
        try:
            for deb, job in zip(missing, jobs, strict=True):
                job.result()
                advance(deb.size_bytes)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _fetch(deb: LockedDeb, resolved: str, sources: Sources, downloads: Downloads) -> None:
    problems = []
    for address in sources.candidates(deb.path, resolved):
        try:
            content = _read(address)
        except OSError as error:  # requests' exceptions are OSErrors too
            problems.append(f"{_shown(address)}: {_reason(error)}")
            continue
        try:
            downloads.add(content, sha256=deb.sha256, name=_shown(address, whole=True))
        except DataFileError as error:
            problems.append(str(error.message))
            continue
        return
    raise HostError(
        f"cannot get {Path(deb.path).name}: " + "; ".join(dict.fromkeys(problems)),
        hint="check the network; if the mirror has replaced this version, set EDGE_SANDBOX_SNAPSHOT to a Debian "
        "snapshot service (the part before /archive/), or EDGE_SANDBOX_MIRROR to a mirror that has it",
    )


def _read(address: str) -> bytes:
    if address.startswith(("http:", "https:")):
        # slow to import, and needed only when something must be downloaded
        import requests  # noqa: PLC0415
        from requests.adapters import HTTPAdapter  # noqa: PLC0415
        from urllib3 import Retry  # noqa: PLC0415

        again = Retry(
            total=_RETRIES,
            connect=1,  # at once: who has no network is not to wait
            backoff_factor=0.3,
            status_forcelist=_BUSY,
            respect_retry_after_header=False,
            raise_on_status=False,
        )
        with requests.Session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(max_retries=again))
            response = session.get(address, timeout=(_CONNECT_SECONDS, _READ_SECONDS))
        response.raise_for_status()
        return response.content
    return Path(unquote(urlsplit(address).path) if _is_address(address) else address).read_bytes()


def _reason(error: OSError) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP {response.status_code}"
    return error.strerror or type(error).__name__


def _shown(address: str, *, whole: bool = False) -> str:
    """An address for people: its host, unless the ``whole`` is asked for; without the password it may hold."""
    if not address.startswith(("http:", "https:")):
        return address
    host = urlsplit(address).netloc.rpartition("@")[2]
    return urlsplit(address)._replace(netloc=host).geturl() if whole else host


def _is_address(root: str) -> bool:
    return "://" in root or root.startswith("file:")


def _as_root(address: str) -> str:
    return address.rstrip("/") if _is_address(address) else str(Path(address).absolute())


def _with_security(roots: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for root in roots for name in (root, f"{root}-security"))


def _apt_source_files() -> list[Path]:
    parts = _APT_SOURCES / "sources.list.d"
    files = [_APT_SOURCES / "sources.list", *sorted([*parts.glob("*.sources"), *parts.glob("*.list")])]
    return [path for path in files if path.is_file()]
