"""Build gaps → checks: the findings of files alone, and what a run adds to them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from .compatibility_result import (
    AbiFinding,
    Compatibility,
    CpuFinding,
    Delegation,
    OperatorFinding,
    OperatorStatus,
)
from .graph.macs import COPIES
from .measurements import Op, ReachedCode
from .metrics import Metric
from .result import Check
from .verdict import Failure

BAD: Mapping[OperatorStatus, str] = {
    "missing": "not in this build",
    "too_new": "of too new a version",
    "wrong_dtype": "of a type that this build refuses",
    "flex": "of TensorFlow, for the Flex delegate",
    "custom": "custom, for a library to link or register",
}
"""What an operator's status means for people, of those that keep a model from running."""
_FIXES: Mapping[OperatorStatus, str] = {
    "missing": "use a runtime version that has it, or replace it in the model",
    "too_new": "convert with an older converter, or use a newer runtime",
    "wrong_dtype": "convert with another quantisation, or use a newer runtime",
    "flex": "convert with TFLITE_BUILTINS only, or replace the operator",
    "custom": "link the operator's library into the runtime, or convert without it",
}
_LEFT_OUT = " did not take it in this run"
_REFERENCE = {"TFLite reference kernels"}
_SHOWN = 3


def static_checks(compatibility: Compatibility) -> tuple[Check, ...]:
    """``abi``, ``cpu`` and ``operators`` by the files alone."""
    return (_abi_check(compatibility), _cpu_check(compatibility), _operators_check(compatibility))


def _abi_check(found: Compatibility) -> Check:
    if found.install.status == "fail":
        return Check(id="abi", status="fail", reason=found.install.reason, fix=_other_version(found))
    failed = [finding for finding in found.abi if finding.status == "fail"]
    if failed:
        reasons = list(dict.fromkeys(_sentence(finding) for finding in failed))
        more = f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
        reason = "; ".join(reasons[:_SHOWN]) + more
        fix = _fix_abi(failed)
        return Check(id="abi", status="fail", reason=reason, fix=f"{fix}; {_ran(found)}" if found.ran else fix)
    if found.load is not None and found.load.outcome == "failed":
        reason = f"a run of a small model on {found.load.emulated_cpu} failed: {found.load.detail}"
        return Check(id="abi", status="fail", reason=reason, fix=_other_version(found))
    if found.abi_unavailable:
        return Check(id="abi", status="unknown", reason=found.abi_unavailable)
    needs = ", ".join(finding.need for finding in found.abi if finding.need.startswith(("GLIBC", "CXXABI")))
    met = f"; the image meets its files' needs ({needs})" if needs else "; the image meets its files' needs"
    return Check(id="abi", status="pass", reason=f"{found.install.reason}{met}")


def _sentence(finding: AbiFinding) -> str:
    return f"{finding.file.rpartition('/')[2]}: {finding.reason}"


def _fix_abi(failed: Sequence[AbiFinding]) -> str:
    if any("NumPy" in finding.need or finding.need.startswith("numpy") for finding in failed):
        return "install a NumPy of the version that the build asks for beside it, or use another runtime version"
    if any(finding.need == "segment alignment" for finding in failed):
        return "use a build with segments aligned to 64 KiB, or a kernel with pages of 4 KiB"
    return "choose a runtime version built for this OS release, or a newer OS image"


def with_versions(failure: Failure | None, found: Compatibility | None) -> Failure | None:
    """The failure with the versions around this one that ran here, where it is the build's and none is named yet."""
    if failure is None or found is None or not found.ran or failure.check not in {"abi", "cpu"}:
        return failure
    fix = failure.fix or ""
    if not failure.of_the_device or any(each in fix for each in found.ran):
        return failure
    return replace(failure, fix=f"{fix}; {_ran(found)}" if fix else f"use another version: {_ran(found)}")


def _ran(found: Compatibility) -> str:
    return f"{' and '.join(found.ran)} ran on this image under emulation"


def _other_version(found: Compatibility) -> str:
    if found.ran:
        return f"use another version: {_ran(found)}"
    fitting = next((known.version for known in found.install.versions if known.fits), None)
    return f"use version {fitting}" if fitting else "choose another runtime, or another OS image with --os"


