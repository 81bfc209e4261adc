"""Downloads from a server that is slow, breaks off, lies, changes its file or sends another."""

import hashlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from loopback import BODY, SHA256, Answer, serving

from lgem.errors import InputError
from lgem.screen import downloads
from lgem.screen.downloads import Patience, download
from tests.conftest import lacking

ROOT = Path(__file__).resolve().parents[2]
QUICK = Patience(timeout=2.0, wait=0.001, broken=4, unreachable=2)
OTHER = BODY[::-1]
DATE = "Sat, 21 Nov 2026 10:00:00 GMT"
HALF = len(BODY) // 2


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as server:
        yield server


@pytest.fixture
def output(tmp_path):
    return tmp_path / "resources" / "download"


def left(output):
    """Names beside the download: nothing but it and its checksum, if all went well."""
    return sorted(path.name for path in output.parent.iterdir())


def refused(server, output, path="/x.h5ad", **options):
    with pytest.raises(InputError) as error:
        download(server.url + path, str(output), patience=QUICK, **options)
    assert not output.exists()
    message = str(error.value)
    assert message.startswith("url: http://")
    return message.replace(server.url, "HOST")


# What goes well


def test_a_file_comes_whole_and_leaves_its_checksum(server, output, caplog):
    caplog.set_level(logging.INFO, "lgem")
    server.tell(Answer())
    assert download(server.url + "/x.h5ad?download=1", str(output), patience=QUICK) == SHA256
    assert output.read_bytes() == BODY
    assert left(output) == ["download", "download.sha256"]
    assert f"sha256 {SHA256}; put it in the config" in caplog.text
    assert "trying again" not in caplog.text
    assert output.with_name("download.sha256").read_text() == (
        f"{SHA256}  {server.url}/x.h5ad?download=1\n"
    )
    assert [asked["path"] for asked in server.asked] == ["/x.h5ad?download=1"]


def test_a_known_checksum_is_left_as_well_to_be_compared_with_the_config(server, output):
    server.tell(Answer())
    assert download(server.url + "/x", str(output), SHA256, QUICK) == SHA256
    assert left(output) == ["download", "download.sha256"]


@pytest.mark.parametrize("answer", [Answer(chunked=True), Answer(tag=None), Answer(tag='W/"1"')])
def test_neither_length_nor_version_is_needed(server, output, answer):
    server.tell(answer)
    assert download(server.url + "/x", str(output), SHA256, QUICK) == SHA256
    assert output.read_bytes() == BODY


def test_redirects_are_followed_without_the_password(server, output):
    server.tell(Answer(b"", 302, headers={"Location": "/there"}), Answer())
    url = server.url.replace("//", "//me:s%40fe@") + "/x?token=hidden"
    download(url, str(output), patience=QUICK)
    first, second = server.asked
    assert (first["path"], second["path"]) == ("/x?token=hidden", "/there")
    assert first["Authorization"] == "Basic bWU6c0BmZQ=="
    assert "Authorization" not in second
    kept = output.with_name("download.sha256").read_text()
    assert kept == f"{SHA256}  {server.url.replace('//', '//***@')}/x?token=***\n"


# What breaks off


def test_what_broke_off_goes_on_where_it_was(server, output):
    server.tell(*(Answer(cut=n) for n in (10_000, 70_000, 5)), Answer(cut=100_000), Answer())
    assert download(server.url + "/x", str(output), patience=QUICK) == SHA256
    assert output.read_bytes() == BODY
    assert server.ranges == [None, *(f"bytes={n}-" for n in (10_000, 80_000, 80_005, 180_005))]
    assert {asked.get("If-Range") for asked in server.asked[1:]} == {'"1"'}


