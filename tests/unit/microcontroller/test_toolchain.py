"""What the compiler and the linker are told."""

from __future__ import annotations

import pytest

from sandbox.engines.qemu_machines import MACHINES
from sandbox.errors import HostError
from sandbox.microcontroller.board import Cpu
from sandbox.microcontroller.tflm import Operator
from sandbox.microcontroller.toolchain import MAPS, core_flags, find_compiler, linker_script, operators_source


def cpu(core: str, fpu: str = "none", *, dsp: bool = False) -> Cpu:
    return Cpu.model_validate({"core": core, "fpu": fpu, "dsp": dsp, "mve": "none", "clock_hz": 1_000_000})


@pytest.mark.parametrize("core", sorted(MAPS))
def test_every_map_lies_in_its_machines_memory(core: str) -> None:
    places = MAPS[core]  # type: ignore[index]
    memory = MACHINES[places.machine].memory
    for span in (places.code, places.ram, places.model):
        assert any(first <= span.start and span.end <= first + size for first, size in memory), span


def test_flags_follow_the_core_and_the_librarys_abi() -> None:
    assert core_flags(cpu("cortex-m0+"), "soft") == ("-mcpu=cortex-m0plus", "-mthumb", "-mfloat-abi=soft")
    assert core_flags(cpu("cortex-m7", "double", dsp=True), "hard")[-1] == "-mfpu=fpv5-d16"
    assert core_flags(cpu("cortex-m33"), "soft")[0] == "-mcpu=cortex-m33+nofp+nodsp"


def test_the_linker_script_has_the_maps_addresses() -> None:
    text = linker_script(MAPS["cortex-m33"])
    assert "CODE (rx) : ORIGIN = 0x10000000, LENGTH = 0x400000" in text
    assert "RAM (rw) : ORIGIN = 0x38000000, LENGTH = 0x400000" in text
    assert text.index(".stack (NOLOAD)") < text.index(".data :"), "an overflow leaves the RAM instead of the data"


def test_operators_become_calls() -> None:
    source = operators_source([Operator(method="AddConv2D", name="CONV_2D", registers=("Register_CONV_2D",))])
    assert "#define RUNNER_RESOLVER_SIZE 1\n" in source
    assert "&& resolver.AddConv2D() == kTfLiteOk" in source
    assert "#define RUNNER_RESOLVER_SIZE 1\n" in operators_source([]), "a resolver of none does not compile"


def test_no_toolchain_is_one_line_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(HostError) as caught:
        find_compiler()
    assert "arm-none-eabi-g++" in caught.value.message
    assert "apt install" in str(caught.value.hint)
