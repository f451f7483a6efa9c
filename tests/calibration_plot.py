"""``python -m tests.calibration_plot``: draw docs/calibration.svg, predicted against measured time of left-out rows."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

from sandbox.fit_files import left_out_predictions

PROJECT = Path(__file__).parents[1]
PICTURE = PROJECT / "docs" / "calibration.svg"


def main() -> None:
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "calibration"  # the same file every time
    from matplotlib import pyplot as plt  # noqa: PLC0415  # after the backend was chosen

    rows = left_out_predictions(PROJECT / "calibration", PROJECT / "device_specs")
    figure, axes = plt.subplots(figsize=(8, 7))
    for name in dict.fromkeys(row.calibration for row in rows):
        mine = [row for row in rows if row.calibration == name]
        axes.plot(
            [row.measured_seconds * 1e3 for row in mine],
            [row.predicted_seconds * 1e3 for row in mine],
            marker=".",
            linestyle="",
            markersize=4,
            label=name,
        )
    ends = (0.4, 1200)
    axes.plot(ends, ends, color="black", linewidth=0.8)
    for factor in (0.9, 1.1):
        axes.plot(ends, [end * factor for end in ends], color="grey", linewidth=0.5, linestyle="--")
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    axes.set_xlabel("measured on the board, ms")
    axes.set_ylabel("predicted by fits without the model's family, ms")
    axes.legend(fontsize=7)
    axes.set_title("Left-out rows; dashed: ±10 %", fontsize=10)
    figure.tight_layout()
    figure.savefig(PICTURE, metadata={"Date": None})


if __name__ == "__main__":
    main()
