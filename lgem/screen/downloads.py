"""Downloads over http: resumed where they broke off, checked, whole under their final name.

What has come lies beside the final name as ``NAME.part``, with ``NAME.part.json``, which says what
version of the file it is. Another try, or another run, asks for the rest of that version.
"""

from __future__ import annotations

import base64
import http.client
import logging
import re
import socket
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from lgem.errors import InputError, about
from lgem.files import write_text
from lgem.progress import BYTES, amount_of, progress
from lgem.screen.partial import CHUNK, Partial, Version
from lgem.urls import file_name, masked, recorded_checksum

LOG = logging.getLogger("lgem")
# Answers that another try may change.
PASSING = {408, 425, 429, 500, 502, 503, 504}
BY_HAND = "download it with a browser and give its path instead of url"


@dataclass(frozen=True)
class Patience:
    """How long a download goes on trying.

    Parameters
    ----------
    timeout
        Seconds without a byte after which the connection counts as broken.
    wait, longest_wait
        Seconds before the second try, doubled before every further one up to the longest.
    unreachable, broken
        Tries in a row, without a byte won, to reach the server, and to get an answer out of it.
    tries
        Tries in all.
    """

    timeout: float = 60.0
    wait: float = 1.0
    longest_wait: float = 300.0
    unreachable: int = 3
    broken: int = 8
    tries: int = 200


class _PassingError(Exception):
    """A try that failed for a reason that may pass."""

    def __init__(self, reason: str, after: float = 0.0, unreachable: bool = False) -> None:
        super().__init__(reason)
        self.after, self.unreachable = after, unreachable


def download(
    url: str, output: str, sha256: str | None = None, patience: Patience | None = None
) -> str:
    """Download a file; return its SHA-256.

    The first download leaves its checksum in ``OUTPUT.sha256``: without one in the config, a later
    one from the same address must have that.

    Raises
    ------
    InputError
        Where the server has no such file or sends a web page, cannot be reached, breaks off too
        often; where the disk is full; where the checksum differs (nothing is kept then).
    """
    final = Path(output)
    record = final.with_name(f"{final.name}.sha256")
    earlier = recorded_checksum(record, url)
    with Partial(final, url) as partial, about(f"url: {masked(url)}"):
        _complete(partial, url, patience or Patience())
        found = partial.sha256
        if (sha256 or earlier or found) != found:
            partial.restart()
            if sha256:
                raise InputError("sha256", found, sha256)
            raise InputError(
                f"sha256, of an earlier download in {record}",
                found,
                f"{earlier}; remove that file to accept the new one",
            )
        partial.finish()
    if earlier is None:
        write_text(f"{found}  {masked(url)}\n", record)
    if sha256 is None and earlier is None:
        LOG.info("sha256 %s; put it in the config, so that no other file is accepted", found)
    return found


def _complete(partial: Partial, url: str, patience: Patience) -> None:
    """Fetch what is missing, in as many tries as that takes."""
    in_a_row, furthest = 0, partial.size
    for _ in range(patience.tries):
        if partial.whole:
            return
        try:
            return _fetch(partial, url, patience.timeout)
        except _PassingError as broken:
            in_a_row = 1 if partial.size > furthest else in_a_row + 1
            furthest, last = max(furthest, partial.size), broken
        if in_a_row >= (patience.unreachable if last.unreachable else patience.broken):
            break
        wait = max(last.after, patience.wait * 2 ** (in_a_row - 1))
        wait = min(wait, patience.longest_wait)
        LOG.warning("%s: %s; trying again in %.0f s", masked(url), last, wait)
        time.sleep(wait)
    kept = f" ({amount_of(BYTES, partial.size)} are kept)" if partial.size else ""
    raise InputError("the server", f"{last}{kept}", f"an answer; try again later, or {BY_HAND}")


def _fetch(partial: Partial, url: str, timeout: float) -> None:
    """Ask once for what is missing, and append what comes."""
    with _ask(partial, url, timeout) as answer:
        end = _check_answer(partial, answer)
        partial.check_space()
        name = file_name(url) or partial.final.name
        with progress(f"downloading {name}", partial.total, BYTES) as advance:
            advance(partial.size)
            while chunk := _next(answer, CHUNK if end is None else min(CHUNK, end - partial.size)):
                if not partial.size:
                    _check_no_page(chunk, answer.headers)
                partial.append(chunk)
                advance(len(chunk))
    expected = end if partial.total is None else partial.total
    if expected is not None and partial.size != expected:
        raise _PassingError(
            f"a connection that broke off after {amount_of(BYTES, partial.size, expected)}"
        )
    if not partial.size:
        raise InputError("the server", "an empty file", f"a file that is not; {BY_HAND}")


