"""``python -m tests.picture``: draw ``docs/report.svg``, the terminal report of the recorded run ``ready``."""

from __future__ import annotations

import io
import os
import re
from unittest import mock

from rich.console import Console
from rich.text import Text

from sandbox.analysis import analyse
from sandbox.reports import layout, terminal

from .record_runs import PROJECT, RUNS

PICTURE = PROJECT / "docs" / "report.svg"
COMMAND = "edge-sandbox profile examples/mobilenet_v1_0.25_128_int8.tflite --device rpi4b"

# rich's own template without its fonts, which it would have the reader's browser fetch from elsewhere
_TEMPLATE = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xml:space="preserve" xmlns="http://www.w3.org/2000/svg">
    <style>
    .{unique_id}-matrix {{
        font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
        font-size: {char_height}px;
        line-height: {line_height}px;
    }}
    .{unique_id}-title {{
        font-size: 18px;
        font-weight: bold;
        font-family: sans-serif;
    }}
    {styles}
    </style>
    <defs>
    <clipPath id="{unique_id}-clip-terminal">
      <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
    </clipPath>
    {lines}
    </defs>
    {chrome}
    <g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">
    {matrix}
    </g>
    </g>
</svg>
"""
_BLANKS = re.compile(r"[ \t]+$", re.MULTILINE)


def draw() -> str:
    """The picture as SVG."""
    with mock.patch.dict(os.environ, {"TERM": "xterm-256color"}):  # a dumb terminal gets no colours
        report = terminal.render(analyse(RUNS / "ready"), colour=True)
    console = Console(record=True, width=layout.WIDTH + 6, file=io.StringIO(), force_terminal=True, highlight=False)
    console.print(Text(f"$ {COMMAND}\n", style="bold"), Text.from_ansi(report), sep="")
    drawn = console.export_svg(title="edge-sandbox", code_format=_TEMPLATE, unique_id="report")
    return _BLANKS.sub("", drawn).rstrip() + "\n"


def main() -> None:
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
