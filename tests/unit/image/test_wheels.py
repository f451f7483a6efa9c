"""What pip says, understood; and pip itself on a folder of wheels, without an index."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.errors import HostError, UsageError
from sandbox.image.spec import LockedWheel, RuntimeSpec
from sandbox.image.store import Downloads
from sandbox.image.wheels import NoSuchWheel, _explain, _sorted_versions, fetch_wheels, resolve_wheels
from sandbox.progress import Silent
from tests.unit.image.image_samples import SPEC, sha256, wheel

NO_VERSION = """\
ERROR: Could not find a version that satisfies the requirement sample==2.0 (from versions: 1.0, 1.9rc1, 1.10)
ERROR: No matching distribution found for sample==2.0
"""
NO_PACKAGE = NO_VERSION.replace("1.0, 1.9rc1, 1.10", "none")
REFUSED = (
    "WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after connection broken "
    "by 'NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection object at 0x7f3d76477e50>: Failed to "
    "establish a new connection: [Errno 111] Connection refused')': /simple/sample/\n"
)
UNTRUSTED = (
    "WARNING: The repository located at index.example is not a trusted or secure host and is being ignored. If this "
    "repository is available via HTTPS we recommend you use HTTPS instead, otherwise you may silence this warning and "
    "allow it anyway with '--trusted-host index.example'.\n"
)
HASHES = """\
ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated the package versions, \
please update the hashes. Otherwise, examine the package contents carefully; someone may have tampered with them.
    sample==1.0 from file:///wheels/sample-1.0-py3-none-any.whl (from -r /tmp/scratch/0.txt (line 1)):
        Expected sha256 0000000000000000000000000000000000000000000000000000000000000000
             Got        1cd98a984853571837e29d549741d0908ec5511da630ad242338a529fed809bc

"""
LOCKED = "--require-hashes -r /tmp/scratch/0.txt"


def test_no_such_version() -> None:
    error = _explain(NO_VERSION, "sample==2.0", SPEC)
    assert isinstance(error, NoSuchWheel)
    assert isinstance(error, UsageError)
    assert error.message == "no wheel of sample==2.0 for Python 3.11 on arm64 (image sample-arm64)"
    assert error.hint == "versions that exist there: 1.0, 1.9rc1, 1.10"
    assert error.versions == ("1.0", "1.9rc1", "1.10")


def test_no_such_package() -> None:
    error = _explain(NO_PACKAGE, "sample==2.0", SPEC)
    assert isinstance(error, NoSuchWheel)
    assert (error.versions, error.hint) == ((), "versions that exist there: none at all")


@pytest.mark.parametrize("requirement", ["sample==2.0", LOCKED])
@pytest.mark.parametrize(
    "trouble",
    [
        REFUSED,
        REFUSED.replace("NewConnectionError", "ProxyError").replace("[Errno 111]", "[Errno -2]"),
        REFUSED.replace("NewConnectionError", "ReadTimeoutError"),
        REFUSED.replace("NewConnectionError", "SSLError"),
        UNTRUSTED,
    ],
)
def test_no_network_is_not_taken_for_no_wheel(trouble: str, requirement: str) -> None:
    error = _explain(trouble + NO_PACKAGE, requirement, SPEC)
    assert isinstance(error, HostError)
    assert error.message == "cannot get wheels for sample-arm64: no network, or pip's index cannot be reached"


def test_other_bytes_than_the_locked() -> None:
    error = _explain(HASHES, LOCKED, SPEC)
    assert isinstance(error, HostError)
    assert error.message.startswith("a wheel differs from the lock: sample==1.0 from file:///wheels/sample-1.0-py3-")
    assert error.hint == "the index serves other bytes; use another index for pip"


def test_a_locked_version_that_is_gone_is_no_wrong_use() -> None:
    error = _explain(NO_VERSION, LOCKED, SPEC)
    assert isinstance(error, HostError)
    assert "Could not find a version that satisfies the requirement sample==2.0" in error.message


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        ("", "pip failed without a word"),
        ("/usr/bin/python3: No module named pip\n", "/usr/bin/python3: No module named pip"),
        ("WARNING: x\nERROR: Could not install packages due to an OSError: [Errno 28]\n", "Could not install packages"),
    ],
)
def test_other_trouble(stderr: str, reason: str) -> None:
    error = _explain(stderr, "sample==2.0", SPEC)
    assert isinstance(error, HostError)
    assert error.message.startswith(f"cannot get wheels for sample-arm64: {reason}")


@pytest.mark.parametrize(
    ("text", "versions"),
    [
        ("none", []),
        ("", []),
        ("1.10, 1.9", ["1.9", "1.10"]),
        ("2.0, 2.0rc1, 2.0.post1, 1!0.1", ["2.0rc1", "2.0", "2.0.post1", "1!0.1"]),
        ("1.0, nonsense-version", ["nonsense-version", "1.0"]),
    ],
)
def test_versions_in_order(text: str, versions: list[str]) -> None:
    assert _sorted_versions(text) == versions


def sample_wheel(version: str, name: str = "sample") -> tuple[str, bytes]:
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": b"",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    return f"{name}-{version}-py3-none-any.whl", wheel(files)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all pip knows of."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    for name, content in (sample_wheel("1.0"), sample_wheel("1.10"), sample_wheel("0.3", "helper")):
        (folder / name).write_bytes(content)
    foreign, content = sample_wheel("2.0")
    (folder / foreign.replace("any", "manylinux_2_39_aarch64")).write_bytes(content)
    return folder


@pytest.mark.subprocess
def test_a_runtime_is_locked_with_what_it_needs(index: Path, tmp_path: Path) -> None:
    downloads = Downloads(tmp_path / "cache")
    runtime = RuntimeSpec(name="sample", version="1.0", requires=("helper==0.3",))
    wheels = resolve_wheels(runtime, SPEC, downloads)
    name, content = sample_wheel("1.0")
    assert wheels[0] == LockedWheel(
        runtime="sample-1.0",
        name="sample",
        version="1.0",
        filename=name,
        size_bytes=len(content),
        sha256=sha256(content),
    )
    assert [(each.runtime, each.name, each.version) for each in wheels[1:]] == [("sample-1.0", "helper", "0.3")]
    assert all(downloads.has(each.sha256) for each in wheels)
    assert index.is_dir()


@pytest.mark.subprocess
@pytest.mark.usefixtures("index")
def test_a_wheel_for_a_newer_glibc_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(NoSuchWheel) as caught:
        resolve_wheels(RuntimeSpec(name="sample", version="2.0"), SPEC, Downloads(tmp_path / "cache"))
    assert caught.value.versions == ("1.0", "1.10")


@pytest.mark.subprocess
def test_locked_wheels_are_fetched_once_and_only_with_their_hash(index: Path, tmp_path: Path) -> None:
    downloads = Downloads(tmp_path / "cache")
    (wheel_1,) = resolve_wheels(RuntimeSpec(name="sample", version="1.0"), SPEC, Downloads(tmp_path / "other"))
    fetch_wheels([wheel_1], SPEC, downloads, Silent())
    assert downloads.has(wheel_1.sha256)
    (index / wheel_1.filename).write_bytes(sample_wheel("1.0")[1] + b"changed")
    fetch_wheels([wheel_1], SPEC, downloads, Silent())  # it is there: pip is not even asked
    with pytest.raises(HostError, match=r"a wheel differs from the lock: sample==1\.0 from file://"):
        fetch_wheels([wheel_1], SPEC, Downloads(tmp_path / "third"), Silent())
