"""Options that several commands take, each as a type: the same name, form and help everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .common import EngineChoice, FormatChoice, ReportChoice

ModelArgument = Annotated[Path, typer.Argument(help="A .tflite or .onnx file.", show_default=False)]
DeviceOption = Annotated[
    str, typer.Option(help="Device id (see `devices list`), or the path of a TOML file.", show_default=False)
]
RuntimeOption = Annotated[
    str | None, typer.Option(metavar="NAME[@VERSION]", help="Default: the image's first that runs this format.")
]
OsOption = Annotated[str | None, typer.Option(metavar="IMAGE", help="OS image. Default: the device's first.")]
EngineOption = Annotated[EngineChoice, typer.Option(help="What runs the device's programs.")]
ThreadsOption = Annotated[int, typer.Option(min=1, help="Threads of the runtime.")]
MemoryOption = Annotated[
    str | None, typer.Option(metavar="SIZE", help="Memory limit, e.g. 256M. Default: what the device leaves.")
]
ReserveOption = Annotated[
    str | None, typer.Option(metavar="SIZE", help="Keep so much of the memory back for other programs.")
]
SwapOption = Annotated[
    bool, typer.Option("--swap", help="Count the swap that the device's OS sets up as memory too; not zram.")
]
ShapeOption = Annotated[
    list[str] | None, typer.Option(metavar="NAME=1,224,…", help="Shape of a dynamic input. Repeatable.")
]
TimeoutOption = Annotated[str, typer.Option(metavar="TIME", help="Longest a run may take, e.g. 10min.")]
LatencyBudgetOption = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Longest an inference may take on the device, e.g. 50ms."),
]
FormatOption = Annotated[FormatChoice, typer.Option("--format", help="Report on stdout.")]
ReportOption = Annotated[ReportChoice, typer.Option("--format", help="Report on stdout.")]
BaselineOption = Annotated[
    Path | None, typer.Option(metavar="RESULT.json", help="Compare with this earlier result of the same setup.")
]
LatencyIncreaseOption = Annotated[
    str | None,
    typer.Option("--max-latency-increase", metavar="PERCENT", help="With --baseline: fail beyond it, e.g. 5%."),
]
MemoryIncreaseOption = Annotated[
    str | None,
    typer.Option("--max-memory-increase", metavar="PERCENT", help="The same for peak memory."),
]
OperatorIncreaseOption = Annotated[
    str | None,
    typer.Option("--max-operator-increase", metavar="PERCENT", help="The same for any operator's instructions."),
]
RenodeOption = Annotated[
    str | None, typer.Option(metavar="PROGRAM|docker", help="Where Renode is. Default: on PATH, else its image.")
]
TflmOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Microcontrollers: TFLM's library and headers, to run on the core. Remembered."),
]
FreshOption = Annotated[bool, typer.Option("--fresh", help="Run also what was run before.")]
OutputOption = Annotated[Path | None, typer.Option(help="Write the report to this file instead.")]
