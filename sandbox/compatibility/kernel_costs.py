"""What a build's kernels cost in instructions for each multiply-accumulate: ``compatibility/kernel_costs/``.

``python -m tests.record_kernel_costs`` writes the files, from emulated runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.compatibility_result import KernelCost, OperatorFinding
from sandbox.errors import DataFileError
from sandbox.graph.dataflow import Dataflow
from sandbox.graph.macs import multiply_accumulates
from sandbox.metrics import Metric, Quantity


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KernelRow(_Frozen):
    """All operators of one type and precision in the models, by one build on one core."""

    runtime: str
    version: str
    emulated_cpu: str
    delegates: bool = True
    """Whether the runtime applied the delegates that it applies by itself."""
    type: str
    dtype: str
    library: str
    """The kernel library that ran most of the instructions."""
    operators: int = Field(ge=1)
    macs: int = Field(ge=1)
    instructions: int = Field(ge=1)
    """Of all these operators together, in one inference of each model."""
    low: float = Field(gt=0)
    """Instructions for each multiply-accumulate, in the operator that takes fewest; to four places."""
    high: float = Field(gt=0)

    @property
    def per_mac(self) -> float:
        """Instructions for each multiply-accumulate, over all operators."""
        return self.instructions / self.macs

    @property
    def build(self) -> str:
        """Runtime and version."""
        return f"{self.runtime} {self.version}"


class KernelCosts(_Frozen):
    """The builds of one architecture."""

    architecture: str
    recorded: str
    """Date, ISO 8601."""
    emulator: str
    models: tuple[str, ...]
    rows: tuple[KernelRow, ...]

    def of_build(self, runtime: str, version: str, emulated_cpu: str, kind: str, dtype: str | None) -> KernelRow | None:
        """The row of exactly this build, core, operator type and precision, as the build runs by itself."""
        key = (runtime, version, emulated_cpu, kind, dtype, True)
        rows = (
            (row, (row.runtime, row.version, row.emulated_cpu, row.type, row.dtype, row.delegates)) for row in self.rows
        )
        return next((row for row, its in rows if its == key), None)

    def best(self, emulated_cpu: str, kind: str, dtype: str | None) -> KernelRow | None:
        """The build that takes fewest instructions on this core, as it runs by itself."""
        key = (emulated_cpu, kind, dtype, True)
        rows = [row for row in self.rows if (row.emulated_cpu, row.type, row.dtype, row.delegates) == key]
        return min(rows, key=lambda row: row.per_mac, default=None)


def load_kernel_costs(architecture: str, directory: Path) -> KernelCosts | None:
    """The table of an architecture, None where there is none. Raises `DataFileError` for a damaged one."""
    path = directory / "kernel_costs" / f"{architecture}.json"
    if not path.is_file():
        return None
    try:
        return KernelCosts.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataFileError(
            f"{path}: no table of kernel costs: {str(error).splitlines()[0]}",
            hint="python -m tests.record_kernel_costs",
        ) from error


def with_costs(
    findings: Sequence[OperatorFinding],
    costs: KernelCosts,
    flows: Sequence[Dataflow],
    build: tuple[str, str],
    emulated_cpu: str,
) -> tuple[OperatorFinding, ...]:
    """Findings of a TFLite model in the file's order, with what those that run in the build's own kernels cost.

    ``flows``: all its graphs, as `sandbox.graph.read_dataflow` gives them; ``build``: runtime and version.
    """
    return tuple(
        _with_cost(finding, costs, macs, build, emulated_cpu)
        for finding, macs in zip(findings, _macs(findings, flows), strict=True)
    )


def _macs(findings: Sequence[OperatorFinding], flows: Sequence[Dataflow]) -> Iterator[Quantity]:
    for finding in findings:
        flow = flows[finding.subgraph]
        custom = finding.status in {"custom", "flex"}
        yield multiply_accumulates(finding.type, flow, flow.steps[finding.index], custom=custom)


def _with_cost(
    finding: OperatorFinding, costs: KernelCosts, macs: Quantity, build: tuple[str, str], emulated_cpu: str
) -> OperatorFinding:
    best = costs.best(emulated_cpu, finding.type, finding.dtype)
    own = costs.of_build(*build, emulated_cpu, finding.type, finding.dtype)
    if best is None or not isinstance(macs, Metric) or not macs.value:
        return finding
    # native: a run may find it in reference kernels; delegated: a run may find that the delegate left it out
    if finding.status not in {"fallback", "native", "delegated"} or (best == own and finding.status != "delegated"):
        return finding
    cost = KernelCost(
        macs=macs,
        best_build=best.build,
        best_library=best.library,
        best_instructions=_predicted(best, macs, costs),
    )
    if own is None or finding.status != "fallback":
        return finding.model_copy(update={"cost": cost})
    update = {"cost": cost, "library": own.library, "instructions": _predicted(own, macs, costs)}
    return finding.model_copy(update=update)


def _predicted(row: KernelRow, macs: Metric, costs: KernelCosts) -> Metric:
    return Metric(
        value=round(macs.value * row.per_mac),
        low=round(macs.value * row.low),
        high=round(macs.value * row.high),
        unit="instruction",
        mode="predicted",
        source=f"kernels of {row.build} counted on {row.emulated_cpu}, {costs.recorded}, {costs.emulator}",
    )
