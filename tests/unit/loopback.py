"""A web server on this machine that misbehaves as told."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Not compressible, and no page: the content of all files here.
BODY = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(256)) * 40
SHA256 = hashlib.sha256(BODY).hexdigest()


@dataclass
class Answer:
    """How one request is answered.

    `cut` ends the connection after so many bytes, `claimed` is a length that is not the body's,
    `ranges` is whether the server knows of parts, `shift` makes it send another part.
    """

    body: bytes = BODY
    status: int = 200
    tag: str | None = '"1"'
    date: str | None = None
    cut: int | None = None
    claimed: int | None = None
    chunked: bool = False
    ranges: bool = True
    shift: int = 0
    pause: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, handler: BaseHTTPRequestHandler) -> None:
        if self.pause:
            time.sleep(self.pause)
        start, status = 0, self.status
        asked = handler.headers.get("Range")
        same = handler.headers.get("If-Range") in (None, self.tag, self.date)
        if asked and same and self.ranges and status == 200:
            start, status = int(asked.removeprefix("bytes=").removesuffix("-")), 206
            if start >= len(self.body):
                status = 416
        content = b"" if status == 416 else self.body[start:]
        handler.send_response(status)
        if status == 206:
            first, last = start + self.shift, len(self.body) - 1
            handler.send_header("Content-Range", f"bytes {first}-{last}/{len(self.body)}")
        if self.chunked:
            handler.send_header("Transfer-Encoding", "chunked")
        else:
            length = len(content) if self.claimed is None else self.claimed - start
            handler.send_header("Content-Length", str(length))
        for name, value in {"ETag": self.tag, "Last-Modified": self.date, **self.headers}.items():
            if value is not None:
                handler.send_header(name, value)
        handler.end_headers()
        whole = content if self.cut is None else content[: self.cut]
        if self.chunked:
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(whole), whole))
            if self.cut is None:
                handler.wfile.write(b"0\r\n\r\n")
        else:
            handler.wfile.write(whole)
        handler.close_connection = True


@dataclass
class Server:
    """Answers in turn, the last one for ever; what was asked is kept."""

    url: str = ""
    answers: list[Answer | Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)

    def tell(self, *answers: Answer | Callable[[BaseHTTPRequestHandler], None]) -> None:
        self.answers[:] = answers

    @property
    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for headers in self.asked]


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            told.asked.append({"path": self.path, **self.headers})
            answer = told.answers.pop(0) if len(told.answers) > 1 else told.answers[0]
            with contextlib.suppress(ConnectionError):
                (answer.send if isinstance(answer, Answer) else answer)(self)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
