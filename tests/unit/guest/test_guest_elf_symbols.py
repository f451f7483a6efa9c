"""Addresses of functions in loaded libraries, checked against the dynamic loader on this machine."""

from __future__ import annotations

import ctypes
from importlib import import_module
from pathlib import Path

import pytest

from tests.unit.guest.guest_modules import load

elf_symbols = load("elf_symbols")


@pytest.fixture
def library() -> Path:
    """A shared library that this process has loaded: numpy brings one on every platform that the tests run on."""
    return Path(str(import_module("numpy.linalg._umath_linalg").__file__))


def test_an_address_is_what_the_loader_says(library: Path) -> None:
    table = elf_symbols.SymbolTable(library)
    symbol = table.find("PyInit__umath_linalg")
    expected = ctypes.cast(ctypes.CDLL(str(library)).PyInit__umath_linalg, ctypes.c_void_p).value
    assert table.load_address() + symbol.value == expected
    assert symbol.size > 0


def test_an_unknown_name_is_none(library: Path) -> None:
    assert elf_symbols.SymbolTable(library).find("_ZN6tflite4impl11Interpreter11SetProfilerEPNS_8ProfilerE") is None


def test_a_part_of_a_name_is_not_the_name(library: Path) -> None:
    assert elf_symbols.SymbolTable(library).find("Init__umath_linalg") is None
