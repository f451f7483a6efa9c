"""Would the loader accept the wheel's files on the image and the device? Needs of each file against what is there."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from sandbox.compatibility_result import AbiFinding, FindingStatus
from sandbox.device import DeviceSpec, OsChoice
from sandbox.image.spec import ImageSpec, Lock

from .elf import version_key
from .facts import BuildFacts, ImageFacts, LibraryFacts

_ARM_VERSIONS = {4: "ARMv5TE", 6: "ARMv6", 7: "ARMv6KZ", 8: "ARMv6T2", 9: "ARMv6K", 10: "ARMv7", 14: "ARMv8"}
"""Tag_CPU_arch of Arm's build attributes."""
_ARMV6, _ARMV7 = 7, 10
_PARTS_BEFORE_ARMV7 = {0x926, 0x946, 0xB02, 0xB36, 0xB56, 0xB76}
"""MIDR parts of Arm's ARM9 and ARM11 cores (Linux, arch/arm/include/asm/cputype.h); ARM1176 is the Pi Zero's."""


def abi_findings(
    facts: BuildFacts, image: ImageFacts, *, spec: ImageSpec, lock: Lock, device: DeviceSpec, os: OsChoice
) -> tuple[AbiFinding, ...]:
    """Every need that is not met, and for each kind of need that is met the strictest one."""
    own = {name for library in facts.libraries for name in (library.file.rpartition("/")[2],)}
    found = [
        finding
        for library in facts.libraries
        for finding in (
            *_versions(library, image),
            *_libraries(library, image, own),
            *_machine(library, spec),
            *_alignment(library, os),
            *_python(library, spec),
            *_numpy(library, lock),
            *_arm(library, device, os),
        )
    ]
    found += _requirements(facts, lock)
    bad = [finding for finding in found if finding.status != "pass"]
    return (*bad, *_strictest(found))


def _strictest(found: list[AbiFinding]) -> Iterator[AbiFinding]:
    """One met need of each kind: of symbol versions the newest."""
    kinds: dict[str, AbiFinding] = {}
    for finding in found:
        if finding.status != "pass":
            continue
        kind, _, version = finding.need.rpartition("_") if finding.need[:1].isupper() else (finding.need, "", "0")
        known = kinds.get(kind)
        if known is None or ("_" in finding.need and _number(version) > _number(known.need.rpartition("_")[2])):
            kinds[kind] = finding
    yield from kinds.values()


def _number(version: str) -> tuple[int, ...]:
    try:
        return version_key(version)
    except ValueError:
        return (0,)


def _finding(library: LibraryFacts, need: str, has: str, *, ok: bool, reason: str = "") -> AbiFinding:
    status: FindingStatus = "pass" if ok else "fail"
    return AbiFinding(file=library.file, need=need, has=has, status=status, reason="" if ok else reason)


def _versions(library: LibraryFacts, image: ImageFacts) -> Iterator[AbiFinding]:
    for space, need in library.versions.items():
        has = image.versions.get(space)
        if has is None:
            continue  # a library's own namespace, met by the library that it comes from or listed as missing
        yield _finding(
            library,
            f"{space}_{need}",
            f"{space}_{has}",
            ok=version_key(need) <= version_key(has),
            reason=f"version `{space}_{need}' not found: {image.image} has {space} up to {has}",
        )


def _libraries(library: LibraryFacts, image: ImageFacts, own: set[str]) -> Iterator[AbiFinding]:
    for soname in library.needed:
        there = soname in image.sonames or soname in own
        if not there:
            yield _finding(
                library, soname, "not there", ok=False,
                reason=f"cannot open shared object file {soname}: {image.image} has no such library",
            )  # fmt: skip


def _machine(library: LibraryFacts, spec: ImageSpec) -> Iterator[AbiFinding]:
    yield _finding(
        library, f"machine {library.machine}", spec.architecture, ok=library.machine == spec.architecture,
        reason=f"made for {library.machine}, the image is {spec.architecture}",
    )  # fmt: skip


