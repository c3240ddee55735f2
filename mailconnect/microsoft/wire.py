"""HTTP to Graph: one kept connection per thread, timeouts on everything, and a clear line between sent and not sent.

http.client instead of requests, because this is the hot path: 0.3 ms of CPU for two calls against 2.2
(docs/decisions/0005-http-client.md).
"""

import http.client
import select
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from mailconnect.microsoft.errors import OutcomeUnknown, Unreachable

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
# Graph closes idle connections after minutes; one that may be half closed is not worth an unknown outcome.
IDLE_SECONDS = 50.0
LARGEST_ANSWER = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class _Gated(http.client.HTTPConnection):
    """Asks `gate`, once, when the first bytes of a request are ready: a worker that is frozen between its word and the
    network wakes up with an old permit, so nothing else may lie between them."""

    gate: Callable[[], None] | None = None

    def send(self, data: Any) -> None:
        gate, self.gate = self.gate, None
        if gate:
            gate()
        super().send(data)


class _GatedTLS(_Gated, http.client.HTTPSConnection):
    pass


class _Kept(threading.local):
    connection: _Gated | None = None
    used_at: float = 0.0


class Wire:
    """Speaks to one host. Safe to share between threads: each has its own connection."""

    def __init__(self, base_url: str, *, read_seconds: float = READ_SECONDS) -> None:
        parts = urlsplit(base_url)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port
        self._path = parts.path.rstrip("/")
        self._read_seconds = read_seconds
        self._kept = _Kept()

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def exchange(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        gate: Callable[[], None] | None = None,
        sent: Callable[[], None] | None = None,
    ) -> Answer:
        """Send one request and read the whole answer. Never repeats.

        `gate` is asked when the request is ready and nothing of it has been sent; what it raises is raised here.
        `sent` is told between the request and its answer.
        Raises `Unreachable` when nothing was sent, `OutcomeUnknown` when something was and no answer came.
        """
        connection = self._ready_connection()
        connection.gate = gate
        try:
            connection.request(method, self._path + path, body=body, headers=headers)
            if sent:
                sent()
            response = connection.getresponse()
            content = response.read(LARGEST_ANSWER + 1)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise OutcomeUnknown("timeout" if isinstance(error, TimeoutError) else "connection_lost") from error
        except BaseException:
            self.close()  # it waits for the rest of a request
            raise
        if response.will_close or len(content) > LARGEST_ANSWER:
            self.close()
        self._kept.used_at = time.monotonic()
        return Answer(response.status, response.headers, content)  # type: ignore[arg-type]

    def close(self) -> None:
        """Drop this thread's connection."""
        if self._kept.connection:
            self._kept.connection.close()
        self._kept.connection = None

    def _ready_connection(self) -> _Gated:
        connection = self._kept.connection
        if connection is None or connection.sock is None or self._is_stale(connection):
            self.close()
            connection = self._connect()
            self._kept.connection = connection
        return connection

    def _is_stale(self, connection: _Gated) -> bool:
        """The peer has closed it (an idle connection has nothing to read but the end), or it idled too long."""
        if time.monotonic() - self._kept.used_at > IDLE_SECONDS:
            return True
        poll = select.poll()  # not select(): file numbers above 1,023 are ordinary with 128 threads and a pool
        poll.register(connection.sock, select.POLLIN)
        return bool(poll.poll(0))

    def _connect(self) -> _Gated:
        connection = self._new_connection()
        try:
            connection.connect()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Unreachable("unreachable") from error
        connection.sock.settimeout(self._read_seconds)
        return connection

    def _new_connection(self) -> _Gated:
        if not self._secure:
            return _Gated(self._host, self._port, timeout=CONNECT_SECONDS)
        proxy = None if proxy_bypass(self._host) else getproxies().get("https")
        if not proxy:
            return _GatedTLS(self._host, self._port, timeout=CONNECT_SECONDS, context=self._tls)
        through = urlsplit(proxy)
        connection = _GatedTLS(through.hostname or "", through.port, timeout=CONNECT_SECONDS, context=self._tls)
        connection.set_tunnel(self._host, self._port or 443)
        return connection
