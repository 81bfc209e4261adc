"""Python packages and archives that carry data: downloaded by pip, checked, unpacked."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import IO

from lgem.errors import InputError, listing, nearest
from lgem.files import atomic
from lgem.progress import BYTES, progress

CHUNK = 2**20


def download_package(requirement: str, sha256: str | None, output: str) -> str:
    """Download a package's archive without its dependencies; return its SHA-256.

    Parameters
    ----------
    requirement
        ``package==version``.
    sha256
        Checksum that the archive must have, if known.
    output
        Where to put the archive.

    Raises
    ------
    InputError
        Where pip finds no such package, or the checksum differs.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check"),
            *("--quiet", "--dest", folder, requirement),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        archives = sorted(Path(folder).iterdir())
        if done.returncode or not archives:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            raise InputError(
                f"pypi: {requirement}",
                f"pip cannot download it ({' '.join(lines) or 'no archive'})",
                "package==version of a package that the configured index has",
            )
        found = hashlib.sha256(archives[0].read_bytes()).hexdigest()
        if sha256 is not None and found != sha256:
            raise InputError(f"pypi: {requirement}: sha256", found, sha256)
        with atomic(output) as temporary:
            shutil.copyfile(archives[0], temporary)
    return found


def unpack(download: str, member: str, path: str, output: str) -> None:
    """Take one file out of a downloaded archive; what is no archive is the file itself.

    Parameters
    ----------
    download
        What was downloaded.
    member
        The file that is asked for.
    path
        The screen's own file: what a download that is no archive stands for.
    output
        Where to put the file.

    Raises
    ------
    InputError
        Where the archive has no such file, or cannot be read.
    """
    if is_archive(download):
        unpack_member(download, member, output)
        return
    if member != path:
        raise InputError(
            f"{download}: {member}", "a single file, no archive", f"an archive with {path} in it"
        )
    with atomic(output) as temporary:
        try:  # a second name costs no second place on the disk
            temporary.unlink()
            os.link(download, temporary)
        except OSError:
            shutil.copyfile(download, temporary)


def is_archive(path: str) -> bool:
    """Whether a file is a zip or tar archive, compressed or not."""
    with Path(path).open("rb") as file:
        start = file.read(4)
    return start == b"PK\x03\x04" or tarfile.is_tarfile(path)


def unpack_member(archive: str, member: str, output: str) -> None:
    """Copy one file out of a zip or tar archive: a wheel, a source archive, or any other.

    In a tar archive the member may lie below one more folder: a source archive has one of the
    package's name and version.

    Raises
    ------
    InputError
        Where the archive has no such file.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as wheel:
                info = wheel.getinfo(_find(wheel.namelist(), member, archive))
                if info.is_dir():
                    raise InputError(f"{archive}: {member}", "a folder", "a file")
                with wheel.open(info) as content:
                    _copy(content, member, info.file_size, output)
        else:
            with tarfile.open(archive) as sources:
                names = {name.removeprefix("./"): name for name in sources.getnames()}
                names = {name.partition("/")[2]: names[name] for name in names} | names
                name = names[_find([*filter(None, names)], member, archive)]
                extracted = sources.extractfile(name)
                if extracted is None:
                    raise InputError(f"{archive}: {member}", "a folder", "a file")
                _copy(extracted, member, sources.getmember(name).size, output)
    except (
        *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError),
        *(gzip.BadGzipFile, NotImplementedError, RuntimeError),
    ) as error:
        raise InputError(
            archive, f"an unreadable archive ({error})", "a wheel (zip) or source archive (tar)"
        ) from None


def _copy(content: IO[bytes], member: str, size: int, output: str) -> None:
    """Copy what may be larger than the memory."""
    with (
        atomic(output) as temporary,
        temporary.open("wb") as file,
        progress(f"unpacking {member}", size, BYTES) as advance,
    ):
        while chunk := content.read(CHUNK):
            file.write(chunk)
            advance(len(chunk))


def _find(names: list[str], member: str, archive: str) -> str:
    if member in names:
        return member
    same_folder = [name for name in names if Path(name).parent.name == Path(member).parent.name]
    raise InputError(
        f"{archive}: {member}",
        "no such file in the archive",
        f"one of: {listing(same_folder or names)}",
        nearest(member, names),
    )