def test_every_byte_won_gives_new_tries(server, output):
    server.tell(*[Answer(cut=len(BODY) // 20)] * 30)
    assert download(server.url + "/x", str(output), SHA256, QUICK) == SHA256
    assert len(server.asked) >= 20 > QUICK.broken


@pytest.mark.parametrize("unmarked", [Answer(cut=HALF, tag=None), Answer(cut=HALF, tag='W/"1"')])
def test_what_has_no_version_starts_anew(server, output, unmarked):
    server.tell(unmarked, Answer())
    assert download(server.url + "/x", str(output), patience=QUICK) == SHA256
    assert server.ranges == [None, None]


def test_a_date_is_a_version_too(server, output):
    server.tell(Answer(cut=HALF, tag=None, date=DATE), Answer(tag=None, date=DATE))
    assert download(server.url + "/x", str(output), patience=QUICK) == SHA256
    assert server.asked[1]["If-Range"] == DATE
    assert server.ranges[1] == f"bytes={HALF}-"


def test_a_server_without_parts_sends_all_again(server, output):
    server.tell(Answer(cut=HALF), Answer(ranges=False))
    assert download(server.url + "/x", str(output), patience=QUICK) == SHA256
    assert server.ranges == [None, f"bytes={HALF}-"]


def test_a_server_without_parts_that_always_breaks_off_is_given_up(server, output):
    server.tell(Answer(cut=HALF, ranges=False))
    message = refused(server, output)
    assert "found a connection that broke off after 160.0 of 320.0 KiB (160.0 KiB are kept)" in (
        message
    )
    assert len(server.asked) == QUICK.broken


@pytest.mark.parametrize("changed", [{}, {"date": DATE}])
def test_a_file_that_changed_starts_anew(server, output, changed):
    server.tell(Answer(cut=HALF), Answer(OTHER, tag='"2"', **changed))
    download(server.url + "/x", str(output), patience=QUICK)
    assert output.read_bytes() == OTHER


def test_a_part_of_another_version_is_not_appended(server, output):
    def careless(handler):  # a server that knows Range, but not If-Range
        answer = Answer(OTHER, tag='"2"')
        handler.headers.replace_header("If-Range", '"2"')
        answer.send(handler)

    server.tell(Answer(cut=HALF), careless, Answer(OTHER, tag='"2"'))
    download(server.url + "/x", str(output), patience=QUICK)
    assert output.read_bytes() == OTHER
    assert server.ranges == [None, f"bytes={HALF}-", None]


def test_another_part_than_asked_for_is_not_appended(server, output):
    server.tell(Answer(cut=HALF), Answer(shift=-7), Answer())
    assert download(server.url + "/x", str(output), patience=QUICK) == SHA256
    assert server.ranges == [None, f"bytes={HALF}-", None]


def test_a_length_that_is_too_long_is_a_break(server, output):
    server.tell(Answer(claimed=len(BODY) + 1))
    message = refused(server, output)
    assert "found a file that ends at 320.0 KiB, sooner than it said (416)" in message


def test_a_length_that_is_too_short_shows_in_the_checksum(server, output):
    server.tell(Answer(claimed=HALF))
    message = refused(server, output, sha256=SHA256)
    assert f"found {hashlib.sha256(BODY[:HALF]).hexdigest()}; expected {SHA256}" in message


def test_chunks_that_end_too_early_are_a_break(server, output):
    server.tell(Answer(chunked=True, cut=HALF), Answer())
    assert download(server.url + "/x", str(output), patience=QUICK) == SHA256
    assert len(server.asked) == 2


def test_a_silent_server_is_asked_again(server, output):
    server.tell(Answer(pause=1.0), Answer())
    patience = Patience(timeout=0.2, wait=0.001)
    assert download(server.url + "/x", str(output), patience=patience) == SHA256
    assert len(server.asked) == 2


def test_a_slow_server_is_waited_for(server, output):
    def slow(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "12")
        handler.end_headers()
        for byte in b"cell,gene\n1,":
            handler.wfile.write(bytes([byte]))
            time.sleep(0.05)

    server.tell(slow)
    download(server.url + "/x.csv", str(output), patience=Patience(timeout=0.4))
    assert output.read_bytes() == b"cell,gene\n1,"
    assert len(server.asked) == 1


# What another run finds


def test_another_run_goes_on_with_what_is_there(server, output):
    server.tell(Answer(cut=HALF), Answer(status=503))
    assert "status 503" in refused(server, output)
    assert left(output) == ["download.part", "download.part.json"]
    server.asked.clear()
    server.tell(Answer())
    assert download(server.url + "/x.h5ad", str(output), SHA256, QUICK) == SHA256
    assert server.ranges == [f"bytes={HALF}-"]
    assert left(output) == ["download", "download.sha256"]


def test_what_came_from_elsewhere_is_dropped(server, output):
    server.tell(Answer(OTHER, cut=HALF), Answer(status=503))
    refused(server, output, "/other.h5ad")
    server.asked.clear()
    server.tell(Answer())
    download(server.url + "/x.h5ad", str(output), SHA256, QUICK)
    assert server.ranges == [None]
    assert output.read_bytes() == BODY


@pytest.mark.parametrize("note", ["", "{}", '{"source": 1, "version": null}', "[1]"])
def test_a_part_without_a_readable_note_is_dropped(server, output, note):
    output.parent.mkdir()
    output.with_name("download.part").write_bytes(OTHER[:HALF])
    output.with_name("download.part.json").write_text(note)
    server.tell(Answer())
    download(server.url + "/x.h5ad", str(output), SHA256, QUICK)
    assert output.read_bytes() == BODY


def test_a_part_longer_than_the_file_is_dropped(server, output):
    server.tell(Answer(BODY + b"more", cut=len(BODY) + 2), Answer(status=503))
    refused(server, output)
    server.tell(Answer())
    assert download(server.url + "/x.h5ad", str(output), patience=QUICK) == SHA256


WORK = """
import sys
from lgem.screen.downloads import download
download(sys.argv[1], sys.argv[2])
"""


def test_a_killed_process_is_gone_on_with(server, output):
    def endless(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BODY)))
        handler.send_header("ETag", '"1"')
        handler.end_headers()
        handler.wfile.write(BODY[:HALF])
        time.sleep(20)

    server.tell(endless)
    url = server.url + "/x.h5ad"
    work = subprocess.Popen([sys.executable, "-c", WORK, url, str(output)], cwd=ROOT)
    part = output.with_name("download.part")
    try:
        end = time.monotonic() + 60
        while not part.exists() or part.stat().st_size < HALF:
            assert work.poll() is None
            assert time.monotonic() < end
            time.sleep(0.01)
        # A download that is under way keeps others from writing to the same file.
        with pytest.raises(InputError, match="another process that downloads it"):
            download(url, str(output), patience=QUICK)
    finally:
        work.send_signal(signal.SIGKILL)
        work.wait()
    assert left(output) == ["download.part", "download.part.json"]
    server.asked.clear()
    server.tell(Answer())
    assert download(url, str(output), patience=QUICK) == SHA256
    assert server.ranges == [f"bytes={HALF}-"]
    assert output.read_bytes() == BODY


def test_a_process_killed_before_the_last_step_asks_for_nothing(server, output, monkeypatch):
    server.tell(Answer())
    with monkeypatch.context() as patch:
        patch.setattr(downloads.Partial, "finish", lambda partial: os._exit(9))
        child = os.fork()
        if not child:
            download(server.url + "/x.h5ad", str(output), patience=QUICK)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    server.asked.clear()
    assert download(server.url + "/x.h5ad", str(output), patience=QUICK) == SHA256
    assert server.asked == []
    assert left(output) == ["download", "download.sha256"]


# Wrong content


def test_a_wrong_checksum_says_both_and_leaves_nothing(server, output):
    server.tell(Answer(OTHER))
    message = refused(server, output, sha256=SHA256)
    found = hashlib.sha256(OTHER).hexdigest()
    assert message == f"url: HOST/x.h5ad: sha256: found {found}; expected {SHA256}"
    assert left(output) == []


def test_a_later_download_must_be_the_same_as_the_first(server, output):
    server.tell(Answer(), Answer(OTHER))
    url = server.url + "/x.h5ad"
    download(url, str(output), patience=QUICK)
    output.unlink()
    message = refused(server, output)
    assert f"expected {SHA256}; remove that file to accept the new one" in message
    assert f"of an earlier download in {output}.sha256: found" in message
    download(server.url + "/elsewhere.h5ad", str(output), patience=QUICK)
    assert output.read_bytes() == OTHER


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\n<!DOCTYPE html><html><body>Log in</body></html>", "text/html; charset=utf-8"),
        (b"\xef\xbb\xbf<HTML lang=en>", "application/octet-stream"),
        (b"<!-- moved --><html>", "text/html"),
    ],
)
def test_a_web_page_is_no_file(server, output, start, kind):
    server.tell(Answer(start + BODY, headers={"Content-Type": kind}))
    assert refused(server, output) == (
        "url: HOST/x.h5ad: the server: found a web page (of a login, or an error) instead of a "
        "file; expected download it with a browser and give its path instead of url"
    )
    assert left(output) == []
    assert len(server.asked) == 1


