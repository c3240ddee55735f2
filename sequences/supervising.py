"""The supervisor of a worker: starts django-q2's cluster, replaces it when it is stuck or gone, and ends it cleanly.

A killed idle worker can take the lock of the cluster's queue with it: then everything waits for ever, and nothing says
so (docs/decisions). The cluster is a process group of its own: it ends as a whole. It holds one end of a pipe, the
leash: when the supervisor lets go, or dies, pumps wind up and the cluster ends itself.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError
from django.db import connection as database
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.tasks import async_task

from sequences import heartbeat, tasks
from sequences.models import Heartbeat

STALE_SECONDS = 30.0  # without a beat: the cluster is replaced
START_SECONDS = 20.0  # for the first one, in addition
DRAIN_SECONDS = 25.0  # for what is under way, before the cluster is killed
WATCH_SECONDS = 1.0
MOST_WAITING_BEATS = 20
FORGOTTEN_AFTER = timedelta(days=1)

logger = logging.getLogger(__name__)


@dataclass
class Cluster:
    """A running cluster, and our end of its leash."""

    program: "subprocess.Popen[bytes]"
    leash: int
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def start(cls, name: str) -> "Cluster":
        theirs, ours = os.pipe()
        environment = os.environ | {heartbeat.NAME: name, heartbeat.LEASH: str(theirs)}
        command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "worker", "--cluster"]
        program = subprocess.Popen(command, env=environment, pass_fds=(theirs,), start_new_session=True)  # noqa: S603
        os.close(theirs)
        return cls(program, ours)

    def end(self, seconds: float) -> None:
        """Let it finish what is under way, then make sure that nothing of it is left."""
        self._let_go()
        with suppress(ProcessLookupError):
            self.program.send_signal(signal.SIGTERM)  # to the first process alone: the group would lose its tasks
        with suppress(subprocess.TimeoutExpired):
            self.program.wait(seconds)
        self.kill()

    def kill(self) -> None:
        self._let_go()
        with suppress(ProcessLookupError):
            os.killpg(self.program.pid, signal.SIGKILL)
        self.program.wait()

    def _let_go(self) -> None:
        if self.leash >= 0:
            os.close(self.leash)
            self.leash = -1


class Supervisor:
    def __init__(self) -> None:
        self.name = f"{socket.gethostname()}-{os.getpid()}"[:120]
        self._ending = False
        self._last_beat: datetime | None = None
        self._heard = 0.0  # monotonic: this machine's wall clock may be wrong
        self._asked = 0.0

    def run(self) -> None:
        """Until a SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        cluster = self._begun()
        try:
            while not self._ending:
                cluster = self._watched(cluster)
                time.sleep(WATCH_SECONDS)
        finally:
            cluster.end(DRAIN_SECONDS)
            with suppress(DatabaseError):
                Heartbeat.objects.filter(name=self.name).delete()

    def _end(self, *signaled: object) -> None:
        self._ending = True

    def _begun(self) -> Cluster:
        try:
            tasks.make_schedules()
            tasks.ring_soon()
            Heartbeat.objects.filter(beat_at__lt=timezone.now() - FORGOTTEN_AFTER).delete()
        except DatabaseError as error:
            self._database_is_away(error)
        self._heard = time.monotonic() + START_SECONDS
        database.close()
        return Cluster.start(self.name)

    def _watched(self, cluster: Cluster) -> Cluster:
        """The cluster, or the one that replaces it."""
        if cluster.program.poll() is not None:
            logger.error("The cluster has ended by itself; starting another.")
            cluster.kill()  # what is left of its group
            return self._begun()
        try:
            self._listen()
        except DatabaseError as error:
            self._database_is_away(error)
        if time.monotonic() - self._heard > STALE_SECONDS:
            logger.error("The cluster has not beaten for %d seconds; replacing it.", STALE_SECONDS)
            cluster.kill()
            return self._begun()
        return cluster

    def _listen(self) -> None:
        """Hear the cluster's beat, and ask for the next one."""
        beat_at = Heartbeat.objects.filter(name=self.name).values_list("beat_at", flat=True).first()
        now = time.monotonic()
        if beat_at and beat_at != self._last_beat:
            self._last_beat, self._heard = beat_at, max(self._heard, now)
        if now - self._asked > heartbeat.BEAT_SECONDS and get_broker().queue_size() < MOST_WAITING_BEATS:
            self._asked = now
            async_task("sequences.tasks.beat")

    def _database_is_away(self, error: DatabaseError) -> None:
        """Then nobody can beat, and nobody is to blame."""
        logger.warning("The database cannot be asked (%s).", type(error).__name__)
        database.close()
        self._heard = time.monotonic()
