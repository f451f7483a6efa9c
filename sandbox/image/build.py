"""``images build``: a lock becomes a folder. Needs neither root nor binfmt; a second build finds everything done."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import UsageError
from sandbox.progress import Progress

from .archives import fetch_debs, find_sources
from .emulator import Emulator, emulator_of, host_architecture
from .lock import derive_lock
from .spec import ImageSpec, Lock, RuntimeSpec, load_lock, load_spec
from .store import BuiltImage, Store
from .unpack import compile_python, unpack
from .wheels import fetch_wheels, resolve_wheels

_COMPILING_CPU = {"arm64": "cortex-a72", "armhf": "cortex-a15", "amd64": "max"}


@dataclass(frozen=True, kw_only=True)
class ImageBuilder:
    """Builds images from the specs in ``images`` into ``store``."""

    images: Path
    store: Store
    progress: Progress
    mirror: str | None = None

    def build(self, image_id: str) -> BuiltImage:
        """The image of that id, built if it is not yet, or if files of it are gone."""
        return self._build(load_spec(image_id, self.images), load_lock(image_id, self.images))

    def emulator(self) -> Emulator:
        """The locked emulator for this host."""
        return emulator_of(self.build(f"emulator-{host_architecture()}"))

    def system_emulator(self) -> Emulator:
        """The locked emulator of whole ARM boards for this host."""
        return emulator_of(self.build(f"emulator-system-{host_architecture()}"))

    def with_runtime(self, image_id: str, name: str, version: str | None) -> BuiltImage:
        """The image with that runtime; a version that is not locked is resolved into a derived, cached image.

        Raises `UsageError` for a runtime that the image has not, and `NoSuchWheel` for a version that does not exist
        for its Python and architecture.
        """
        spec, lock = load_spec(image_id, self.images), load_lock(image_id, self.images)
        known = {runtime.name: runtime for runtime in spec.runtimes}
        if name not in known:
            raise UsageError(
                f"image {image_id} has no runtime {name!r}",
                hint="it has " + ", ".join(f"{r.name}@{r.version}" for r in spec.runtimes),
            )
        if version is None or version in lock.runtime_versions(name):
            return self._build(spec, lock)
        return self._build(spec, self._derived(spec, lock, known[name], version))

    def runtimes(self, image_id: str) -> tuple[str, ...]:
        """Names of the image's runtimes, the preferred first."""
        return tuple(runtime.name for runtime in load_spec(image_id, self.images).runtimes)

    def guest_code(self, image: BuiltImage) -> Path:
        """The folder of our code that runs in the guest, compiled for the image's Python once and kept by content."""
        sources = sorted((self.images / "guest").glob("*.py"))
        digest = hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in sources)).hexdigest()
        spec = image.spec
        final = self.store.directory / "guest" / f"{spec.id}-{spec.python}-{digest[:16]}"
        if not final.is_dir():
            with self.store.exclusive(final.name), self.store.fresh(final) as work:
                for path in sources:
                    shutil.copyfile(path, work / path.name)
                interpreter = self._interpreter(spec, self.emulator(), image.root)
                compile_python([work], strip=work, prefix=Path("/edge/guest"), interpreter=interpreter)
        return final

    def _derived(self, spec: ImageSpec, lock: Lock, runtime: RuntimeSpec, version: str) -> Lock:
        path = _derived_path(self.store, lock, runtime.name, version)
        with self.store.exclusive(path.stem):
            if path.is_file():
                return Lock.model_validate_json(path.read_text())
            with self.progress.task(f"resolving {runtime.name} {version} for {spec.id}"):
                wanted = runtime.model_copy(update={"version": version})
                derived = derive_lock(lock, resolve_wheels(wanted, spec, self.store.downloads))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(derived.model_dump_json())
        return derived

    def _build(self, spec: ImageSpec, lock: Lock) -> BuiltImage:
        if built := self.store.find(spec, lock):
            return built
        emulator = self.emulator() if spec.python else None
        with self.store.exclusive(f"{spec.id}-{lock.digest[:16]}"):
            if built := self.store.find(spec, lock):
                return built
            downloads = self.store.downloads
            sources = find_sources(self.mirror)
            fetch_debs(lock.debs, resolved=lock.resolved, sources=sources, downloads=downloads, progress=self.progress)
            fetch_wheels(lock.wheels, spec, downloads, self.progress)
            with self.store.building(lock) as work:
                unpack(spec, lock, downloads, work / "root", self.progress)
                if emulator is not None:
                    root = work / "root"
                    with self.progress.task(f"compiling Python files of {spec.id}"):
                        folders = [root / "usr/lib" / f"python{spec.python}", root / "usr/lib/python3", root / "opt"]
                        interpreter = self._interpreter(spec, emulator, root)
                        compile_python(folders, strip=root, prefix=Path("/"), interpreter=interpreter)
        return BuiltImage(spec=spec, lock=lock, directory=self.store.image_directory(lock))

    def _interpreter(self, spec: ImageSpec, emulator: Emulator, root: Path) -> tuple[str, ...]:
        qemu = emulator.qemu(spec.architecture, cpu=_COMPILING_CPU[spec.architecture], page_size_bytes=4096)
        return (*qemu, "-L", str(root), str(root / "usr/bin" / f"python{spec.python}"))


def known_derived_lock(store: Store, lock: Lock, name: str, version: str) -> Lock | None:
    """The lock of an image with another version of a runtime, if an earlier build has resolved it."""
    path = _derived_path(store, lock, name, version)
    try:
        return Lock.model_validate_json(path.read_bytes())
    except (OSError, ValueError):  # never resolved, or damaged: then the next build resolves it again
        return None


def _derived_path(store: Store, lock: Lock, name: str, version: str) -> Path:
    return store.directory / "derived" / f"{lock.image}-{lock.digest[:16]}-{name}-{version}.json"
