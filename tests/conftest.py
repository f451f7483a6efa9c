"""What every test gets: no outside program unless it says so, and real engines only where this host has them."""

from __future__ import annotations

from typing import NoReturn, cast

import pytest

from sandbox import process
from sandbox.engines.base import EngineName
from sandbox.microcontroller.board import EmulatorName
from tests import browser, host, vm

_BROWSER = "browser"
_CGROUP_V2 = "cgroup-v2"
_LEFT_OUT = pytest.StashKey[dict[str, str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-engines",
        default="",
        metavar="NAMES",
        help="what must work here, of local,docker,native,qemu-system,renode,browser,cgroup-v2: else its tests fail",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_LEFT_OUT] = {}
    known = (*host.REAL, *host.EMULATORS, _BROWSER, _CGROUP_V2)
    unknown = _required(config) - set(known)
    if unknown:
        raise pytest.UsageError(f"--require-engines: no engine {', '.join(sorted(unknown))}; " + ", ".join(known))


@pytest.fixture(autouse=True)
def outside_programs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip or fail tests of an engine that this host has not; forbid programs to tests that announce none."""
    marker = request.node.get_closest_marker("engine")
    if marker is not None:
        need_engine(request.config, cast("EngineName | EmulatorName", marker.args[0]))
    elif request.node.get_closest_marker(_BROWSER) is not None:
        _need(request.config, _BROWSER, browser.left_out())
    elif request.node.get_closest_marker("subprocess") is None:
        for name in ("run", "start", "start_with_input"):
            monkeypatch.setattr(process, name, _forbidden)


def need_engine(config: pytest.Config, name: EngineName | EmulatorName) -> None:
    """Skip the test, with the reason, when this host cannot run the engine; fail it when the engine is required."""
    _need(config, name, host.left_out(name))


def need_cgroup_v2(config: pytest.Config) -> None:
    """Skip a test that boots a machine with cgroup v2 where this host has it; as `need_engine` where it cannot boot."""
    if vm.host_has_cgroup_v2():
        pytest.skip("this host has cgroup v2: the contract tests of its engines are on it already")
    _need(config, _CGROUP_V2, vm.left_out())


def _need(config: pytest.Config, name: str, reason: str | None) -> None:
    if reason is None:
        return
    if name in _required(config):
        pytest.fail(f"engine {name} is required: {reason}", pytrace=False)
    config.stash[_LEFT_OUT][name] = reason
    pytest.skip(f"engine {name}: {reason}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    left_out = config.stash[_LEFT_OUT]
    for name, reason in left_out.items():
        terminalreporter.write_line(f"engine left out: {name}: {reason}")
    if not left_out:
        terminalreporter.write_line("engines left out: none of those that were asked for")


def _required(config: pytest.Config) -> set[str]:
    return {name for name in config.getoption("--require-engines").split(",") if name}


def _forbidden(*_args: object, **_options: object) -> NoReturn:
    raise AssertionError("this test starts an outside program: mark it `subprocess`, or `engine` if it runs a guest")
