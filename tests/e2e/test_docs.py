"""The documentation is true: it builds without a warning, its links lead somewhere, its marked commands are run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from .cli import COMMAND, PROJECT, TIMEOUT_SECONDS

PAGES = sorted(path for path in (PROJECT / "docs").rglob("*.md"))
_RUN = re.compile(r"<!-- run: (\d+) -->\n```sh\n(.*?)```", re.DOTALL)
BLOCKS = [
    pytest.param(int(match[1]), match[2], id=f"{page.relative_to(PROJECT / 'docs')}-{place}")
    for page in PAGES
    for place, match in enumerate(_RUN.finditer(page.read_text(encoding="utf-8")))
]
_RUNS_A_GUEST = re.compile(r"^edge-sandbox (profile|ceiling|compare|shell|doctor)\b", re.MULTILINE)


class Page(HTMLParser):
    """Where a built page's links lead, what can be led to in it, and what it fetches by itself."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.fetched: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        if "id" in known:
            self.ids.add(known["id"])
        if tag == "a" and "href" in known:
            self.links.append(known["href"])
        source = known.get("src") or (known.get("href", "") if tag == "link" else "")
        if source:
            self.fetched.append(source)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.subprocess
def test_every_link_leads_somewhere_and_nothing_comes_from_elsewhere(site: Path) -> None:
    pages = {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > len(PAGES), "the reference pages are there too"
    wrong = []
    for path, page in pages.items():
        for link in [*page.links, *page.fetched]:
            parts = urlsplit(link)
            if parts.scheme in {"http", "https", "mailto"}:
                if link in page.fetched:
                    wrong.append(f"{path.name} fetches {link}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                wrong.append(f"{path.relative_to(site)}: {link}")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
                wrong.append(f"{path.relative_to(site)}: {link} has no such anchor")
    assert wrong == []


@pytest.mark.subprocess
def test_the_reference_is_the_code_s(site: Path) -> None:
    commands = (site / "reference" / "cli.html").read_text(encoding="utf-8")
    for words in ("edge-sandbox compare", "--latency-budget", "edge-sandbox calibration measure"):
        assert words in commands
    result = (site / "reference" / "result.html").read_text(encoding="utf-8")
    assert "the largest first" in result, "the sentences below the fields are there"
    assert "illegal" not in (site / "reference" / "devices.html").read_text(encoding="utf-8")
    assert "rpi-zero-2w" in (site / "reference" / "devices.html").read_text(encoding="utf-8")


def test_links_of_the_pages_beside_lead_somewhere_in_the_repository() -> None:
    wrong = []
    for page in (*PAGES, *PROJECT.glob("*.md"), PROJECT / "device_specs" / "README.md"):
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", page.read_text(encoding="utf-8")):
            made = "reference/" in link
            if "://" not in link and not made and not (page.parent / link).exists():
                wrong.append(f"{page.relative_to(PROJECT)}: {link}")
    assert wrong == []


def test_some_commands_are_marked() -> None:
    assert len(BLOCKS) >= 6


@pytest.mark.subprocess
@pytest.mark.parametrize(("code", "script"), BLOCKS)
def test_marked_commands(code: int, script: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if _RUNS_A_GUEST.search(script):
        from tests.conftest import need_engine  # noqa: PLC0415

        need_engine(request.config, "local")
    (tmp_path / "examples").symlink_to(PROJECT / "examples")
    board = (PROJECT / "docs" / "howto" / "custom-device.md").read_text(encoding="utf-8")
    (toml,) = re.findall(r"```toml\n(.*?)```", board, re.DOTALL)
    (tmp_path / "door-camera.toml").write_text(toml)
    done = subprocess.run(
        ["/bin/sh", "-e", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{COMMAND.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
