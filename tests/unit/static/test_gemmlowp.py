"""What gemmlowp packs, against what massif saw it allocate in emulated runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.static.gemmlowp import Product, workspace_bytes


@pytest.mark.parametrize(
    ("rows", "columns", "depth", "expected"),
    [
        (96, 112 * 112, 16, 512 << 10),  # MobileNet v2 1.0/224: gemmlowp::Allocator::Commit() held 524288
        (1, 1, 1, 512),
        (8, 4, 16, 512),
    ],
)
def test_known_sizes(rows: int, columns: int, depth: int, expected: int) -> None:
    assert workspace_bytes(Product(rows=rows, columns=columns, depth=depth)) == expected


@given(rows=st.integers(0, 10**5), columns=st.integers(0, 10**6), depth=st.integers(0, 5000))
def test_blocks_fit_the_cache(rows: int, columns: int, depth: int) -> None:
    found = workspace_bytes(Product(rows=rows, columns=columns, depth=depth))
    assert found.bit_count() == 1
    assert 512 <= found <= 1 << 20, "twice the cache at most, for the power of two"
