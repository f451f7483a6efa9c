"""Instructions that the core lacks, by what is in the file and what recorded runs came to."""

from __future__ import annotations

from sandbox.compatibility.cpu import cpu_findings, load_on
from sandbox.compatibility.facts import BuildFacts, Load, load_build
from sandbox.device import load_device, select_os
from sandbox.resources import data_directory

TABLES, DEVICES = data_directory("compatibility"), data_directory("device_specs")
ONNXRUNTIME = "onnxruntime-{}-cp311-cp311-manylinux_2_28_aarch64.whl"
OLDER = "onnxruntime-{}-cp311-cp311-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl"


def facts_of(wheel: str) -> BuildFacts:
    facts = load_build(wheel, TABLES)
    assert facts is not None
    return facts


def found(facts: BuildFacts, device: str) -> dict[str, str]:
    spec = load_device(device, DEVICES)
    rows = cpu_findings(facts, spec, select_os(spec, "bookworm-arm64"))
    assert not isinstance(rows, str)
    return {row.feature: row.status for row in rows}


def test_kernels_for_newer_cores_that_a_run_did_not_come_to() -> None:
    pi4, pi5 = (found(facts_of(ONNXRUNTIME.format("1.31.1")), device) for device in ("rpi4b", "rpi5"))
    assert {"asimddp", "asimdhp", "aes", "pmull", "sve"} <= set(pi4)
    assert set(pi4.values()) == {"unreached"}
    assert "sve" in pi5
    assert not {"asimddp", "asimdhp", "aes"} & set(pi5)


def test_the_release_that_a_pi_4_refuses() -> None:
    """onnxruntime issue 23957."""
    outcomes = {}
    for device in ("rpi4b", "rpi5", "rpi3b"):
        spec = load_device(device, DEVICES)
        for version in ("1.20.1", "1.21.0", "1.22.0"):
            os = select_os(spec, "bookworm-arm64")
            load = load_on(facts_of(OLDER.format(version)), "bookworm-arm64", os)
            outcomes[device, version] = load.outcome if load else None
    assert {key for key, outcome in outcomes.items() if outcome == "illegal instruction"} == {
        ("rpi4b", "1.21.0"),
        ("rpi3b", "1.21.0"),
    }
    assert set(outcomes.values()) == {"illegal instruction", "loaded"}


def test_without_a_run_they_are_only_there() -> None:
    facts = facts_of(ONNXRUNTIME.format("1.31.1")).model_copy(update={"loads": ()})
    assert set(found(facts, "rpi4b").values()) == {"present"}


def test_a_run_under_an_emulator_that_has_them_refutes_nothing_unless_it_looked() -> None:
    def loaded(reached: tuple[str, ...] | None) -> dict[str, str]:
        load = Load(image="bookworm-arm64", emulated_cpu="cortex-a72", outcome="loaded", detail="", reached=reached)
        return found(facts_of(ONNXRUNTIME.format("1.31.1")).model_copy(update={"loads": (load,)}), "rpi4b")

    blind, looked = loaded(None), loaded(("aes",))
    assert (blind["aes"], blind["asimddp"]) == ("present", "unreached")
    assert (looked["aes"], looked["pmull"], looked["asimddp"]) == ("reached", "unreached", "unreached")


def test_why_nothing_can_be_told() -> None:
    spec = load_device("rpi2b", DEVICES)
    twin = facts_of("tflite_runtime-2.14.0-cp311-cp311-manylinux2014_x86_64.whl")
    assert "no Arm code" in str(cpu_findings(twin, spec, spec.os[0]))
    unsaid = spec.model_copy(update={"cpu": spec.cpu.model_copy(update={"features_32": None})})
    facts = facts_of("tflite_runtime-2.14.0-cp311-cp311-manylinux_2_34_armv7l.whl")
    assert "cpu.features_32" in str(cpu_findings(facts, unsaid, spec.os[0]))
    assert cpu_findings(facts, spec, spec.os[0]) == ()
