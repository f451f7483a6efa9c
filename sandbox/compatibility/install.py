"""Which wheel of a runtime pip would take on an image, by the tags alone, from the wheels that the index has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from sandbox.compatibility_result import Install, KnownVersion
from sandbox.image.spec import WHEEL_MACHINES, ImageSpec

from .facts import BuildFacts, ImageFacts, IndexFacts, IndexWheel

_MANYLINUX = re.compile(r"manylinux_(\d+)_(\d+)_(\w+)")
_OLD_NAMES = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}  # PEP 600


def choose_wheel(index: IndexFacts | None, version: str, spec: ImageSpec) -> Install:
    """The wheel of ``version`` that pip would install on the image, or why there is none and which versions exist."""
    if index is None:
        return Install(status="unknown", wheel=None, reason="no table of the wheels that the package index has of it")
    by_version: dict[Version, list[IndexWheel]] = {}
    for wheel in index.wheels:
        try:
            by_version.setdefault(parse_wheel_filename(wheel.filename)[1], []).append(wheel)
        except InvalidWheelFilename:  # pip leaves such files out too
            continue
    accepted = _accepted_tags(spec)
    versions = tuple(_known(each, by_version[each], accepted, spec) for each in sorted(by_version, reverse=True))
    asked = next((known for known in versions if Version(known.version) == _version(version)), None)
    name = f"{index.runtime} {version}"
    if asked is None:
        reason = f"the package index had no wheel of {name} on {index.recorded}"
        return Install(status="fail", wheel=None, reason=f"{reason}; {_alternatives(versions)}", versions=versions)
    if not asked.fits:
        reason = f"no wheel of {name} for Python {spec.python} on {spec.id}: {asked.reason}"
        return Install(status="fail", wheel=None, reason=f"{reason}; {_alternatives(versions)}", versions=versions)
    return Install(
        status="pass",
        wheel=asked.reason,
        reason=f"pip takes {asked.reason}",
        tag_glibc=tag_glibc(asked.reason),
        versions=versions,
    )


def with_elf(install: Install, facts: BuildFacts, image: ImageFacts | None) -> Install:
    """The same with what the wheel's files need, and where its tag says something else."""
    from .elf import version_key  # noqa: PLC0415

    needs = [library.versions["GLIBC"] for library in facts.libraries if "GLIBC" in library.versions]
    if not needs:
        return install
    elf = max(needs, key=version_key)
    tag, has = install.tag_glibc, image.versions.get("GLIBC") if image else None
    reason = install.reason
    if tag and version_key(tag) < version_key(elf):
        reason += f"; its tag promises glibc {tag}, but its files need {elf}"
    elif tag and version_key(elf) < version_key(tag):
        reason += f"; its tag asks for glibc {tag} although its files need only {elf}"
    if has and version_key(has) < version_key(elf):
        reason += f": it does not load with the image's {has}"
    return install.model_copy(update={"elf_glibc": elf, "reason": reason})


def stricter_than_its_files(facts: BuildFacts, image: ImageFacts, spec: ImageSpec) -> str | None:
    """Of a wheel that pip refuses for its glibc tag: that its files would load on the image all the same."""
    from .elf import version_key  # noqa: PLC0415

    tag, has = tag_glibc(facts.wheel), image.versions.get("GLIBC")
    needs = [library.versions["GLIBC"] for library in facts.libraries if "GLIBC" in library.versions]
    if not tag or not has or not needs or version_key(tag) <= version_key(spec.glibc or has):
        return None
    elf = max(needs, key=version_key)
    if version_key(elf) > version_key(has):
        return None
    return f"the tag of {facts.wheel} asks for glibc {tag}, but its files need only {elf} and the image has {has}"


def tag_glibc(filename: str) -> str | None:
    """The glibc that a wheel's manylinux tag asks for, the oldest of several; None where it names none."""
    found = []
    for tag in parse_wheel_filename(filename)[3]:
        if match := _MANYLINUX.match(tag.platform):
            found.append((int(match[1]), int(match[2])))
        found += [version for name, version in _OLD_NAMES.items() if tag.platform.startswith(f"{name}_")]
    return ".".join(str(part) for part in min(found)) if found else None


def newest_version(index: IndexFacts) -> str:
    """The newest version that is no pre-release."""
    versions = [parse_wheel_filename(wheel.filename)[1] for wheel in index.wheels]
    return str(max((each for each in versions if not each.is_prerelease), default=max(versions)))


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except ValueError:
        return None


def _accepted_tags(spec: ImageSpec) -> Sequence[Tag]:
    """What pip on the image would accept, the best first (packaging's order is pip's)."""
    major, minor = (int(part) for part in (spec.python or "3.0").split("."))
    platforms = spec.wheel_platforms
    return (
        *cpython_tags((major, minor), platforms=platforms),
        *compatible_tags((major, minor), interpreter=f"cp{major}{minor}", platforms=platforms),
    )


def _known(version: Version, wheels: Iterable[IndexWheel], accepted: Sequence[Tag], spec: ImageSpec) -> KnownVersion:
    ranks = {tag: rank for rank, tag in enumerate(accepted)}
    fitting, refused = [], []
    for wheel in wheels:
        tags = parse_wheel_filename(wheel.filename)[3]
        best = min((ranks[tag] for tag in tags if tag in ranks), default=None)
        if best is None:
            refused.append(wheel)
        elif _python_allowed(wheel.requires_python, spec):
            fitting.append((best, wheel.filename))
    if fitting:
        return KnownVersion(version=str(version), fits=True, reason=min(fitting)[1])
    return KnownVersion(version=str(version), fits=False, reason=_refusal(refused, spec))


def _python_allowed(requires: str | None, spec: ImageSpec) -> bool:
    try:
        return not requires or not spec.python or f"{spec.python}.0" in SpecifierSet(requires)
    except InvalidSpecifier:  # pip ignores what it cannot read
        return True


def _refusal(wheels: Sequence[IndexWheel], spec: ImageSpec) -> str:
    """Why none of a version's wheels fits: machine first, then Python, then glibc."""
    machine = WHEEL_MACHINES[spec.architecture]
    tags = [tag for wheel in wheels for tag in parse_wheel_filename(wheel.filename)[3]]
    linux = [tag for tag in tags if "linux" in tag.platform]
    here = [tag for tag in linux if tag.platform.endswith(f"_{machine}")]
    if not here:
        machines = sorted({match[1] for tag in linux if (match := re.search(r"(x86_64|aarch64|armv7l|i686)$",
                                                                            tag.platform))})  # fmt: skip
        return f"none for {machine}" + (f", only for {', '.join(machines)}" if machines else "")
    python = f"cp{(spec.python or '3').replace('.', '')}"
    mine = [tag for tag in here if tag.interpreter in {python, "py3"} or tag.abi == "abi3"]
    if not mine:
        there = sorted({tag.interpreter for tag in here}, key=lambda name: (len(name), name))
        return f"none for {python} on {machine}, only for {', '.join(there)}"
    platforms = ", ".join(sorted({tag.platform for tag in mine}))
    return f"its tag {platforms} asks for a newer glibc than the image's {spec.glibc}"


def _alternatives(versions: Sequence[KnownVersion]) -> str:
    fitting = [known.version for known in versions if known.fits and not Version(known.version).is_prerelease]
    if not fitting:
        return "no version has a wheel for this image"
    more = f" and {len(fitting) - 4} older" if len(fitting) > 4 else ""
    return f"versions that fit: {', '.join(fitting[:4])}{more}"
