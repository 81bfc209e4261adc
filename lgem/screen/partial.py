"""What has come of a download so far, and what version of the file it is a part of."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from lgem.errors import InputError
from lgem.progress import BYTES, amount_of
from lgem.urls import masked

CHUNK = 2**20
# Header and value that tell one version of a file from another.
Version = tuple[str, str]


class Partial:
    """A file beside the final one, to which a download is appended.

    Parameters
    ----------
    final
        The name that the file gets when it is whole.
    url
        Where it comes from: what came from elsewhere is not gone on with.

    Attributes
    ----------
    size, total
        Bytes that are there, and that the whole has, where the server says so.
    version
        What the server calls the version of the file, where it does.
    """

    def __init__(self, final: Path, url: str) -> None:
        self.final = final
        self.path = final.with_name(f"{final.name}.part")
        self.note = final.with_name(f"{final.name}.part.json")
        self.source = masked(url)

    def __enter__(self) -> Self:
        """Open it, and take up what an earlier run has left."""
        self.final.parent.mkdir(parents=True, exist_ok=True)
        self.handle = self.path.open("ab", buffering=0)
        self._lock()
        self.digest = hashlib.sha256()
        self.size = 0
        self.version: Version | None = None
        self.total: int | None = None
        self._resume()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave it for the next run, if there is anything."""
        self.handle.close()
        if not self.size:
            self.path.unlink(missing_ok=True)
            self.note.unlink(missing_ok=True)

    @property
    def whole(self) -> bool:
        """Whether all bytes are there, as far as their number is known."""
        return self.size > 0 and self.size == self.total

    @property
    def sha256(self) -> str:
        """Checksum of what is there."""
        return self.digest.hexdigest()

    def restart(self, version: Version | None = None, total: int | None = None) -> None:
        """Drop what is there, and note which version of the file comes now."""
        # In this order: what is there is never said to be of a version that it is not of.
        self.note.unlink(missing_ok=True)
        self.handle.truncate(0)
        self.digest, self.size = hashlib.sha256(), 0
        self.version, self.total = version, total
        if version is not None:
            note = {"source": self.source, "version": version, "total": total}
            with self._told():
                self.note.write_text(json.dumps(note), "utf-8")

    def append(self, chunk: bytes) -> None:
        """Add what comes next."""
        rest = memoryview(chunk)
        with self._told():
            while rest:
                rest = rest[self.handle.write(rest) :]
        self.digest.update(chunk)
        self.size += len(chunk)

    def check_space(self) -> None:
        """Raise an InputError where the rest does not fit on the disk."""
        free = shutil.disk_usage(self.path.parent).free
        if self.total is not None and self.total - self.size > free:
            raise InputError(
                f"{self.final}",
                f"no space left on the disk: {amount_of(BYTES, free)} free",
                f"{amount_of(BYTES, self.total - self.size)} for the download",
            )

    def finish(self) -> None:
        """Give what is there the final name."""
        with self._told():
            os.fsync(self.handle.fileno())
        self.path.replace(self.final)
        self.note.unlink(missing_ok=True)

    def _lock(self) -> None:
        # A run that was killed may have left its download running.
        try:
            fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.handle.close()
            raise InputError(
                str(self.path), "another process that downloads it", "one: wait for it, or stop it"
            ) from None
        except OSError:
            pass  # a file system without locks

    def _resume(self) -> None:
        """Take up what an earlier run has left, if it says what that is."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            note = json.loads(self.note.read_text("utf-8"))
            name, value = note["version"]
            if note["source"] == self.source:
                self.version, self.total = (str(name), str(value)), note["total"]
        if self.version is None:
            self.restart()
            return
        with self.path.open("rb") as before:
            while chunk := before.read(CHUNK):
                self.digest.update(chunk)
                self.size += len(chunk)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say in words what the disk refuses."""
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise InputError(
                    str(self.path), str(error.strerror), "a file that can be written"
                ) from None
            there = amount_of(BYTES, self.path.stat().st_size)
            raise InputError(
                str(self.path),
                f"no space left on the disk after {there}",
                "more space; the next run goes on with what has come",
            ) from None
