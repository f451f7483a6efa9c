"""What the runner found, as it stands in the run folder, and what that changes in the result. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from sandbox.errors import DataFileError
from sandbox.metrics import Metric, Quantity, Unavailable
from sandbox.result import Check, Engine, Result
from sandbox.verdict import judge

from .outcome import Arena, Flash, Kernels, MicrocontrollerPart, OperatorWork

RECORD = "runner.json"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OperatorCount(_Frozen):
    """One operator as TFLM ran it, in order."""

    type: str
    instructions: int


class TensorBytes(_Frozen):
    """An output, by its digest."""

    size_bytes: int
    sha256: str


class RunnerRecord(_Frozen):
    """The whole file."""

    schema_version: Literal[1] = 1
    library: str
    kernels: Kernels
    architecture: str
    emulator: str
    engine: Literal["qemu-system", "renode"]
    machine: str
    differs: tuple[str, ...]
    failure: str | None
    minimum_bytes: int | None
    used_bytes: int | None
    instructions: int | None
    operators: tuple[OperatorCount, ...]
    outputs: tuple[TensorBytes, ...]
    own_flash: Quantity
    all_flash: Quantity
    not_linked: tuple[str, ...] = ()
    """Operators that `all_flash` is without: parts of their kernels are in no library."""
    ram_without_arena_bytes: int
    stack_bytes: int | None


def write_runner(run_dir: Path, record: RunnerRecord) -> None:
    """Write what was found."""
    (run_dir / RECORD).write_text(record.model_dump_json(indent=1) + "\n")


def read_runner(run_dir: Path) -> RunnerRecord | None:
    """Read it; None in a folder without. Raises `DataFileError` for a damaged one."""
    path = run_dir / RECORD
    if not path.is_file():
        return None
    try:
        return RunnerRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataFileError(f"{path}: {where}: {first['msg']}", hint="run the profile again") from error


def with_runner(result: Result, record: RunnerRecord) -> Result:
    """The result with the emulated core's figures in place of the predicted ones."""
    part = result.microcontroller
    assert part is not None
    arena = _arena(record)
    operators, matched = _operators(part.operators, record)
    compared = _compare(part, record)
    part = part.model_copy(
        update={
            "level": "runner",
            "arenas": (arena, *part.arenas),
            "flash": _flash(part.flash, record),
            "operators": operators,
            "notes": (*_notes(part, record, matched=matched), *([compared] if compared else [])),
        }
    )
    checks = _checks(result, arena, record)
    engine = Engine(
        name=record.engine,
        emulator=record.emulator,
        emulator_digest=None,
        isolation="no file of this host is granted to the program",
        memory_limit=f"machine {record.machine}",
    )
    return result.model_copy(
        update={
            "microcontroller": part,
            "checks": checks,
            "verdict": judge(checks),
            "engine": engine,
            "warnings": part.notes,
        }
    )


def _arena(record: RunnerRecord) -> Arena:
    source = f"{record.emulator}, {record.machine}, TFLM {record.library} ({record.kernels} kernels)"
    why = Unavailable(unavailable=record.failure or "TFLM does not say")

    def size(value: int | None, how: str) -> Quantity:
        return why if value is None else Metric(value=value, unit="byte", mode="emulated", source=f"{source}{how}")

    apart = Unavailable(unavailable="TFLM on the core tells only the sum")
    return Arena(
        where="device",
        kernels=record.kernels,
        minimum=size(record.minimum_bytes, ", searched by success, exact to 16 bytes"),
        recorded=size(record.used_bytes, ", arena_used_bytes()"),
        head=apart,
        tail=apart,
    )


def _flash(flash: Flash, record: RunnerRecord) -> Flash:
    code = record.own_flash
    if isinstance(code, Unavailable) or isinstance(flash.model, Unavailable):
        return flash
    total = code.value + flash.model.value
    source = "model and the runner with its operators"
    return flash.model_copy(
        update={"code": code, "total": Metric(value=total, unit="byte", mode="measured", source=source)}
    )


