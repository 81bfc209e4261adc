"""Addresses of downloads: the names of their files, and how they are told without secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from lgem.errors import listing
from lgem.shards import TABLES

URL = r"^https?://[!-.0-~]+/[!-~]*$"
# Single files that a screen may come in; zarr stores and folders do not come by themselves.
CELLS = (".h5ad", ".h5", *TABLES)
PROFILES = (".h5ad", *TABLES)
SECRET = re.compile(r"token|key|secret|sig|passw|credential|auth", re.IGNORECASE)


def file_name(url: str) -> str:
    """Return the name that an address gives its file: the last part of its path."""
    name = unquote(urlsplit(url).path).rpartition("/")[2]
    return re.sub(r"[^\w.+-]", "_", name).lstrip(".")


def masked(url: str) -> str:
    """Return an address as it may be told: passwords and keys that it holds are hidden."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")
    query = [
        (key, "***" if SECRET.search(key) else value)
        for key, value in parse_qsl(parts.query, keep_blank_values=True)
    ]
    changed = parts._replace(
        netloc=f"***@{host[2]}" if host[1] else host[2],
        query=urlencode(query, safe="*/:;,") if "***" in dict(query).values() else parts.query,
    )
    return changed.geturl()


def recorded_checksum(record: Path, url: str) -> str | None:
    """Return the SHA-256 that a first download from an address left in a file, if there is one."""
    if not record.is_file():
        return None
    checksum, _, address = record.read_text("utf-8").strip().partition("  ")
    return checksum if address == masked(url) else None


def problems(given: Mapping[str, Any]) -> dict[str, str]:
    """Return what a dataset's other keys rule out or ask for beside its url."""
    url = given.get("url")
    if not isinstance(url, str):
        return {}
    found = {}
    for key in ("simulate", "pypi"):
        if given.get(key) is not None:
            found["url"] = f"no url beside {key}"
    path = given.get("path")
    if isinstance(path, str) and (path.startswith("/") or ".." in path.split("/")):
        found["path"] = "a name inside of the download: no / at its start, no .."
    usable = CELLS if given.get("kind", "cells") == "cells" else PROFILES
    if path is None and not file_name(url).endswith(usable):
        found["path"] = (
            "the file inside of the archive, or a name for what is no archive, beside a url that "
            f"does not end in {listing(usable)}"
        )
    elif isinstance(path, str) and not path.endswith(usable):
        found["path"] = f"a single file beside url: a path that ends in {listing(usable)}"
    return found
