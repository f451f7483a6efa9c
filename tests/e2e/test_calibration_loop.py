"""The whole calibration loop on real hardware: this x86-64 host is measured, fitted, and predicted.

The machine may be noisy: the test fails when the loop breaks or its error is absurd, and prints the error otherwise.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sandbox.board import measure
from sandbox.engines.guard import guard
from sandbox.errors import DataFileError
from sandbox.fit import point
from sandbox.host_device import this_host_spec
from sandbox.image.emulator import host_architecture
from sandbox.lines import Line
from sandbox.own_fit import count_own, fit_own
from sandbox.progress import Silent
from tests import host

FITTED = (
    "mobilenet_v1_0.25_128",
    "mobilenet_v1_0.5_160",
    "mobilenet_v1_1.0_128",
    "mobilenet_v2_0.35_128",
    "mobilenet_v2_0.5_160",
    "mobilenet_v2_1.0_128",
)
LEFT_OUT = ("mobilenet_v1_0.5_192", "mobilenet_v2_0.75_128")
ABSURD = 0.4


@pytest.mark.engine("native")
@pytest.mark.timeout(600)
def test_the_loop_closes_on_this_host(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if host_architecture() != "amd64":
        pytest.skip("boards have specs: this host stands for a device only where it is x86-64")
    spec = tmp_path / "this-host.toml"
    spec.write_text(this_host_spec())
    with guard() as protector:
        measured = measure(
            str(spec),
            host.builder(),
            protector,
            Silent(),
            os_image=None,
            runtime=None,
            threads=1,
            dtypes=("fp32",),
            models=(*FITTED, *LEFT_OUT),
        )
        own = count_own(measured, str(spec), "fp32", host.builder(), protector)
    fitted = measured.model_copy(update={"timings": tuple(t for t in measured.timings if t.model in FITTED)})
    calibration = fit_own(fitted, own, str(spec), "fp32")
    assert (own.library, calibration.library) == ("xnnpack", "xnnpack")
    line = Line.of(calibration)
    found = {}
    for timing in measured.timings:
        counted = own.counts.find(timing.model, "fp32")
        assert counted is not None
        if timing.model in LEFT_OUT:
            fastest = min(timing.samples)  # another program on this host makes times longer, never shorter
            predicted = line.predict(point(counted, timing.median, calibration.slots))
            found[timing.model] = min(abs(predicted / timing.median - 1), abs(predicted / fastest - 1))
    errors = ", ".join(f"{model} {error:.1%}" for model, error in found.items())
    with capsys.disabled():
        sys.stdout.write(f"\nthis host, left-out models: {errors}; interval ±{calibration.interval:.0%}\n")
    assert max(found.values()) < ABSURD, found
    with pytest.raises(DataFileError, match="the measurement is of this-host"):
        fit_own(fitted, own, "rpi4b", "fp32")