def _cpu_check(found: Compatibility) -> Check:
    if found.load is not None and found.load.outcome == "illegal instruction":
        reason = f"a run of a small model on {found.load.emulated_cpu} ended with an {found.load.detail}"
        return Check(
            id="cpu",
            status="fail",
            reason=reason,
            fix=f"use the version before or after{f': {_ran(found)}' if found.ran else ', --runtime name@version'}",
        )
    if found.cpu_unavailable:
        twin = "no Arm code" in found.cpu_unavailable
        return Check(id="cpu", status="skipped" if twin else "unknown", reason=found.cpu_unavailable)
    if reached := reached_check(found):
        return reached
    open_ = [finding for finding in found.cpu if finding.status == "present"]
    if open_:
        words = _features(open_)
        reason = f"its libraries hold instructions that the core lacks ({words}); no run tells whether they are reached"
        return Check(id="cpu", status="warn", reason=reason, fix="run it: edge-sandbox profile")
    if found.cpu:
        words = _features(found.cpu)
        reason = (
            f"its libraries hold instructions that the core lacks ({words}), but a run of a small model came to none"
        )
        return Check(id="cpu", status="pass", reason=reason)
    return Check(id="cpu", status="pass", reason="no instruction in its libraries that the core lacks")


def reached_check(found: Compatibility) -> Check | None:
    """The ``cpu`` check, where a run came to an instruction that only the emulator's core has."""
    reached = [finding for finding in found.cpu if finding.status == "reached"]
    if not reached:
        return None
    first = reached[0]
    where = f" in {first.symbol}" if first.symbol else ""
    reason = (
        f"the run came to {first.instruction}{where} of {first.library.rpartition('/')[2]}: it needs {first.feature}, "
        "which the device's core lacks although the emulator's has it"
    )
    return Check(id="cpu", status="fail", reason=reason, fix="use a runtime version built for this core")


def left_out_check(compatibility: Compatibility) -> Check | None:
    """The ``operators`` check, where a delegate took none of the operators that it takes in general."""
    left = [each for each in compatibility.operators if each.status == "fallback" and each.detail.endswith(_LEFT_OUT)]
    if not left or compatibility.delegations:
        return None
    delegate = left[0].detail.removesuffix(_LEFT_OUT)
    names = ", ".join(dict.fromkeys(each.type for each in left))
    cost = cost_words(left)
    reason = (
        f"{delegate} took nothing here, and {names} ran in slower kernels{f' ({cost})' if cost else ''}: as it does "
        "where only the run tells the size of a tensor"
    )
    fix = "export the model with fixed sizes, or count with the slower kernels"
    return Check(id="operators", status="warn", reason=reason, fix=fix)


def _features(findings: Iterable[CpuFinding]) -> str:
    return ", ".join(dict.fromkeys(finding.feature for finding in findings))


def _operators_check(found: Compatibility) -> Check:
    bad = [finding for finding in found.operators if finding.status in BAD]
    if found.model or bad:
        reasons = [*found.model, *_by_status(bad)]
        fix = _FIXES[bad[0].status] if bad and not found.model else "export the model anew, or use a newer runtime"
        return Check(id="operators", status="fail", reason="; ".join(reasons), fix=fix)
    if found.operators_unavailable:
        return Check(id="operators", status="unknown", reason=found.operators_unavailable)
    unknown = [finding for finding in found.operators if finding.status == "unknown"]
    if unknown:
        names = ", ".join(dict.fromkeys(finding.type for finding in unknown))
        return Check(id="operators", status="unknown", reason=f"nothing is known of {names}: {unknown[0].detail}")
    return Check(id="operators", status="pass", reason=summary(found))


def _by_status(bad: Sequence[OperatorFinding]) -> Iterable[str]:
    ordered = sorted(bad, key=lambda finding: list(BAD).index(finding.status))
    for status, group in groupby(ordered, key=lambda finding: finding.status):
        rows = list(group)
        kinds = list(dict.fromkeys(finding.type for finding in rows))
        names = ", ".join(kinds[:_SHOWN]) + (f" and {len(kinds) - _SHOWN} more kinds" if len(kinds) > _SHOWN else "")
        are = "operator is" if len(rows) == 1 else "operators are"
        yield f"{len(rows)} {are} {BAD[status]}: {names} ({rows[0].detail})"


def summary(found: Compatibility) -> str:
    """How the operators are carried, in a sentence."""
    counts = Counter(finding.status for finding in found.operators)
    parts = [f"{counts['native']} native"] if counts["native"] else []
    parts += [
        f"{each.operators} delegated to {each.name} in {each.partitions} partition{'s' if each.partitions > 1 else ''}"
        for each in found.delegations
    ]
    if counts["fallback"]:
        words = cost_words([finding for finding in found.operators if finding.status == "fallback"])
        parts.append(f"{counts['fallback']} in a slower kernel{f' ({words})' if words else ''}")
    operators = "1 operator" if len(found.operators) == 1 else f"{len(found.operators)} operators"
    return f"{operators}: {', '.join(parts)}"


