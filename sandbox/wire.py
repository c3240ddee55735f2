"""HTTP/1.1 on the loopback interface: one thread per kept connection, one function that answers.

Not http.server: its header parser alone costs more than a whole answer here, and load tests need many.
"""

import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import cached_property, lru_cache
from http import HTTPStatus
from io import BufferedReader
from urllib.parse import parse_qsl, unquote

LOOPBACK = "127.0.0.1"
OWN_NAMES = {"127.0.0.1", "localhost"}
LONGEST_LINE = 65_536
LARGEST_BODY = 4 * 1024 * 1024  # about what Graph takes; more is answered 413
UNREADABLE_BODY = 64 * 1024 * 1024
STACK_BYTES = 512 * 1024
SILENCE_SECONDS = 600


class Dropped(Exception):
    """Close the connection without an answer."""


class Silenced(Exception):
    """Keep the connection open and never answer."""


class _Malformed(Exception):
    pass


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes = b""
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Request:
    method: str
    target: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    started_at: float  # when its first line was here, seconds since 1970

    @cached_property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @cached_property
    def segments(self) -> list[str]:
        return [unquote(segment) for segment in self.path.split("/") if segment]

    @cached_property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    @cached_property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    @property
    def origin(self) -> str:
        """The address under which the asker knows this program."""
        return f"http://{self.headers.get('host', LOOPBACK)}"


Answering = Callable[[Request], Response]


class Server:
    """Listens on the loopback interface alone."""

    def __init__(self, port: int, answer: Answering) -> None:
        self._answer = answer
        self._listener = socket.create_server((LOOPBACK, port), backlog=512)
        self.port: int = self._listener.getsockname()[1]

    def serve(self) -> None:
        """Answer until `close()`."""
        threading.stack_size(STACK_BYTES)
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._serve_peer, args=(peer,), daemon=True).start()

    def close(self) -> None:
        # shutdown() wakes the thread that waits in accept(); close() alone would not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve_peer(self, peer: socket.socket) -> None:
        with peer, peer.makefile("rb") as reader:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                while self._serve_one(peer, reader):
                    pass
            except Silenced:
                _wait_for_the_end(peer)
            except (Dropped, OSError):
                pass

    def _serve_one(self, peer: socket.socket, reader: BufferedReader) -> bool:
        """Answer one request. False when the connection is over."""
        try:
            request = _read_request(peer, reader)
        except _Malformed:
            peer.sendall(_encoded(Response(400, b"Malformed request", "text/plain"), keep=False))
            return False
        if request is None:
            return False
        keep = request.headers.get("connection", "").lower() != "close"
        response = self._answer(request)
        peer.sendall(_encoded(response, keep=keep, bodiless=request.method == "HEAD"))
        return keep


def _read_request(peer: socket.socket, reader: BufferedReader) -> Request | None:
    line = reader.readline(LONGEST_LINE)
    if not line.strip():
        return None
    started_at = time.time()
    try:
        method, target, version = line.decode("latin-1").split()
    except ValueError as error:
        raise _Malformed from error
    if not version.startswith("HTTP/1.") or not target.startswith("/"):
        raise _Malformed
    headers = _read_headers(reader)
    if headers.get("expect", "").lower() == "100-continue":
        peer.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    return Request(method, target, headers, _read_body(reader, headers), started_at)


def _read_headers(reader: BufferedReader) -> dict[str, str]:
    headers: dict[str, str] = {}
    while (line := reader.readline(LONGEST_LINE)) not in (b"\r\n", b"\n", b""):
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise _Malformed
        headers[name.strip().lower()] = value.strip()
    return headers


def _read_body(reader: BufferedReader, headers: Mapping[str, str]) -> bytes:
    try:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return _read_chunks(reader)
        length = int(headers.get("content-length", 0))
    except ValueError as error:
        raise _Malformed from error
    if length > UNREADABLE_BODY:
        raise _Malformed
    body = reader.read(length) if length else b""
    if len(body) < length:
        raise Dropped
    return body


def _read_chunks(reader: BufferedReader) -> bytes:
    body = b""
    while size := int(reader.readline(LONGEST_LINE).partition(b";")[0], 16):
        body += reader.read(size)
        reader.readline(LONGEST_LINE)
    while reader.readline(LONGEST_LINE) not in (b"\r\n", b"\n", b""):
        pass
    return body


def _encoded(response: Response, *, keep: bool, bodiless: bool = False) -> bytes:
    lines = [f"HTTP/1.1 {response.status} {_phrase(response.status)}", f"Date: {_date(int(time.time()))}"]
    if response.content_type:
        lines.append(f"Content-Type: {response.content_type}")
    if response.status != HTTPStatus.NO_CONTENT:
        lines.append(f"Content-Length: {len(response.body)}")
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    if not keep:
        lines.append("Connection: close")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return head if bodiless else head + response.body


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


@lru_cache
def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _wait_for_the_end(peer: socket.socket) -> None:
    peer.settimeout(SILENCE_SECONDS)
    try:
        while peer.recv(LONGEST_LINE):
            pass
    except OSError:
        return