def _alignment(library: LibraryFacts, os: OsChoice) -> Iterator[AbiFinding]:
    if not library.alignment_bytes:
        return
    page = os.page_size_bytes
    yield _finding(
        library,
        "segment alignment",
        f"{library.alignment_bytes} bytes, pages of {page}",
        ok=library.alignment_bytes % page == 0,
        reason=f"ELF load command alignment not page-aligned: segments are aligned to {library.alignment_bytes} bytes, "
        f"the device's pages have {page}",
    )


def _python(library: LibraryFacts, spec: ImageSpec) -> Iterator[AbiFinding]:
    if library.python is not None and spec.python is not None:
        yield _finding(
            library, f"Python {library.python}", f"Python {spec.python}", ok=library.python == spec.python,
            reason=f"an extension for Python {library.python}; the image has {spec.python}, which does not look for it",
        )  # fmt: skip


def numpy_version(lock: Lock) -> str | None:
    """The upstream version of the image's NumPy."""
    deb = next((deb.version for deb in lock.debs if deb.name == "python3-numpy"), None)
    return deb.rpartition(":")[2].partition("-")[0].partition("+")[0] if deb else None


def _numpy(library: LibraryFacts, lock: Lock) -> Iterator[AbiFinding]:
    has = numpy_version(lock)
    if library.numpy is None or has is None:
        return
    yield _finding(
        library,
        f"C API of NumPy {library.numpy}",
        f"NumPy {has}",
        ok=library.numpy == "1 or 2" or Version(has).major < 2,
        reason=f"compiled using NumPy 1.x: it cannot be run in NumPy {has}, and fails with _ARRAY_API not found when "
        "an interpreter is made",
    )


def _requirements(facts: BuildFacts, lock: Lock) -> Iterator[AbiFinding]:
    has = numpy_version(lock)
    for text in facts.requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if canonicalize_name(requirement.name) != "numpy" or has is None:
            continue
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        ok = requirement.specifier.contains(has, prereleases=True)
        reason = "" if ok else f"the wheel's metadata asks for {requirement}, the image has NumPy {has} of Debian"
        yield AbiFinding(
            file=facts.wheel, need=str(requirement), has=f"NumPy {has}", status="pass" if ok else "fail", reason=reason
        )


def _arm(library: LibraryFacts, device: DeviceSpec, os: OsChoice) -> Iterator[AbiFinding]:
    arm = library.arm
    if arm is None:
        return
    older = device.cpu.implementer == 0x41 and device.cpu.part in _PARTS_BEFORE_ARMV7
    features = device.cpu.features_32
    core = f"{device.cpu.core}, {'ARMv6' if older else 'ARMv7 or newer'}"
    if arm.architecture is not None:
        name = _ARM_VERSIONS.get(arm.architecture, f"Tag_CPU_arch {arm.architecture}")
        cpu = f" (CPU name {arm.cpu_name})" if arm.cpu_name else ""
        yield _finding(
            library, f"{name}{cpu}", core, ok=arm.architecture < _ARMV7 or not older,
            reason=f"its .ARM.attributes say {name}{cpu}; {device.cpu.core} is an ARMv6 core: illegal instruction",
        )  # fmt: skip
    if os.has_64_bit_kernel and features is None:  # an Armv8 core has NEON and VFPv4 in its 32-bit state too
        return
    for value, least, need, words in (
        (arm.simd, 1, "NEON", {"neon", "asimd"}),
        (arm.simd, 2, "NEON with fused multiply-add", {"vfpv4", "asimd"}),
        (arm.fpu, 3, "VFPv3", {"vfpv3", "vfpv4", "asimd"}),
        (arm.fpu, 5, "VFPv4", {"vfpv4", "asimd"}),
    ):
        if value is None or value < least or features is None:
            continue
        yield _finding(
            library, need, "its core has it" if words & set(features) else "its core has it not",
            ok=bool(words & set(features)),
            reason=f"its .ARM.attributes ask for {need}, which the Features of {device.id} do not name",
        )  # fmt: skip
