"""Machines that lose the network: a worker whose way to the database and to Microsoft is cut, and comes back later."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connections

from crashtest import scaled
from crashtest.stage import Row, Stage
from crashtest.workers import pump
from mailconnect.models import MailConnection

PATIENCE = 30.0


@dataclass(frozen=True)
class Way:
    """A port of a machine's own that leads to another."""

    port: int
    to: int


def cut_off(stage: Stage) -> float | None:
    """Three machines on one PostgreSQL; one is cut off in the middle of a wave. Seconds until its mailboxes go on."""
    if stage.postgres is None:
        return None
    people = stage.crowd(mailboxes=30, each=8)
    row = Row("cut off from the network", 0, people)
    stage.rows.append(row)
    stage.standin.tell("faults", latency=0.1, settle=scaled.SETTLE, lag=scaled.LAG)
    ways = [Way(_free_port(), stage.postgres.port), Way(_free_port(), urlsplit(settings.SANDBOX_URL).port or 0)]
    network = stage.crew.start(_network(ways))
    time.sleep(0.5)
    for body in (_far_away(ways), pump(), pump()):
        stage.crew.start(_own_group(body))
    time.sleep(1.5)
    os.kill(network, signal.SIGSTOP)  # nothing goes through, and nobody is told
    cut_at = time.monotonic()
    held = _held()
    while held and time.monotonic() - cut_at < PATIENCE:
        time.sleep(0.1)
        held &= _held()
    seconds = time.monotonic() - cut_at
    os.kill(network, signal.SIGCONT)  # the way is open again: what it does now comes too late
    time.sleep(2.0)
    row.kills = 1
    return seconds


def _held() -> set[tuple[int, int]]:
    """The leases, as the database has them: one that is over stays until somebody takes the mailbox over."""
    held = MailConnection.objects.filter(lease_owner__isnull=False)
    return set(held.values_list("pk", "lease_epoch"))


def _far_away(ways: list[Way]) -> Callable[[], None]:
    database, microsoft = ways

    def body() -> None:
        connections["default"].settings_dict["PORT"] = database.port
        settings.SANDBOX_URL = f"http://127.0.0.1:{microsoft.port}"
        pump()()

    return body


def _own_group(body: Callable[[], None]) -> Callable[[], None]:
    def apart() -> None:
        if os.getpgrp() != os.getpid():
            os.setpgrp()
        body()

    return apart


def _network(ways: list[Way]) -> Callable[[], None]:
    async def serve() -> None:
        servers = [await asyncio.start_server(_carry(way.to), "127.0.0.1", way.port) for way in ways]
        await asyncio.gather(*(server.serve_forever() for server in servers))

    return lambda: asyncio.run(serve())


def _carry(port: int) -> "Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]":
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))

    return carry


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
