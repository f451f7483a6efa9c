"""Where data files and the cache lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import resources
from sandbox.resources import cache_directory, data_directory

PROJECT = Path(__file__).parents[2]


@pytest.mark.parametrize(("name", "content"), [("images", "*/image.toml"), ("device_specs", "*.toml")])
def test_a_checkout_uses_its_own_folders(name: str, content: str) -> None:
    assert data_directory(name) == PROJECT / name
    assert list(data_directory(name).glob(content))


def test_an_installed_package_uses_what_the_wheel_brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "sandbox")
    assert data_directory("images") == tmp_path / "images"
    (tmp_path / "sandbox/_data/images").mkdir(parents=True)
    assert data_directory("images") == tmp_path / "sandbox/_data/images"


def test_the_chosen_cache_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.setenv("EDGE_SANDBOX_CACHE", str(tmp_path))
    assert cache_directory() == tmp_path
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGE_SANDBOX_CACHE", "here")
    assert cache_directory() == tmp_path / "here"
    monkeypatch.setenv("HOME", "/users/me")
    monkeypatch.setenv("EDGE_SANDBOX_CACHE", "~/there")
    assert cache_directory() == Path("/users/me/there")


@pytest.mark.parametrize("unset", ["", None])
def test_else_the_cache_folder_of_the_desktop(unset: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGE_SANDBOX_CACHE", raising=False)
    monkeypatch.setenv("HOME", "/users/me")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_directory() == Path("/xdg/edge-sandbox")
    if unset is None:
        monkeypatch.delenv("XDG_CACHE_HOME")
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
    assert cache_directory() == Path("/users/me/.cache/edge-sandbox")
