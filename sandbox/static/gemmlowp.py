"""The working memory of gemmlowp, which multiplies the 8-bit matrices of TFLite builds without ruy. Pure.

It packs blocks of both operands so that they fit a cache of fixed size, whatever the core has (gemmlowp
internal/block_params.h, internal/single_thread_gemm.h, internal/allocator.h).
"""

from __future__ import annotations

from dataclasses import dataclass

_CACHE_BYTES = 384 << 10
"""internal/common.h, kDefaultL2CacheSize for Arm."""
_RHS_SHARE = 0.75
"""internal/common.h, kDefaultL2RhsFactor."""
_ROWS, _COLUMNS, _DEPTH = 4, 4, 16
"""Of the kernel; internal/kernel_neon.h."""
_INT32 = 4
_ALIGNMENT = 64


@dataclass(frozen=True, kw_only=True)
class Product:
    """A matrix of rows × depth times one of depth × columns."""

    rows: int
    columns: int
    depth: int


def workspace_bytes(product: Product) -> int:
    """What the packed blocks of both operands and of the result take on one thread: a power of two."""
    depth = _up(max(product.depth, 1), _DEPTH)
    most = max(1, int(_RHS_SHARE * (_CACHE_BYTES // depth)))
    columns = _up(_share(product.columns, most), _COLUMNS)
    left = _CACHE_BYTES - depth * columns
    rows = _up(_share(product.rows, max(1, left // (depth + _INT32 * columns))), _ROWS)
    parts = (rows * depth, rows * _INT32, columns * depth, columns * _INT32, rows * columns * _INT32)
    return 1 << (sum(_up(part, _ALIGNMENT) for part in parts) - 1).bit_length()


def _share(size: int, most: int) -> int:
    """The size of equal blocks of at most ``most``."""
    size = max(size, 1)
    blocks = -(-size // most)
    return -(-size // blocks)


def _up(size: int, step: int) -> int:
    return -(-size // step) * step
