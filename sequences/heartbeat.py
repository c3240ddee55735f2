"""A worker's signs of life, and the leash by which its supervisor ends it.

A cluster whose queue is stuck looks alive: its processes run. So only tasks beat: one that does nothing else, which the
supervisor enqueues again and again, and while any task runs a thread beside it, for the longest that a task may run.
"""

import logging
import os
import select
import threading
from functools import lru_cache
from typing import Any

from django.db import DatabaseError, connections
from django.utils import timezone
from django_q.signals import post_execute_in_worker, pre_execute

from sequences.models import Heartbeat

NAME = "WORKER_NAME"  # in the environment of a cluster: its supervisor's name
LEASH = "WORKER_LEASH"  # and the number of the pipe that ends when the supervisor ends, or wants the cluster to end
BEAT_SECONDS = 5.0

logger = logging.getLogger(__name__)


def beat() -> None:
    """Written by the cluster itself. Outside of a cluster nobody is there to beat for."""
    if name := os.environ.get(NAME):
        Heartbeat.objects.update_or_create(name=name, defaults={"beat_at": timezone.now()})


def is_ending() -> bool:
    """The supervisor ends this cluster, or has itself ended: finish what is under way, begin nothing."""
    poll = _leash()
    return bool(poll and poll.poll(0))


def wait_for_end() -> None:
    """Returns when the cluster is to end."""
    if poll := _leash():
        poll.poll()


@lru_cache(maxsize=1)
def _leash() -> "select.poll | None":
    if LEASH not in os.environ:
        return None
    poll = select.poll()
    poll.register(int(os.environ[LEASH]), select.POLLIN | select.POLLHUP)
    return poll


class _Beating:
    """Beats in a thread of its own, from the beginning to the end of a task."""

    def __init__(self) -> None:
        self._over = threading.Event()
        threading.Thread(target=self._beat, daemon=True, name="heartbeat").start()

    def stop(self) -> None:
        self._over.set()

    def _beat(self) -> None:
        try:
            while not self._over.wait(BEAT_SECONDS):
                beat()
        except DatabaseError:
            logger.warning("The heartbeat cannot be written.")
        finally:
            connections.close_all()


def watch_tasks() -> None:
    """While a task runs in this cluster, beat. Does nothing in other programs."""
    if NAME not in os.environ:
        return
    running: list[_Beating] = []

    def begin(**kwargs: Any) -> None:
        running.append(_Beating())

    def end(**kwargs: Any) -> None:
        while running:
            running.pop().stop()

    pre_execute.connect(begin, weak=False)
    post_execute_in_worker.connect(end, weak=False)