def _operators(works: tuple[OperatorWork, ...], record: RunnerRecord) -> tuple[tuple[OperatorWork, ...], bool]:
    """Counts beside the operators of the main subgraph, if TFLM ran just these in this order."""
    main = [work for work in works if work.subgraph == 0]
    ran = [count.type for count in record.operators]
    if [work.type for work in main] != ran or not ran:
        return works, False
    source = f"{record.emulator}, a second run with marks at every operator"
    counts = iter(record.operators)
    return tuple(
        work.model_copy(
            update={
                "instructions": Metric(
                    value=next(counts).instructions, unit="instruction", mode="emulated", source=source
                )
            }
        )
        if work.subgraph == 0
        else work
        for work in works
    ), True


def _compare(part: MicrocontrollerPart, record: RunnerRecord) -> str | None:
    """Whether the core gave the very bytes that this host did."""
    if not part.outputs or not record.outputs:
        return None
    same = [one.sha256 for one in part.outputs] == [one.sha256 for one in record.outputs]
    if same:
        return "outputs on the emulated core are the same bytes as TFLM's on this host"
    return (
        "outputs on the emulated core differ from TFLM's on this host: in the last bits for float models, or by kernels"
    )


def _notes(part: MicrocontrollerPart, record: RunnerRecord, *, matched: bool) -> list[str]:
    kept = [note for note in part.notes if "are predicted: a run on an emulated core" not in note]
    found = [f"TFLM {record.library}: {record.kernels} kernels, {record.architecture}", *record.differs]
    if record.instructions is not None:
        found.append(f"one Invoke() runs {record.instructions} instructions on the emulated core")
    if isinstance(record.all_flash, Metric):
        lost = f", without {', '.join(record.not_linked)}: the library lacks parts of them" if record.not_linked else ""
        size = f"{record.all_flash.value:.0f} bytes of flash"
        found.append(f"the runner with all of the library's operators takes {size}{lost}")
    else:
        found.append(f"flash with all operators is unavailable: {record.all_flash.unavailable}")
    if record.stack_bytes is not None:
        found.append(f"the stack used {record.stack_bytes} bytes beside the arena")
    if not matched and record.operators:
        found.append("TFLM ran other operators than the model file lists: its counts are in runner.json alone")
    return [*found, *kept]


def _checks(result: Result, arena: Arena, record: RunnerRecord) -> tuple[Check, ...]:
    checks = []
    for check in result.checks:
        if check.id == "memory" and isinstance(arena.minimum, Metric) and isinstance(check.limit, Metric):
            room, need = check.limit.value, arena.minimum.value
            status: Literal["pass", "fail"] = "pass" if need <= room else "fail"
            words = f"arena of {need:.0f} bytes, found on the emulated core, of {room:.0f}"
            fix = None if status == "pass" else "use a smaller model or input, or take a device with more RAM"
            checks.append(
                Check(id="memory", status=status, value=arena.minimum, limit=check.limit, reason=words, fix=fix)
            )
        elif check.id == "run":
            if record.failure is not None:
                checks.append(Check(id="run", status="fail", reason=record.failure))
            else:
                reason = f"TFLM ran the model on {record.emulator}, machine {record.machine}"
                checks.append(Check(id="run", status="pass", reason=reason))
        elif check.id == "flash" and isinstance(record.own_flash, Metric) and isinstance(check.limit, Metric):
            total = _flash_total(result, record)
            fits: Literal["pass", "fail"] = "pass" if total is None or total <= check.limit.value else "fail"
            words = (
                check.reason if total is None else f"{total:.0f} bytes of code and model, of {check.limit.value:.0f}"
            )
            checks.append(check.model_copy(update={"status": fits, "reason": words}))
        else:
            checks.append(check)
    return tuple(checks)


def _flash_total(result: Result, record: RunnerRecord) -> float | None:
    part = result.microcontroller
    if part is None or isinstance(part.flash.model, Unavailable) or isinstance(record.own_flash, Unavailable):
        return None
    return part.flash.model.value + record.own_flash.value