def cost_words(findings: Sequence[OperatorFinding]) -> str:
    """What fallbacks take in instructions against the build that takes fewest; empty where that is not known or less.

    Only rows count whose own instructions and best ones are known, and of many the sums are compared.
    """
    known = [
        (finding, finding.instructions, finding.cost)
        for finding in findings
        if finding.cost is not None and isinstance(finding.instructions, Metric)
    ]
    if not known:
        return ""
    own = sum(instructions.value for _finding, instructions, _cost in known)
    best = sum(cost.best_instructions.value for _finding, _instructions, cost in known)
    macs = sum(cost.macs.value for _finding, _instructions, cost in known)
    if own <= best:
        return ""
    about = "" if all(instructions.mode == "emulated" for _finding, instructions, _cost in known) else "about "
    libraries = ", ".join(dict.fromkeys(finding.library for finding, _own, _cost in known if finding.library))
    builds = " and ".join(dict.fromkeys(f"{cost.best_build} ({cost.best_library})" for *_, cost in known))
    return (
        f"{libraries}: {about}{own / macs:.2g} instructions a multiply-accumulate, "
        f"{own / best:.2g} times what {builds} {'take' if ' and ' in builds else 'takes'}"
    )


def without_delegates(found: Compatibility) -> Compatibility:
    """The findings for a run in which the runtime must apply none."""
    operators = tuple(
        finding.model_copy(update={"status": "fallback", "library": None, "detail": "delegates are switched off"})
        if finding.status == "delegated" and finding.type not in COPIES
        else finding
        for finding in found.operators
    )
    return found.model_copy(update={"operators": operators, "delegations": ()})


def with_run(
    found: Compatibility, rows: Sequence[Op], reached: Sequence[ReachedCode] | None, *, finished: bool
) -> Compatibility:
    """The findings with what a run of this model showed. ``finished``: the model ran to its end under emulation."""
    return found.model_copy(
        update={
            "cpu": tuple(_after(finding, reached, finished=finished) for finding in found.cpu),
            "operators": _as_run(found.operators, rows) if finished else found.operators,
            "delegations": _as_delegated(rows) if finished and rows else found.delegations,
        }
    )


def _after(finding: CpuFinding, reached: Sequence[ReachedCode] | None, *, finished: bool) -> CpuFinding:
    name = finding.library.rpartition("/")[2]
    hit = next(
        (each for each in reached or () if each.feature == finding.feature and each.path.rpartition("/")[2] == name),
        None,
    )
    if hit is not None:
        return finding.model_copy(
            update={
                "status": "reached",
                "reached": True,
                "instruction": hit.instruction,
                "symbol": hit.function or finding.symbol,
                "reason": "this run came to it",
            }
        )
    if finished and reached is not None:
        return finding.model_copy(
            update={"status": "unreached", "reached": False, "reason": "this run did not come to it"}
        )
    return finding


def _as_run(findings: Sequence[OperatorFinding], rows: Sequence[Op]) -> tuple[OperatorFinding, ...]:
    """Each operator that ran as itself gets the kernel library that did most for it, and its instructions."""
    ran = {(row.index, row.type): row for row in rows if row.status == "native"}
    found = []
    for finding in findings:
        row = ran.get((finding.index, finding.type)) if finding.subgraph == 0 else None
        if row is None:
            found.append(finding)
            continue
        library = row.kernels[0].library if row.kernels else finding.library
        status: OperatorStatus = "fallback" if library in _REFERENCE else finding.status
        detail = finding.detail
        if status == "delegated":
            status, detail = _left_out(finding)
        elif status in BAD or status == "unknown":
            status = "native"  # it did run
        if library in _REFERENCE:
            detail = "reference kernels: written to be read, not to be fast"
        found.append(
            finding.model_copy(
                update={"library": library, "status": status, "detail": detail, "instructions": row.instructions}
            )
        )
    return tuple(found)


def _left_out(finding: OperatorFinding) -> tuple[OperatorStatus, str]:
    """Of an operator that a delegate takes in general and left to the runtime in this run."""
    if finding.type in COPIES:
        return "native", ""
    return "fallback", f"{finding.library}{_LEFT_OUT}"


def _as_delegated(rows: Sequence[Op]) -> tuple[Delegation, ...]:
    groups: dict[str, list[int]] = {}
    inside = [row for row in rows if row.status != "outside"]
    for name, run in groupby(inside, key=lambda row: row.delegate if row.status == "delegated" else None):
        if name is not None:
            groups.setdefault(name, []).append(len(list(run)))
    return tuple(
        Delegation(name=name, operators=sum(sizes), partitions=len(sizes), mode="emulated")
        for name, sizes in groups.items()
    )
