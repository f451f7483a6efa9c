"""Files of counts: shipped ones are whole, rendering is read back, damage is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import DataFileError
from sandbox.model_counts import read_counts, render_counts

COUNTS = Path(__file__).parents[2] / "calibration/counts"
SHIPPED = sorted(COUNTS.glob("*.json"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_counts_add_up(path: Path) -> None:
    counts = read_counts(path)
    assert render_counts(counts) == path.read_text()
    for row in counts.models:
        assert sum(row.classes.values()) == row.instructions, row.model
        assert row.critical_path <= row.instructions * 1.001, row.model


def test_another_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(SHIPPED[0].read_text())
    with pytest.raises(DataFileError, match="id: is"):
        read_counts(path)


@given(st.integers(0, 3000), st.binary(min_size=1, max_size=3))
def test_damage_is_one_clear_error(place: int, noise: bytes) -> None:
    import tempfile  # noqa: PLC0415

    whole = SHIPPED[0].read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / SHIPPED[0].name
        path.write_bytes(whole[:place] + noise + whole[place + len(noise) :])
        try:
            read_counts(path)
        except DataFileError as error:
            assert SHIPPED[0].name in error.message  # noqa: PT017  # most inputs are fine
