"""Hands a profiler object to a running TFLite interpreter, inside wheels that offer no way to do so from Python.

The interpreter's Python object gives out its native ``Interpreter*`` (``_native_handle``), and the library has
``Interpreter::SetProfiler(Profiler*)`` or, where the compiler inlined that, ``SetProfilerImpl(unique_ptr<Profiler>)``
(tensorflow/lite/core/interpreter.h): exported by tflite-runtime, only in the symbol table for ai-edge-litert.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

from elf_symbols import SymbolTable
from tflite_events import METHODS

#: The class moved into namespace ``impl`` with TensorFlow 2.12. These take a borrowed pointer…
SET_PROFILER = (
    "_ZN6tflite4impl11Interpreter11SetProfilerEPNS_8ProfilerE",
    "_ZN6tflite11Interpreter11SetProfilerEPNS_8ProfilerE",
)
#: … and these a ``unique_ptr``, which the C++ ABI passes as the address of a pointer. They destroy it in the end,
#: which our object's destructors answer by doing nothing.
SET_PROFILER_IMPL = (
    "_ZN6tflite4impl11Interpreter15SetProfilerImplESt10unique_ptrINS_8ProfilerESt14default_deleteIS3_EE",
    "_ZN6tflite11Interpreter15SetProfilerImplESt10unique_ptrINS_8ProfilerESt14default_deleteIS2_EE",
)
#: A ``Profiler`` made by the library itself: its table must be as large as ours, its BeginEvent take what ours takes.
TABLE = "_ZTVN6tflite9profiling12RootProfilerE"
BEGIN_EVENT = "_ZN6tflite9profiling12RootProfiler10BeginEventEPKcNS_8Profiler9EventTypeE"
INT64_PAIR = ("ll", "xx")


class HookError(Exception):
    """This build of the runtime cannot be given a profiler; the text says why."""


def set_profiler(interpreter: Any, module: Any, profiler_address: int) -> None:
    """Let ``interpreter`` report its operators to the C++ object at ``profiler_address``."""
    for path in _libraries(module):
        table = SymbolTable(path)
        for names, owned in ((SET_PROFILER, False), (SET_PROFILER_IMPL, True)):
            symbol = next((found for found in map(table.find, names) if found), None)
            if symbol is not None:
                _check_interface(table)
                _call(table.load_address() + symbol.value, interpreter, profiler_address, owned=owned)
                return
    raise HookError("the runtime's library names no Interpreter::SetProfiler: it was built without it or stripped")


def _call(function: int, interpreter: Any, profiler: int, *, owned: bool) -> None:
    holder = ctypes.c_void_p(profiler)
    argument = ctypes.addressof(holder) if owned else profiler
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
    prototype(function)(interpreter._native_handle(), argument)  # noqa: SLF001 - meant for C++ extensions like this


def _libraries(module: Any) -> list[Path]:
    """The extension module behind the interpreter, and the libraries beside it that may hold its code."""
    wrapper = Path(module._interpreter_wrapper.__file__)  # noqa: SLF001 - no public name
    return [*sorted(wrapper.parent.glob("libpywrap_*.so")), wrapper]


def _check_interface(table: SymbolTable) -> None:
    virtual_table = table.find(TABLE)
    expected = (METHODS + 2) * ctypes.sizeof(ctypes.c_void_p)
    if virtual_table is None or virtual_table.size != expected:
        size = "unknown" if virtual_table is None else str(virtual_table.size)
        raise HookError(f"this build's tflite::Profiler has another interface (table of {size} bytes, not {expected})")
    if not any(table.find(BEGIN_EVENT + pair) for pair in INT64_PAIR):
        raise HookError("this build's tflite::Profiler::BeginEvent takes other arguments")