def test_a_file_that_is_merely_called_a_page_is_taken(server, output):
    server.tell(Answer(headers={"Content-Type": "text/html"}))
    assert download(server.url + "/x", str(output), SHA256, QUICK) == SHA256


@pytest.mark.parametrize("chunked", [False, True])
def test_an_empty_file_is_no_file(server, output, chunked):
    server.tell(Answer(b"", chunked=chunked))
    assert "found an empty file" in refused(server, output)


# Answers that are none


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, "found status 404 (Not Found); expected the address of a file"),
        (410, "found status 410 (Gone); expected the address of a file"),
        (401, "found status 401 (Unauthorized); expected a file that may be read"),
        (403, "found status 403 (Forbidden); expected a file that may be read"),
        (202, "found status 202 instead of a file (a check of browsers?)"),
        (204, "found status 204 instead of a file"),
        (206, "found status 206 instead of a file"),
    ],
)
def test_what_no_further_try_would_change_ends_at_once(server, output, status, words):
    server.tell(Answer(b"", status))
    assert words in refused(server, output)
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(server, output, status):
    server.tell(*[Answer(b"busy", status)] * 3, Answer())
    assert download(server.url + "/x", str(output), patience=QUICK) == SHA256
    assert len(server.asked) == 4


def test_a_server_that_stays_busy_is_given_up(server, output):
    server.tell(Answer(b"busy", 503))
    message = refused(server, output)
    assert "found status 503 (Service Unavailable); expected an answer; try again later" in message
    assert len(server.asked) == QUICK.broken


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [("7", 7, 7), ("date", 60, 240), ("0", 1, 1), ("tomorrow", 1, 1), ("90000", 300, 300)],
)
def test_a_server_says_when_to_come_again(server, output, monkeypatch, value, least, most):
    waits = []
    monkeypatch.setattr(downloads.time, "sleep", waits.append)
    if value == "date":
        value = format_datetime(datetime.now(UTC) + timedelta(seconds=240), usegmt=True)
    server.tell(Answer(status=429, headers={"Retry-After": value}), Answer())
    download(server.url + "/x", str(output))
    assert len(waits) == 1
    assert least <= waits[0] <= most


