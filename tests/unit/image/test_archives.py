"""Where packages come from: apt's sources in all their forms, folders as mirrors, and what goes wrong."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sandbox.errors import HostError
from sandbox.image import archives
from sandbox.image.archives import Sources, debian_roots, fetch_debs, find_sources, snapshot_root
from sandbox.image.spec import LockedDeb
from sandbox.image.store import Downloads
from sandbox.progress import Silent
from tests.unit.image.image_samples import locked_deb

DEB822 = """\
Types: deb
# http://snapshots.example/archive/debian/20250520T000000Z
URIs: http://mirror.example/debian
Suites: sample sample-updates

Types: deb
URIs: http://mirror.example/debian-security/ https://second.example/debian-security
Suites: sample-security
"""


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This host's apt configuration: nothing yet."""
    folder = tmp_path / "apt"
    (folder / "sources.list.d").mkdir(parents=True)
    monkeypatch.setattr(archives, "_APT_SOURCES", folder)
    monkeypatch.setattr(archives, "_PYTHON_APT_TEMPLATE", tmp_path / "Debian.info")
    for name in ("EDGE_SANDBOX_MIRROR", "EDGE_SANDBOX_SNAPSHOT"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.mark.parametrize(
    ("text", "roots"),
    [
        ("", ()),
        ("deb http://mirror.example/debian sample main\n", ("http://mirror.example/debian",)),
        ("deb [arch=amd64] https://mirror.example/debian/ sample main\n", ("https://mirror.example/debian",)),
        ("deb [signed-by=/usr/share/debian] http://m.example/debian s main", ("http://m.example/debian",)),
        ("deb [ arch=amd64 trusted=yes ] http://m.example/debian s main", ("http://m.example/debian",)),
        ("deb http://m.example:8080/pub/debian s main", ("http://m.example:8080/pub/debian",)),
        ("deb http://m.example/debian s main\ndeb-src http://m.example/debian s main", ("http://m.example/debian",)),
        ("deb http://m.example/debian-security s-security main", ("http://m.example/debian-security",)),
        ("deb file:/srv/debian s main", ("file:/srv/debian",)),
        ("deb file:///srv/debian s main", ("file:///srv/debian",)),
        ("deb http://m.example/ubuntu noble main", ()),
        ("deb http://m.example/debian-ports s main", ()),
        ("deb http://m.example/debian.list s main", ()),
        ("deb mirror+file:/etc/apt/mirrors/debian s main", ()),
        ("deb mirror+http://m.example/debian s main", ()),
        ("deb tor+http://m.example/debian s main", ()),
        ("deb cdrom:[Debian]/ s main", ()),
        ("# deb http://m.example/debian s main\n   # deb http://n.example/debian s main", ()),
        ("deb http://m.example/debian s main # was http://old.example/debian", ("http://m.example/debian",)),
        (
            DEB822,
            (
                "http://mirror.example/debian",
                "http://mirror.example/debian-security",
                "https://second.example/debian-security",
            ),
        ),
        ("Types: deb\nURIs:\n http://m.example/debian\n http://n.example/ubuntu\n", ("http://m.example/debian",)),
    ],
)
def test_debian_roots(text: str, roots: tuple[str, ...]) -> None:
    assert debian_roots(text) == roots


@pytest.mark.parametrize(
    ("text", "root"),
    [
        (DEB822, "http://snapshots.example"),
        ("deb https://s.example/x/archive/debian-security/20250520T000000Z s main", "https://s.example/x"),
        ("# http://s.example/archive/debian/2025", None),
        ("deb http://m.example/debian s main", None),
    ],
)
def test_snapshot_root(text: str, root: str | None) -> None:
    assert snapshot_root(text) == root


def test_sources_of_apt(apt: Path) -> None:
    assert find_sources() == Sources(mirrors=())
    (apt / "sources.list").write_text("deb http://first.example/debian s main\n")
    (apt / "sources.list.d" / "debian.sources").write_text(DEB822)
    (apt / "sources.list.d" / "more.list").write_text("deb http://first.example/debian s main\n")
    (apt / "sources.list.d" / "old.list.save").write_text("deb http://old.example/debian s main\n")
    found = find_sources()
    assert found.mirrors[:2] == ("http://first.example/debian", "http://mirror.example/debian")
    assert len(found.mirrors) == 4
    assert found.snapshot == "http://snapshots.example"


def test_a_list_of_mirrors_in_a_file_is_read(apt: Path, tmp_path: Path) -> None:
    listing = tmp_path / "debian.list"
    listing.write_text("http://listed.example/debian\tpriority:1\nhttp://other.example/debian\n")
    text = f"Types: deb deb-src\nURIs: mirror+file://{listing} mirror+file:{tmp_path}/gone.list\nSuites: sample\n"
    (apt / "sources.list.d" / "debian.sources").write_text(text)
    assert find_sources().mirrors == ("http://listed.example/debian", "http://other.example/debian")


def test_a_chosen_mirror_comes_first(apt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (apt / "sources.list").write_text("deb http://apt.example/debian s main\n")
    monkeypatch.setenv("EDGE_SANDBOX_MIRROR", "http://environment.example/debian/")
    assert find_sources().mirrors == (
        "http://environment.example/debian",
        "http://environment.example/debian-security",
        "http://apt.example/debian",
    )
    assert find_sources("http://option.example/debian").mirrors[0] == "http://option.example/debian"


def test_a_folder_may_be_relative(apt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert apt.is_dir()
    monkeypatch.chdir(tmp_path)
    assert find_sources("mirror").mirrors == (f"{tmp_path}/mirror", f"{tmp_path}/mirror-security")


def test_ubuntu_knows_debian_s_archive_from_python_apt(apt: Path, tmp_path: Path) -> None:
    (apt / "sources.list").write_text("deb http://m.example/ubuntu noble main\n")
    (tmp_path / "Debian.info").write_text(
        "Suite: sample\nBaseURI: http://template.example/debian/\nMatchURI: template[.]example/debian\n"
        "BaseURI: http://security.example/debian-security/\n"
    )
    assert find_sources().mirrors == ("http://template.example/debian", "http://template.example/debian-security")


def test_a_chosen_snapshot_comes_before_apt_s(apt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (apt / "sources.list").write_text(DEB822)
    monkeypatch.setenv("EDGE_SANDBOX_SNAPSHOT", "http://mine.example/")
    assert find_sources().snapshot == "http://mine.example"


class TestCandidates:
    PATH = "pool/main/g/gcc/libstdc++6_12~rc1+b1_arm64.deb"

    def test_plus_is_quoted_in_addresses_and_tilde_is_not(self) -> None:
        sources = Sources(mirrors=("http://m.example/debian", "file:/srv/debian"), snapshot="http://s.example")
        quoted = "pool/main/g/gcc/libstdc%2B%2B6_12~rc1%2Bb1_arm64.deb"
        assert sources.candidates(self.PATH, "20261121T060000Z") == (
            f"http://m.example/debian/{quoted}",
            f"file:/srv/debian/{quoted}",
            f"http://s.example/archive/debian/20261121T060000Z/{quoted}",
            f"http://s.example/archive/debian-security/20261121T060000Z/{quoted}",
        )

    def test_names_in_folders_are_not_quoted(self) -> None:
        assert Sources(mirrors=("/srv/50%",)).candidates(self.PATH, "x") == (f"/srv/50%/{self.PATH}",)


CONTENT = b"the package"
DEB = locked_deb("libstdc++6", CONTENT, version="1:12.2~rc1+b1")


def mirror(folder: Path, *debs: tuple[LockedDeb, bytes]) -> Path:
    for each, content in debs:
        (folder / each.path).parent.mkdir(parents=True, exist_ok=True)
        (folder / each.path).write_bytes(content)
    return folder


def fetch(debs: list[LockedDeb], sources: Sources, folder: Path) -> Downloads:
    downloads = Downloads(folder)
    fetch_debs(debs, resolved="20261121T060000Z", sources=sources, downloads=downloads, progress=Silent())
    return downloads


@pytest.mark.parametrize("prefix", ["", "file:", "file://"])
def test_a_folder_as_mirror(prefix: str, tmp_path: Path) -> None:
    root = mirror(tmp_path / "a mirror", (DEB, CONTENT))
    address = f"{prefix}{root}" if not prefix else f"{prefix}{root}".replace(" ", "%20")
    downloads = fetch([DEB], Sources(mirrors=("/no/such/mirror", address)), tmp_path / "cache")
    assert downloads.verified(DEB.sha256, "x").read_bytes() == CONTENT


def test_what_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    sources = Sources(mirrors=(str(mirror(tmp_path / "m", (DEB, CONTENT))),))
    fetch([DEB], sources, tmp_path / "cache")
    fetch([DEB], Sources(mirrors=()), tmp_path / "cache")


def test_wrong_bytes_are_refused_and_named(tmp_path: Path) -> None:
    root = mirror(tmp_path / "m", (DEB, b"other bytes"))
    with pytest.raises(HostError) as caught:
        fetch([DEB], Sources(mirrors=(str(root),)), tmp_path / "cache")
    assert caught.value.message.startswith("cannot get libstdc++6_12.2~rc1+b1_arm64.deb: ")
    assert f"{root / DEB.path}: sha256 is " in caught.value.message
    assert f"the lock says {DEB.sha256}" in caught.value.message
    assert list(Downloads(tmp_path / "cache").all()) == []


def test_the_next_mirror_may_have_the_right_bytes(tmp_path: Path) -> None:
    bad, good = mirror(tmp_path / "bad", (DEB, b"other")), mirror(tmp_path / "good", (DEB, CONTENT))
    downloads = fetch([DEB], Sources(mirrors=(str(bad), str(good))), tmp_path / "cache")
    assert downloads.has(DEB.sha256)


def test_a_package_that_no_mirror_has(tmp_path: Path) -> None:
    with pytest.raises(HostError) as caught:
        fetch([DEB, locked_deb("zlib1g", b"z")], Sources(mirrors=(str(tmp_path),)), tmp_path / "cache")
    assert "No such file or directory" in caught.value.message
    assert "EDGE_SANDBOX_SNAPSHOT" in str(caught.value.hint)


class Unsteady(BaseHTTPRequestHandler):
    """A mirror that drops the first connection, is busy for the second, and has what the third asks for."""

    asked = 0

    def do_GET(self) -> None:  # its base's name
        type(self).asked += 1
        if self.asked == 1:
            self.close_connection = True
            return
        self.send_response(503 if self.asked == 2 else 200)
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *_words: object) -> None:
        """Say nothing."""


def test_a_mirror_that_drops_a_connection_is_asked_again(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Unsteady) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root = f"http://127.0.0.1:{server.server_port}/debian"
        assert fetch([DEB], Sources(mirrors=(root,)), tmp_path / "cache").has(DEB.sha256)
        server.shutdown()
    assert Unsteady.asked == 3


def test_an_unreachable_address_is_named_without_its_password(tmp_path: Path) -> None:
    address = "http://me:secret@127.0.0.1:9/debian"
    with pytest.raises(HostError) as caught:
        fetch([DEB], Sources(mirrors=(address,)), tmp_path / "cache")
    assert "127.0.0.1:9: ConnectionError" in caught.value.message
    assert "secret" not in str(caught.value)


def test_no_debian_archive_at_all(tmp_path: Path) -> None:
    with pytest.raises(HostError) as caught:
        fetch([DEB], Sources(mirrors=()), tmp_path / "cache")
    assert caught.value.message == "this host's apt configuration names no Debian archive"
    assert "EDGE_SANDBOX_MIRROR" in str(caught.value.hint)


def test_a_snapshot_alone_is_enough(tmp_path: Path) -> None:
    root = mirror(tmp_path / "archive/debian-security/20261121T060000Z", (DEB, CONTENT))
    assert root.is_dir()
    assert fetch([DEB], Sources(mirrors=(), snapshot=str(tmp_path)), tmp_path / "cache").has(DEB.sha256)
