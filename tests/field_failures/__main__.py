"""``python -m tests.field_failures [ID…]``: replay the cases and write ``docs/field_failures.md`` anew."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from sandbox.engines.guard import guard

from . import cases, page
from .replay import problems, replay


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.field_failures", description=__doc__)
    known = [case.id for case in cases()]
    parser.add_argument("ids", nargs="*", metavar="ID", help=f"of {', '.join(known)}; default: all")
    chosen = parser.parse_args().ids or known
    printed = page.printed_in(page.PAGE.read_text(encoding="utf-8")) if page.PAGE.is_file() else {}
    wrong = []
    with guard() as protector:
        for case in cases():
            for run in case.runs if case.id in chosen else ():
                with tempfile.TemporaryDirectory(prefix="edge-sandbox-") as folder:
                    found = replay(run, Path(folder), protector)
                printed[page.key(case, run)] = found.printed
                wrong += [f"{page.key(case, run)}: {problem}" for problem in problems(run, found)]
                sys.stdout.write(f"{page.key(case, run)}\n")
                sys.stdout.flush()
    if wrong:
        sys.exit("\n".join(["nothing was written:", *wrong]))
    page.PAGE.write_text(page.write(printed), encoding="utf-8")


if __name__ == "__main__":
    main()
