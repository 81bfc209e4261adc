"""A conda channel on disk, built out of the wheels that pip downloads.

A package holds the files of its wheel, and asks for what the wheel asks for, in conda's words. The
package of Python holds links to the interpreter that the tests run in.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from pathlib import Path

import zstandard
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from rattler import Subdir

from tests.environments.declared import CONDA_NAME

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
SUBDIR = str(Subdir.current())
SITE_PACKAGES = f"lib/python{PYTHON}/site-packages"
# Any moment does, but for all files the same.
MOMENT = 1_700_000_000
# One dependency of Snakemake is nowhere to be had as a wheel; pip builds it.
SOURCE_ONLY = ("connection-pool",)


@dataclass(frozen=True)
class File:
    """A file of a package: a symbolic link, if it has a target."""

    path: str
    content: bytes = b""
    mode: int = 0o644
    target: str = ""

    @property
    def entry(self) -> dict[str, object]:
        """What the package's table of contents says of the file."""
        if self.target:
            return {"_path": self.path, "path_type": "softlink"}
        digest = hashlib.sha256(self.content).hexdigest()
        size = len(self.content)
        found = {"_path": self.path, "path_type": "hardlink"}
        return {**found, "sha256": digest, "size_in_bytes": size}


def download(pins: Mapping[str, str], locked: Mapping[str, str], folder: Path) -> str:
    """Download the wheels of all pins and of what they need, in the versions of the lock file.

    Returns what pip says where it fails, or nothing.
    """
    folder.mkdir(parents=True)
    constraints = folder / "constraints.txt"
    pip_name = {conda: name for name, conda in CONDA_NAME.items()}
    versions = {pip_name.get(name, name): version for name, version in locked.items()}
    constraints.write_text("".join(f"{name}=={versions[name]}\n" for name in versions), "utf-8")
    command = [
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(folder)),
        *("--only-binary", ":all:", "--no-binary", ",".join(SOURCE_ONLY)),
        *("--constraint", str(constraints)),
        *(f"{pip_name.get(name, name)}=={version}" for name, version in sorted(pins.items())),
    ]
    done = subprocess.run(command, text=True, capture_output=True, check=False, timeout=600)
    return done.stderr if done.returncode else ""


def build(wheels: Path, channels: Path) -> list[Path]:
    """Fill the channels conda-forge and bioconda (which has Snakemake) with a folder's wheels."""
    homes = [channels / name for name in ("conda-forge", "bioconda")]
    for home in homes:
        for subdir in ("noarch", SUBDIR):
            (home / subdir).mkdir(parents=True)
    write_python(homes[0])
    found = sorted(wheels.glob("*.whl"))
    places = [homes[wheel.name.startswith("snakemake")] for wheel in found]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(convert, found, places))
    return homes


def write_python(channel: Path) -> None:
    """Write the package of Python: a virtual environment of this interpreter, but for its place."""
    base = Path(sys.base_prefix) / "bin"
    said = f"home = {base}\ninclude-system-site-packages = false\n"
    names = ("python", "python3", f"python{PYTHON}")
    links = [File(f"bin/{name}", target=str(base / f"python{PYTHON}")) for name in names]
    version = ".".join(map(str, sys.version_info[:3]))
    write_package(channel, "python", version, [], [File("pyvenv.cfg", said.encode()), *links])


def convert(wheel: Path, channel: Path) -> None:
    """Write the package of a wheel. Its commands are left out: nothing here calls them."""
    name, version, _, _ = parse_wheel_filename(wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        files = list(unpacked(archive))
    metadata = next(file for file in files if file.path.endswith(".dist-info/METADATA"))
    needed = list(requirements(Parser().parsestr(metadata.content.decode())))
    write_package(
        channel, CONDA_NAME.get(name, name), str(version), [f"python {PYTHON}.*", *needed], files
    )


def unpacked(archive: zipfile.ZipFile) -> Iterator[File]:
    """Yield a wheel's files under the paths that they are installed to."""
    for entry in archive.infolist():
        path = f"{SITE_PACKAGES}/{entry.filename}"
        if apart := re.match(r"[^/]+\.data/(\w+)/(.*)", entry.filename):
            kind, rest = apart.groups()
            if kind in ("headers", "scripts"):
                continue
            path = rest if kind == "data" else f"{SITE_PACKAGES}/{rest}"
        if not entry.is_dir():
            executable = entry.external_attr >> 16 & 0o111
            yield File(path, archive.read(entry), 0o755 if executable else 0o644)


def requirements(metadata: Message) -> Iterator[str]:
    """Yield what a wheel needs on this machine, in conda's words."""
    for text in metadata.get_all("Requires-Dist") or []:
        needed = Requirement(text)
        if needed.marker and not needed.marker.evaluate({"extra": ""}):
            continue
        if needed.extras:
            raise NotImplementedError(f"{metadata['Name']} needs extras: {text}")
        yield f"{canonicalize_name(needed.name)} {needed.specifier}".strip()


def write_package(
    channel: Path, name: str, version: str, depends: Sequence[str], files: Sequence[File]
) -> None:
    """Write a package in conda's format: a table of contents, and the files."""
    build = f"py{PYTHON.replace('.', '')}_0"
    index = {"name": name, "version": version, "build": build, "build_number": 0}
    index |= {"depends": list(depends), "subdir": SUBDIR, "timestamp": MOMENT * 1000}
    paths = {"paths_version": 1, "paths": [file.entry for file in files]}
    info = [
        File("info/index.json", json.dumps(index).encode()),
        File("info/paths.json", json.dumps(paths).encode()),
    ]
    stem = f"{name}-{version}-{build}"
    with zipfile.ZipFile(channel / SUBDIR / f"{stem}.conda", "w") as package:
        package.writestr("metadata.json", json.dumps({"conda_pkg_format_version": 2}))
        package.writestr(f"info-{stem}.tar.zst", packed(info))
        package.writestr(f"pkg-{stem}.tar.zst", packed(files))


def packed(files: Sequence[File]) -> bytes:
    """Pack files, quickly rather than well: they are unpacked once, a moment later."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for file in files:
            entry = tarfile.TarInfo(file.path)
            entry.size, entry.mode, entry.mtime = len(file.content), file.mode, MOMENT
            if file.target:
                entry.type, entry.linkname = tarfile.SYMTYPE, file.target
            tar.addfile(entry, io.BytesIO(file.content))
    return zstandard.ZstdCompressor(level=1).compress(raw.getvalue())
