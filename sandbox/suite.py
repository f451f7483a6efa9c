"""Counts models of the zoo on emulated devices: ``calibration/suites.toml`` says which, with which builds."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from .device import load_device
from .engines.guard import Guard
from .errors import DataFileError, RunError
from .graph import ModelGraph, read_model
from .image.build import ImageBuilder
from .json_file import first_problem
from .metrics import Unavailable
from .model_counts import CountSet, ModelCounts
from .pipeline import profile, static_traffic
from .plan import JobName, ProfileRequest
from .record import Traffic
from .resources import data_directory
from .result import Result
from .zoo.classifiers import classifier

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found, unused-ignore]

_PRECISIONS = {"fp32": "float32", "int8": "int8", "uint8": "uint8"}


class CountPlan(BaseModel):
    """What one file of counts holds, and how it is made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    device: str
    """A device id, whose identity decides which kernels run."""
    os: str
    runtime: Annotated[str, Field(pattern=r"^[a-z-]+@[0-9.]+$")]
    delegates: bool = True
    threads: Annotated[int, Field(ge=1)] = 1
    models: dict[Literal["fp32", "int8", "uint8"], tuple[str, ...]]
    """dtype → names of models, or of lists of models."""


_LISTS: TypeAdapter[dict[str, list[str]]] = TypeAdapter(dict[str, list[str]])
_PLANS: TypeAdapter[tuple[CountPlan, ...]] = TypeAdapter(tuple[CountPlan, ...])


def load_plans(path: Path) -> tuple[CountPlan, ...]:
    """The plans in ``suites.toml``, with lists of models written out. Raises `DataFileError`."""
    try:
        document = tomllib.loads(path.read_text())
        lists = _LISTS.validate_python(document.get("lists", {}))
        plans = _PLANS.validate_python(document.get("counts", []))
    except (OSError, ValueError) as error:
        reason = first_problem(error) if isinstance(error, ValidationError) else error
        raise DataFileError(f"{path}: {reason}", hint="correct the file") from error
    return tuple(
        plan.model_copy(
            update={
                "models": {
                    dtype: tuple(model for name in names for model in lists.get(name, [name]))
                    for dtype, names in plan.models.items()
                }
            }
        )
        for plan in plans
    )


def count_models(
    plan: CountPlan, known: CountSet | None, builder: ImageBuilder, protector: Guard
) -> Iterator[CountSet]:
    """The set after each model that ``known`` does not hold yet, so that the caller can keep what is done."""
    counted = known
    for dtype, models in plan.models.items():
        for model in models:
            if counted is not None and counted.find(model, dtype) is not None:
                continue
            result, graph, traffic = profiled(plan, model, dtype, builder, protector)
            row = _row(model, dtype, result, len(graph.operators), traffic)
            counted = CountSet(
                id=plan.id,
                device=plan.device,
                os=plan.os,
                emulated_cpu=result.device.emulated_cpu,
                runtime=result.runtime.name,
                runtime_version=result.runtime.version,
                delegates=plan.delegates,
                threads=plan.threads,
                emulator=result.engine.emulator or "none",
                models=(*(counted.models if counted else ()), row),
            )
            yield counted


def profiled(
    plan: CountPlan,
    model: str,
    dtype: str,
    builder: ImageBuilder,
    protector: Guard,
    *,
    jobs: tuple[JobName, ...] = ("latency",),
) -> tuple[Result, ModelGraph, Traffic | None]:
    """The result, the graph that ran, and what its operators move on the device."""
    with tempfile.TemporaryDirectory(prefix="edge-sandbox-") as name, protector.protect("folder", name):
        folder = Path(name)
        path = folder / f"{model}_{dtype}.tflite"
        path.write_bytes(classifier(model, _PRECISIONS[dtype]))  # type: ignore[arg-type]
        request = ProfileRequest(
            model=path,
            device=plan.device,
            os=plan.os,
            runtime=plan.runtime,
            engine="local",
            threads=plan.threads,
            delegates=plan.delegates,
            jobs=jobs,
            inferences=(1, 1),
            timeout_seconds=1800.0,
        )
        graph, device = read_model(path), load_device(plan.device, data_directory("device_specs"))
        return profile(request, folder / "run", builder, protector), graph, static_traffic(graph, {}, device)


def _row(model: str, dtype: str, result: Result, operators: int, traffic: Traffic | None) -> ModelCounts:
    counts, weights = result.latency.counts, result.memory.weights
    for quantity in (counts.instructions, counts.critical_path, weights):
        if isinstance(quantity, Unavailable):
            reasons = "; ".join((quantity.unavailable, *result.verdict.reasons))
            raise RunError(f"{model} {dtype} was not counted: {reasons}", hint="profile it to see why")
    return ModelCounts.model_validate(
        {
            "model": model,
            "dtype": dtype,
            "instructions": int(counts.instructions.value),  # type: ignore[union-attr]
            "critical_path": int(counts.critical_path.value),  # type: ignore[union-attr]
            "weights_bytes": int(weights.value),  # type: ignore[union-attr]
            "operators": operators,
            "traffic": traffic,
            "classes": {name: count for name, count in counts.classes.items() if count},
        }
    )
