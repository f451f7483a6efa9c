"""Memory limits and readings on a real cgroup v2, in a virtual machine where this host has version 1."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from sandbox.engines.local import FIRST_EMULATOR_BYTES
from tests import vm
from tests.conftest import need_cgroup_v2
from tests.vm.jobs import BELOW, CPUS, KEPT, LIMIT_BYTES, MIB, MOMENT, OUTER_BYTES

pytestmark = [pytest.mark.subprocess, pytest.mark.timeout(900)]

Seen = dict[str, Any]


@pytest.fixture(scope="module")
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """What the machine told: it boots once for all tests."""
    need_cgroup_v2(request.config)
    return vm.run(tmp_path_factory.mktemp("machine"))


def seen(machine: Seen, name: str) -> Seen:
    found = machine.get(name)
    assert isinstance(found, dict), f"no result {name}; the machine's console:\n{machine['console'][-4000:]}"
    return found


def assert_killed_at_the_limit(job: Seen) -> None:
    assert (job["exit_code"], job["signal"], job["timed_out"], job["out_of_memory"]) == (
        *(None, signal.SIGKILL, False, True),
    ), json.dumps(job)
    assert job["limit_mechanism"] == "cgroup v2"
    assert 0.95 * LIMIT_BYTES < job["reached"] <= LIMIT_BYTES + FIRST_EMULATOR_BYTES


def assert_fits(job: Seen) -> None:
    assert (job["exit_code"], job["out_of_memory"], job["limit_mechanism"]) == (0, False, "cgroup v2"), json.dumps(job)
    assert job["reached"] == BELOW * MIB


def test_the_tool_finds_the_limits_around_it(machine: Seen) -> None:
    root = seen(machine, "root")
    assert (root["mechanism"], root["own_limit"]) == ("cgroup v2", OUTER_BYTES)


def test_the_kernel_kills_and_its_count_outlives_the_cgroup(machine: Seen) -> None:
    killed = seen(machine, "kernel_kill")
    assert (killed["returncode"], killed["kills"], killed["kills_after"]) == (-signal.SIGKILL, 1, 1)


def test_the_hosts_swap_is_never_used(machine: Seen) -> None:
    assert seen(machine, "kernel_kill")["swap_used"] == 0
    control = seen(machine, "swap_control")  # the same program without our limit on swap lives by swapping
    assert control["returncode"] == 0
    assert control["swapped_bytes"] > LIMIT_BYTES / 2


@pytest.mark.parametrize("architecture", CPUS)
def test_out_of_memory_at_the_limit(machine: Seen, architecture: str) -> None:
    assert_killed_at_the_limit(seen(machine, f"{architecture}-fills"))


@pytest.mark.parametrize("architecture", CPUS)
def test_what_fits_is_not_charged_for_the_emulator(machine: Seen, architecture: str) -> None:
    job = seen(machine, f"{architecture}-below")
    assert_fits(job)
    assert job["memory"]["emulator_bytes"] > LIMIT_BYTES - BELOW * MIB, "it would have been too much"


@pytest.mark.parametrize("architecture", CPUS)
def test_a_known_pattern_reads_back(machine: Seen, architecture: str) -> None:
    kept, moment = (seen(machine, f"{architecture}-{name}")["memory"] for name in ("kept", "moment"))
    assert kept["guest_peak_bytes"] == pytest.approx(KEPT * MIB, abs=MIB)
    most = (KEPT + MOMENT) * MIB
    assert moment["guest_peak_bytes"] < most + MIB
    assert moment["guest_peak_high_bytes"] > most - MIB
    assert moment["guest_peak_high_bytes"] - moment["guest_peak_bytes"] < 3 * MIB


def test_a_user_without_rights_gets_a_watchdog(machine: Seen) -> None:
    assert seen(machine, "nobody")["mechanism"] == "watchdog"


def test_a_user_with_a_delegated_cgroup_gets_its_limits(machine: Seen) -> None:
    user = seen(machine, "delegated")
    assert user["cgroup"].endswith("/edge-sandbox-tool"), "it steps aside, or no cgroup beside it could have a limit"
    assert user["mechanism"] == "cgroup v2"
    assert_killed_at_the_limit(user["fills"])
    assert_fits(user["below"])


def test_nothing_is_left(machine: Seen) -> None:
    assert seen(machine, "left")["cgroups"] == []
