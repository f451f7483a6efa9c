"""What ``profile --dry-run`` prints: the plan as text."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from sandbox.units import format_size

if TYPE_CHECKING:
    from sandbox.microcontroller.profile import Plan as MicrocontrollerPlan
    from sandbox.pipeline import Plan


def render_microcontroller(plan: MicrocontrollerPlan) -> str:
    """The same for a microcontroller."""
    record, job = plan.record, plan.job
    board, model = record.board, record.model
    lines = [
        f"model    {model.path} ({model.format}, {format_size(model.size_bytes)}, {len(model.operators)} operators)",
        f"device   {board.id}: {board.name}, {board.cpu.core} at {board.cpu.clock_hz / 1e6:g} MHz",
        f"image    {record.image.id} {record.image.digest[:12]}: {record.image.title}",
        f"runtime  tflite-micro {record.tflm_version}",
    ]
    if plan.engine is None or job is None:
        return "\n".join([*lines, f"engine   none: {record.host_unavailable}"]) + "\n"
    lines += [f"engine   {plan.engine.name}", "", f"# {job.name}: at most {job.timeout_seconds:.0f} s"]
    return "\n".join([*lines, shlex.join(plan.engine.command(job))]) + "\n"


def render_plan(plan: Plan) -> str:
    """Settled choices, then each job's command line, ready to paste."""
    graph, device, image = plan.graph, plan.device, plan.image
    lines = [
        f"model    {graph.path} ({graph.format}, {format_size(graph.size_bytes)}, {len(graph.operators)} operators)",
        f"device   {device.id}: {device.name}, as {plan.os.emulated_cpu}",
        f"image    {image.spec.id} {image.lock.digest[:12]}: {image.spec.title}",
        f"runtime  {plan.runtime[0]} {plan.runtime[1]}, {plan.request.threads} thread(s)",
        f"memory   {format_size(plan.budget.limit_bytes)}: {plan.budget.source}",
        f"engine   {plan.engine.name}, QEMU {plan.emulator.version}",
    ]
    for job in plan.jobs:
        limit = format_size(job.memory_limit_bytes) if job.memory_limit_bytes else "no memory limit"
        lines += ["", f"# {job.name}: {limit}, at most {job.timeout_seconds:.0f} s"]
        lines.append(shlex.join(plan.engine.command(job)))
    return "\n".join(lines) + "\n"
