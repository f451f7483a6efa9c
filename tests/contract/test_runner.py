"""Our runner on an emulated core: with a stand-in for TFLM (tests/firmware/stand_in_tflm), which shows the runner and
the search but says nothing about TFLM; and with a real TFLM where EDGE_SANDBOX_TFLM names one."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sandbox.engines.guard import Guard
from sandbox.errors import DataFileError
from sandbox.graph import read_model
from sandbox.microcontroller.board import Core, Microcontroller
from sandbox.microcontroller.inputs import input_bytes
from sandbox.microcontroller.runner import run_model
from sandbox.microcontroller.runner_record import RunnerRecord
from sandbox.microcontroller.tflm import Library, find_library
from sandbox.record import model_record
from tests import host
from tests.firmware.boards import OTHER_CORES, board, board_of
from tests.firmware.stand_in import build_stand_in, model

pytestmark = [pytest.mark.engine("qemu-system"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return find_library(build_stand_in(tmp_path_factory.mktemp("tflm")), board().cpu)


@dataclass(frozen=True)
class Bench:
    library: Library
    guard: Guard
    folder: Path

    made_up: Microcontroller = field(default_factory=board)

    def run(self, content: bytes, operators: tuple[str, ...] = ("CONV_2D",), seconds: float = 20) -> RunnerRecord:
        made_up = self.made_up
        return run_model(
            library=self.library,
            board=made_up,
            emulation=made_up.emulator[0],
            engine=host.make_firmware_engine("qemu-system", self.guard),
            model=content,
            operators=operators,
            inputs=(b"abcd",),
            run_dir=self.folder,
            timeout_seconds=seconds,
            cancel=threading.Event(),
        )


@pytest.fixture
def bench(stand_in: Library, protector: Guard, tmp_path: Path) -> Bench:
    return Bench(stand_in, protector, tmp_path)


@pytest.mark.parametrize(("needs", "says", "smallest"), [(5000, 5000, 5008), (5000, 4100, 5008), (5008, 6000, 5008)])
def test_the_smallest_arena_is_found_by_success(bench: Bench, needs: int, says: int, smallest: int) -> None:
    """Also where the library says less or more than it needs."""
    found = bench.run(model(needs=needs, says=says))
    assert (found.minimum_bytes, found.used_bytes) == (smallest, says)
    assert found.failure is None


def test_counts_and_outputs(bench: Bench) -> None:
    found = bench.run(model(needs=64, turns=10_000))
    (operator,) = found.operators
    assert operator.type == "CONV_2D"
    assert found.instructions is not None
    assert 20_000 < operator.instructions < 20_100
    assert 20_000 < found.instructions < 20_100
    assert [output.sha256 for output in found.outputs] == [hashlib.sha256(b"dcba").hexdigest()]
    assert found.machine == "mps2-an386"
    assert found.own_flash == found.all_flash or found.own_flash.model_dump()["value"] > 0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (1, "writes 4 bytes at 0x"),
        (2, "undefined instruction (UNDEFINSTR)"),
        (3, "did not end within 2 s"),
        (4, "TFLM failed while run"),
    ],
)
def test_what_goes_wrong_is_named(bench: Bench, wrong: int, words: str) -> None:
    found = bench.run(model(needs=64, wrong=wrong), seconds=2 if wrong == 3 else 20)
    assert found.failure is not None
    assert words in found.failure
    assert found.minimum_bytes is None


def test_the_librarys_own_words_are_passed_on(bench: Bench) -> None:
    found = bench.run(model(needs=1 << 30))
    assert "Failed to allocate tail memory. Requested: 1073741824" in str(found.failure)
    assert "another schema version" in str(
        Bench(bench.library, bench.guard, bench.folder / "b").run(model(needs=1, schema=2)).failure
    )


def test_a_missing_kernel_is_named(bench: Bench) -> None:
    assert bench.library.lacking == ("TILE", "SPLIT")
    with pytest.raises(DataFileError, match="has no kernel for TILE"):
        bench.run(model(needs=1), operators=("CONV_2D", "TILE"))


def test_all_operators_but_those_that_lack_a_part(protector: Guard, tmp_path: Path) -> None:
    library = find_library(build_stand_in(tmp_path / "tflm", incomplete=True), board().cpu)
    (tmp_path / "run").mkdir()
    bench = Bench(library, protector, tmp_path / "run")
    found = bench.run(model(needs=64))
    assert found.failure is None
    assert found.not_linked == ("SPLIT",)
    assert "unavailable" not in found.all_flash.model_dump()
    with pytest.raises(DataFileError, match=r"is not whole: it needs tflite::part_that_is_nowhere\(int\)"):
        Bench(library, protector, tmp_path / "other").run(model(needs=64), operators=("SPLIT",))


@pytest.mark.parametrize("core", OTHER_CORES)
def test_another_core_runs_it(protector: Guard, tmp_path: Path, core: Core) -> None:
    made_up = board_of(core)
    library = find_library(build_stand_in(tmp_path / "tflm", core=core), made_up.cpu)
    (tmp_path / "run").mkdir()
    found = Bench(library, protector, tmp_path / "run", made_up).run(model(needs=64, turns=10_000))
    assert (found.failure, found.minimum_bytes) == (None, 64)
    assert [output.sha256 for output in found.outputs] == [hashlib.sha256(b"dcba").hexdigest()]
    assert [20_000 < operator.instructions < 20_200 for operator in found.operators] == [True]


def test_a_real_tflm(protector: Guard, tmp_path: Path) -> None:
    """The example model on a Cortex-M4 with the user's own TFLM."""
    named = os.environ.get("EDGE_SANDBOX_TFLM")
    if not named:
        pytest.skip("no TFLM is at hand: EDGE_SANDBOX_TFLM names none")
    made_up = board()
    path = Path(__file__).parents[2] / "examples" / "mobilenet_v1_0.25_128_int8.tflite"
    record = model_record(read_model(path))
    found = run_model(
        library=find_library(Path(named), made_up.cpu),
        board=made_up,
        emulation=made_up.emulator[0],
        engine=host.make_firmware_engine("qemu-system", protector),
        model=path.read_bytes(),
        operators=tuple(dict.fromkeys(operator.type for operator in record.operators)),
        inputs=input_bytes(record.inputs, "random", 0),
        run_dir=tmp_path,
        timeout_seconds=280,
        cancel=threading.Event(),
    )
    assert found.failure is None
    assert found.minimum_bytes is not None
    assert found.used_bytes is not None
    assert found.minimum_bytes % 16 == 0
    assert [operator.type for operator in found.operators] == [operator.type for operator in record.operators]
    assert found.instructions is not None
    assert sum(operator.instructions for operator in found.operators) == pytest.approx(found.instructions, rel=0.01)
