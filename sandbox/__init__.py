"""Will a model run on an edge device, how fast, in how much memory, with which operators?

``from sandbox import profile`` is the door for programs; everything behind it is imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .library import profile
else:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import library  # noqa: PLC0415  # `import sandbox` stays light

        return getattr(library, name)


__all__ = ["profile"]
