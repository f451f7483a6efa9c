"""Small graphs by hand: tensors by name, steps as text."""

from __future__ import annotations

from sandbox.graph.dataflow import Dataflow, Step, Value


def value(
    name: str, *shape: int | None, dtype: str = "float32", constant: bool = False, variable: bool = False
) -> Value:
    known = tuple(size for size in shape if size is not None)
    return Value(
        name=name,
        dtype=dtype,
        shape=known if len(known) == len(shape) else None,
        constant=constant,
        variable=variable,
    )


def flow(values: list[Value], steps: list[str], *, inputs: str = "in", outputs: str = "out") -> Dataflow:
    """A graph; a step reads ``OP a b -> c``."""
    at = {each.name: position for position, each in enumerate(values)} | {"_": -1}

    def positions(names: str) -> tuple[int, ...]:
        return tuple(at[name] for name in names.split())

    made = []
    for index, text in enumerate(steps):
        left, _, written = text.partition(" ->")
        kind, _, read = left.partition(" ")
        made.append(
            Step(index=index, type=kind, name=written.strip(), inputs=positions(read), outputs=positions(written))
        )
    return Dataflow(values=tuple(values), steps=tuple(made), inputs=positions(inputs), outputs=positions(outputs))