def _ask(partial: Partial, url: str, timeout: float) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    request = Request(parts._replace(netloc=host, fragment="").geturl())
    request.add_header("User-Agent", "lgem")
    request.add_header("Accept-Encoding", "identity")
    if partial.size and partial.version is not None:
        request.add_header("Range", f"bytes={partial.size}-")
        request.add_header("If-Range", partial.version[1])
    if login:  # for this server, not for those that it redirects to
        token = base64.b64encode(unquote(login).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {token}")
    try:
        answer = urlopen(request, timeout=timeout)
    except HTTPError as error:
        with error:
            raise _of_status(error, partial) from None
    except (OSError, http.client.HTTPException) as error:
        raise _of_network(error) from None
    assert isinstance(answer, http.client.HTTPResponse)
    return answer


def _next(answer: http.client.HTTPResponse, size: int) -> bytes:
    """Return the next bytes as soon as there are any; none at the end."""
    try:
        return answer.read1(size) if size else b""
    except (OSError, http.client.HTTPException) as error:
        raise _of_network(error) from None


def _check_answer(partial: Partial, answer: http.client.HTTPResponse) -> int | None:
    """Make ready for what the server sends; return the size that is reached at its end."""
    length = answer.headers.get("Content-Length", "")
    following = int(length) if length.isdecimal() else None
    if answer.status == 200:
        partial.restart(_version(answer.headers), following)
        return following
    if answer.status != 206 or not partial.size:
        raise InputError(
            "the server",
            f"status {answer.status} instead of a file (a check of browsers?)",
            BY_HAND,
        )
    asked = re.fullmatch(
        rf"bytes {partial.size}-\d+/(\d+|\*)", answer.headers.get("Content-Range", "")
    )
    total = int(asked[1]) if asked and asked[1] != "*" else partial.total
    header, value = partial.version or ("ETag", "")
    same = answer.headers.get(header, value) == value
    if not asked or not same or partial.total not in (None, total):
        partial.restart()
        raise _PassingError("another part of the file than the one asked for")
    partial.total = total
    return None if following is None else partial.size + following


def _version(headers: Message) -> Version | None:
    """Return what tells this version of the file from others, byte by byte."""
    tag = headers.get("ETag", "")
    if tag and not tag.startswith("W/"):
        return "ETag", tag
    date = headers.get("Last-Modified")
    return ("Last-Modified", date) if date else None


def _check_no_page(start: bytes, headers: Message) -> None:
    text = start[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    declared = headers.get_content_type() == "text/html" and text.startswith(b"<")
    if declared or text.startswith((b"<!doctype html", b"<html")):
        raise InputError(
            "the server", "a web page (of a login, or an error) instead of a file", BY_HAND
        )


def _of_status(error: HTTPError, partial: Partial) -> Exception:
    """Return what an answer of failure means: an end, or another try."""
    told = f"status {error.code} ({http.client.responses.get(error.code, 'unknown')})"
    if error.code == 416:  # nothing follows what is there, which is then not what the server has
        there = amount_of(BYTES, partial.size)
        partial.restart()
        return _PassingError(f"a file that ends at {there}, sooner than it said ({error.code})")
    if error.code in PASSING:
        return _PassingError(told, after=_retry_after(error.headers.get("Retry-After", "")))
    if error.code in (401, 403, 407):
        return InputError("the server", told, f"a file that may be read; or {BY_HAND}")
    return InputError("the server", told, "the address of a file, as a browser downloads it")


def _retry_after(value: str) -> float:
    """Return the seconds that a server asks to wait, given as such or as a date."""
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return 0.0


def _of_network(error: Exception) -> Exception:
    """Return what a failure below http means: an end, or another try."""
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return InputError(
            "the server", f"no valid certificate ({reason.verify_message})", f"one; or {BY_HAND}"
        )
    if isinstance(reason, TimeoutError):
        # Before the connection stands it may be a wall that swallows what is sent.
        return _PassingError("no answer in time", unreachable=isinstance(error, URLError))
    if isinstance(reason, http.client.InvalidURL):
        return InputError("its form", str(reason), "https://server/path/file")
    if isinstance(reason, http.client.IncompleteRead | ConnectionResetError):
        return _PassingError("a connection that broke off")
    words = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    if isinstance(reason, socket.gaierror | ConnectionRefusedError) or isinstance(error, URLError):
        return _PassingError(f"no way to it ({words})", unreachable=True)
    return _PassingError(words)
