"""Build gaps: what the very build that a device would install can and cannot do, found without running anything.

`examine` is the one door. It reads the model, the shipped tables under ``compatibility/``, and for a build that they do
not hold the wheel in the cache, if an earlier run has brought it there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.compatibility_result import AbiFinding, Compatibility, CpuFinding, RecordedLoad, TableUse
from sandbox.device import DeviceSpec, OsChoice
from sandbox.graph import ModelGraph, read_dataflow
from sandbox.image.build import known_derived_lock
from sandbox.image.spec import ImageSpec, Lock
from sandbox.image.store import Store

from .abi import abi_findings
from .accelerators import accelerate, load_accelerator
from .cpu import cpu_findings, load_on
from .facts import BuildFacts, ImageFacts, load_build, load_image, load_index
from .install import choose_wheel, stricter_than_its_files, with_elf
from .kernel_costs import load_kernel_costs, with_costs
from .loads import load_loads, versions_around
from .operator_tables import load_table
from .operators import delegations, model_problems, operator_findings
from .wheel import read_wheel


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where the runtime would be installed."""

    device: DeviceSpec
    os: OsChoice
    spec: ImageSpec
    lock: Lock
    runtime: str
    version: str


def examine(
    graph: ModelGraph,
    target: Target,
    *,
    directory: Path,
    cache: Path,
    accelerators: Sequence[str] = (),
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> Compatibility:
    """All static findings. Raises `DataFileError` for a damaged table and `UsageError` for an unknown accelerator.

    ``directory``: the shipped tables; ``cache``: where wheels of earlier runs may lie; ``shapes``: of inputs.
    """
    runtime, version, spec = target.runtime, target.version, target.spec
    index = load_index(runtime, directory)
    install = choose_wheel(index, version, spec)
    image = load_image(spec.id, directory)
    facts = _facts(target, install.wheel, directory, cache)
    tables = [TableUse(name=f"wheels of {runtime}", source=index.source, date=index.recorded)] if index else []
    if facts is None:
        refused = _refused(index.wheels if index else (), target, directory, image)
        if refused:
            install = install.model_copy(update={"reason": f"{install.reason}; {refused}"})
    else:
        install = with_elf(install, facts, image)
        tables.append(
            TableUse(name=facts.wheel, source=f"read from its files, sha256 {facts.sha256[:12]}…", date=facts.recorded)
        )
    abi, abi_unavailable = _abi(facts, image, target)
    cpu, cpu_unavailable = _cpu(facts, target)
    table = load_table(runtime, version, spec.architecture, directory)
    if table is not None:
        source = f"dumped from the build in {table.image}"
        tables.append(TableUse(name=f"operators of {runtime} {version}", source=source, date=table.recorded))
    operators = operator_findings(graph, table)
    costs = load_kernel_costs(spec.architecture, directory) if graph.format == "tflite" else None
    if costs is not None:
        core = target.os.emulated_cpu
        operators = with_costs(operators, costs, read_dataflow(graph, shapes or {}), (runtime, version), core)
        if any(each.cost for each in operators if each.status != "delegated"):
            source = f"counted on {core} under emulation with {', '.join(costs.models)}"
            tables.append(TableUse(name="costs of kernels", source=source, date=costs.recorded))
    lists = {each: load_accelerator(each, directory) for each in dict.fromkeys(accelerators)}
    tables += [
        TableUse(name=f"operators of {each.name}", source=each.source, date=each.date) for each in lists.values()
    ]
    load = load_on(facts, spec.id, target.os) if facts else None
    loads, os = load_loads(spec.id, directory), target.os
    around = versions_around(loads, runtime, version, os.emulated_cpu, os.page_size_bytes) if loads else ()
    return Compatibility(
        install=install,
        abi=abi,
        abi_unavailable=abi_unavailable,
        cpu=cpu,
        cpu_unavailable=cpu_unavailable,
        load=RecordedLoad(emulated_cpu=load.emulated_cpu, outcome=load.outcome, detail=load.detail) if load else None,
        ran=tuple(f"{runtime} {each}" for each in around),
        operators=operators,
        operators_unavailable=None if table else f"no table of {runtime} {version} on {spec.architecture} was dumped",
        weight_types=graph.weight_types,
        model=tuple(model_problems(graph, table)),
        delegations=delegations(operators),
        accelerators=tuple(accelerate(graph, each, known) for each, known in lists.items()),
        tables=tuple(tables),
    )


def _facts(target: Target, wheel: str | None, directory: Path, cache: Path) -> BuildFacts | None:
    """The build's facts: shipped, or read from the cache; None where neither has it."""
    lock, name, version = target.lock, target.runtime, target.version
    locked = next((w for w in lock.wheels if (w.name, w.version) == (name, version)), None)
    if locked is None:
        derived = known_derived_lock(Store(cache), lock, name, version)
        locked = next((w for w in derived.wheels if (w.name, w.version) == (name, version)), None) if derived else None
    filename = locked.filename if locked else wheel
    if filename is None:
        return None
    shipped = load_build(filename, directory)
    if shipped is not None and (locked is None or shipped.sha256 == locked.sha256):
        return shipped
    downloads = Store(cache).downloads
    if locked is None or not downloads.has(locked.sha256):
        return None
    return read_wheel(
        downloads.path(locked.sha256), filename=filename, runtime=name, version=version, recorded=lock.resolved[:8]
    )


def _refused(wheels: Sequence[object], target: Target, directory: Path, image: ImageFacts | None) -> str | None:
    """A wheel of the version that only its tag keeps from the image, if one was read."""
    python = f"-cp{(target.spec.python or '').replace('.', '')}-"
    for wheel in wheels:
        filename = str(getattr(wheel, "filename", ""))
        if f"-{target.version}-" in filename and python in filename and image is not None:
            facts = load_build(filename, directory)
            same = facts is not None and all(each.machine == target.spec.architecture for each in facts.libraries)
            if facts is not None and same and (sentence := stricter_than_its_files(facts, image, target.spec)):
                return sentence
    return None


def _abi(
    facts: BuildFacts | None, image: ImageFacts | None, target: Target
) -> tuple[tuple[AbiFinding, ...], str | None]:
    if facts is None:
        build = f"{target.runtime}@{target.version}"
        return (), f"the files of {build} were not read yet: a profile with --runtime {build} brings them"
    if image is None:
        return (), f"no table says what {target.spec.id} offers"
    found = abi_findings(facts, image, spec=target.spec, lock=target.lock, device=target.device, os=target.os)
    return found, None


def _cpu(facts: BuildFacts | None, target: Target) -> tuple[tuple[CpuFinding, ...], str | None]:
    if facts is None:
        return (), "the files of the build were not read yet"
    found = cpu_findings(facts, target.device, target.os)
    return ((), found) if isinstance(found, str) else (found, None)
