"""``calibration measure``: the fixed suite on this very board, natively, and what its clock and temperature did."""

from __future__ import annotations

import os
import re
import tempfile
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from .calibration import DType
from .device import DeviceSpec, load_device, select_os
from .engines.guard import Guard
from .errors import RunError, UsageError
from .host import host_facts
from .image.build import ImageBuilder
from .measurement import SUITE, Condition, Measurement, Timing
from .pipeline import profile
from .plan import ProfileRequest
from .progress import Progress
from .resources import data_directory
from .result import Result
from .zoo.classifiers import classifier
from .zoo.network import Precision

_INFERENCES = 60
_PRECISIONS: dict[DType, Precision] = {"fp32": "float32", "int8": "int8", "uint8": "uint8"}
_CLOCK = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
_TEMPERATURE = Path("/sys/class/thermal/thermal_zone0/temp")
_FIRMWARE = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")


def measure(
    device: str,
    builder: ImageBuilder,
    protector: Guard,
    progress: Progress,
    *,
    os_image: str | None,
    runtime: str | None,
    threads: int,
    dtypes: tuple[DType, ...],
    models: tuple[str, ...] = SUITE,
) -> Measurement:
    """Time every model of the suite on this host's own core. Raises `HostError` where its programs cannot run here."""
    spec = load_device(device, data_directory("device_specs"))
    choice = select_os(spec, os_image)
    require_core(spec, Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    timings, last = [], None
    with progress.task(f"measuring {len(models) * len(dtypes)} models", total=len(models) * len(dtypes)) as advance:
        for dtype in dtypes:
            for model in models:
                before = condition()
                last = _run(
                    model, dtype, device, builder, protector, os_image=os_image, runtime=runtime, threads=threads
                )
                timings.append(_timing(model, dtype, last, before, condition()))
                advance(1)
    if last is None:
        raise RunError("nothing was measured: no models", hint="name models of the suite")
    return Measurement(
        tool_version=version("edge-sandbox"),
        started=started,
        device=spec.id,
        core=spec.cpu.core,
        soc=spec.soc,
        os=choice.image,
        runtime=last.runtime.name,
        runtime_version=last.runtime.version,
        delegates=True,
        threads=threads,
        host=host_facts(),
        timings=tuple(timings),
    )


def require_core(spec: DeviceSpec, cpuinfo: str) -> None:
    """Raise `UsageError` where this host's kernel names other cores: its times would be kept as another board's."""
    parts = {int(part, 16) for part in re.findall(r"^CPU part\s*: (0x[0-9a-f]{1,4})$", cpuinfo, re.MULTILINE)}
    if parts and spec.cpu.part not in parts:
        shown = ", ".join(f"{part:#05x}" for part in sorted(parts))
        raise UsageError(
            f"this host is no {spec.id}: its CPU part is {shown}, that of a {spec.cpu.core} is {spec.cpu.part:#05x}",
            hint="name this very board with --device",
        )


def condition(*, clock: Path = _CLOCK, temperature: Path = _TEMPERATURE, firmware: Path = _FIRMWARE) -> Condition:
    """What the kernel and firmware say now."""
    throttled = _number(firmware, 16)
    hertz, degrees = _number(clock), _number(temperature)
    return Condition(
        clock_hz=None if hertz is None else hertz * 1000,
        temperature_celsius=None if degrees is None else degrees / 1000,
        load=os.getloadavg()[0] / (os.cpu_count() or 1),
        # bits 0 to 3 are of this moment, 16 to 19 of any since boot (Raspberry Pi documentation, vcgencmd), or since
        # they were last read: the kernel clears them then (drivers/firmware/raspberrypi.c)
        throttled=None if throttled is None else bool(throttled & 0xF),
        was_throttled=None if throttled is None else bool(throttled & 0xF0000),
    )


def _number(path: Path, base: int = 10) -> int | None:
    try:
        return int(path.read_text().strip(), base)
    except (OSError, ValueError):
        return None


def _run(
    model: str,
    dtype: DType,
    device: str,
    builder: ImageBuilder,
    protector: Guard,
    *,
    os_image: str | None,
    runtime: str | None,
    threads: int,
) -> Result:
    with tempfile.TemporaryDirectory(prefix="edge-sandbox-") as name, protector.protect("folder", name):
        path = Path(name) / f"{model}_{dtype}.tflite"
        path.write_bytes(classifier(model, _PRECISIONS[dtype]))
        request = ProfileRequest(
            model=path,
            device=device,
            os=os_image,
            runtime=runtime,
            engine="native",
            threads=threads,
            jobs=("latency",),
            inferences=(0, _INFERENCES),
        )
        return profile(request, Path(name) / "run", builder, protector)


def _timing(model: str, dtype: DType, result: Result, before: Condition, after: Condition) -> Timing:
    samples = result.latency.samples
    if len(samples) < 2:
        reasons = "; ".join(result.verdict.reasons) or "too few inferences"
        raise RunError(f"{model} {dtype} was not timed: {reasons}", hint="profile it with --engine native to see why")
    return Timing(
        model=model, dtype=dtype, cold_seconds=samples[0], samples=samples[1:],
        before=before, after=after,
    )  # fmt: skip
