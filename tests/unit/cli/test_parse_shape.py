"""``--shape NAME=1,224,…``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.cli.common import parse_shape
from sandbox.errors import UsageError


@pytest.mark.parametrize(
    ("text", "name", "sizes"),
    [
        ("input=1,224,224,3", "input", (1, 224, 224, 3)),
        ("x=7", "x", (7,)),
        ("input = 1, 2 ,3", "input ", (1, 2, 3)),
        ("a=b=1,2", "a=b", (1, 2)),
        ("serving_default_x:0=1,2", "serving_default_x:0", (1, 2)),
        ("Eingabe ä=1", "Eingabe ä", (1,)),
        ("x=007", "x", (7,)),
    ],
)
def test_shapes(text: str, name: str, sizes: tuple[int, ...]) -> None:
    assert parse_shape(text) == (name, sizes)


NO_SHAPES = (
    *(
        "",
        "=",
        "=1",
        "x",
        "x=",
        "1,2",
        "x=,",
        "x=1,",
        "x=1,,2",
        "x=0",
        "x=-1",
        "x=1.5",
        "x=1e3",
        "x=a",
        "x=+1",
        "x=1 2",
    ),
    *("x=٣", "x=²", "x=1,0", "x=None", "x=1_0", "x=0x10", f"x={'9' * 19}", f"x={'9' * 5000}"),
)


@pytest.mark.parametrize("text", NO_SHAPES, ids=range(len(NO_SHAPES)))
def test_what_is_no_shape(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_shape(text)
    assert caught.value.message == f"--shape {text!r} is not a shape"
    assert caught.value.hint == "write it like --shape input=1,224,224,3"


@given(name=st.text(min_size=1), sizes=st.lists(st.integers(1, 2**40), min_size=1))
def test_any_name_any_sizes(name: str, sizes: list[int]) -> None:
    assert parse_shape(f"{name}={','.join(map(str, sizes))}") == (name, tuple(sizes))


@given(text=st.text())
def test_a_shape_or_a_usage_error(text: str) -> None:
    try:
        name, sizes = parse_shape(text)
    except UsageError:
        return
    assert name
    assert all(size > 0 for size in sizes)
