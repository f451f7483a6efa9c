"""``python -m tests.zoo NAME OUTPUT``: write one model to a file."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import NAMES, make


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.zoo", description=__doc__, epilog=f"names: {', '.join(NAMES)}"
    )
    parser.add_argument("name", help="e.g. mobilenet_v1_1.0_224_int8.tflite")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    try:
        content = make(arguments.name)
    except ValueError as error:
        parser.error(str(error))
    arguments.output.write_bytes(content)


if __name__ == "__main__":
    main()