def test_waits_grow(server, output, monkeypatch):
    waits = []
    monkeypatch.setattr(downloads.time, "sleep", waits.append)
    server.tell(Answer(status=503))
    with pytest.raises(InputError):
        download(server.url + "/x", str(output))
    assert waits == [1, 2, 4, 8, 16, 32, 64]


def test_redirects_in_a_circle_end(server, output):
    server.tell(Answer(b"", 302, headers={"Location": "/x.h5ad"}))
    assert "found status 302" in refused(server, output)


def test_nobody_listening_is_told(output):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        with pytest.raises(InputError) as error:
            download(f"http://me:secret@127.0.0.1:{port}/x?key=a", str(output), patience=QUICK)
    assert str(error.value) == (
        f"url: http://***@127.0.0.1:{port}/x?key=***: the server: found no way to it (Connection "
        "refused); expected an answer; try again later, or download it with a browser and give "
        "its path instead of url"
    )
    assert left(output) == []


def test_an_address_that_none_can_be_is_told_at_once(output):
    with pytest.raises(InputError, match="its form: found nonnumeric port: 'x'; expected https"):
        download("http://127.0.0.1:x/y.h5ad", str(output))


def test_what_is_no_http_is_told(output):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        listening.settimeout(5)
        child = os.fork()
        if not child:
            for _ in range(QUICK.broken):
                connection, _ = listening.accept()
                connection.recv(65536)
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")
                connection.close()
            os._exit(0)
        try:
            with pytest.raises(InputError, match=r"found SSH-2\.0"):
                download(f"http://127.0.0.1:{port}/x", str(output), patience=QUICK)
        finally:
            os.waitpid(child, 0)


# Full disks


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 200 KiB, less than the file."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(command, check=False).returncode:
        lacking("no right to mount a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_file_that_does_not_fit_is_told_before_it_comes(server, small_disk):
    server.tell(Answer())
    message = refused(server, small_disk / "download")
    assert f"{small_disk}/download: found no space left on the disk: 1" in message
    assert message.endswith("KiB free; expected 320.0 KiB for the download")
    assert list(small_disk.iterdir()) == []


def test_a_full_disk_is_told_and_the_next_run_goes_on(server, small_disk):
    server.tell(Answer(chunked=True))
    output = small_disk / "download"
    message = refused(server, output)
    assert f"{output}.part: found no space left on the disk after 1" in message
    assert "expected more space; the next run goes on with what has come" in message
    subprocess.run(["mount", "-o", "remount,size=2m", str(small_disk)], check=True)
    server.asked.clear()
    assert download(server.url + "/x.h5ad", str(output), SHA256, QUICK) == SHA256
    assert server.ranges[0] is not None
    assert output.read_bytes() == BODY
