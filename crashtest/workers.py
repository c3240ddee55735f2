"""Workers that can be killed: each a process of its own, forked from a program that holds no connection."""

import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NoReturn

from django.core.management import call_command
from django.db import connections
from django.utils import timezone

from crashtest import scaled
from sequences.sending import Pump

ROUND_SECONDS = 20.0
IN_FLIGHT = 8  # few, so that a kill leaves few mailboxes under a dead lease


@dataclass
class Doom:
    """Kills (or stops) its own process when that passes `point` for the `passes`-th time."""

    point: str
    passes: int
    number: int = signal.SIGKILL
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, point: str) -> None:
        if point != self.point:
            return
        with self._lock:
            self.passes -= 1
            if self.passes == 0:
                # At this thread: a stop that another one is told of comes too late for this one.
                signal.pthread_kill(threading.get_ident(), self.number)


def nobody(point: str) -> None:
    """Watches nothing."""


@dataclass
class SteppedClock:
    """A clock that somebody sets an hour forward, back and right again, every half second or so."""

    chance: random.Random
    shift: timedelta = timedelta()
    _next: float = 0.0

    def __call__(self) -> datetime:
        if time.monotonic() > self._next:
            self.shift = self.chance.choice([timedelta(hours=-1), timedelta(), timedelta(hours=1)])
            self._next = time.monotonic() + 0.5
        return timezone.now() + self.shift


def pump(
    *,
    observe: Callable[[str], None] = nobody,
    clock: Callable[[], datetime] = timezone.now,
    cool_down: float = scaled.COOL_DOWN,
) -> Callable[[], None]:
    """The body of a worker: pumps one after the other, as the ticks of a cluster start them."""

    def body() -> None:
        while True:
            pace = scaled.quick(cool_down=cool_down)
            Pump(pace=pace, in_flight=IN_FLIGHT, observe=observe, clock=clock).run(seconds=ROUND_SECONDS, linger=True)
            time.sleep(0.05)

    return body


def cron() -> None:
    """`manage.py send_due`, again and again."""
    while True:
        call_command("send_due", seconds=3.0, stdout=open(os.devnull, "w"))  # noqa: PTH123, SIM115
        time.sleep(0.1)


class Crew:
    """The workers that run now. End it, whatever happens."""

    def __init__(self) -> None:
        self.pids: set[int] = set()

    def start(self, body: Callable[[], None]) -> int:
        """Fork. Nothing is inherited that two processes must not share."""
        connections.close_all()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            _run(body)
        self.pids.add(pid)
        return pid

    def kill(self, pid: int, number: int = signal.SIGKILL) -> None:
        os.kill(pid, number)

    def wait(self, pid: int, seconds: float) -> bool:
        """Whether it has ended within so long."""
        give_up_at = time.monotonic() + seconds
        while time.monotonic() < give_up_at:
            if os.waitpid(pid, os.WNOHANG)[0]:
                self.pids.discard(pid)
                return True
            time.sleep(0.002)
        return False

    def end(self) -> None:
        for pid in list(self.pids):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self.pids.clear()


def _run(body: Callable[[], None]) -> NoReturn:
    """A database that is away for a while ends no worker."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    while True:
        try:
            body()
        except Exception:
            if os.environ.get("CRASHTEST_LOUD"):
                traceback.print_exc()
            connections.close_all()
            time.sleep(0.2)
