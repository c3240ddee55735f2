"""Run a worker: django-q2's cluster under a supervisor."""

import os
import signal
import threading
import time
from argparse import SUPPRESS, ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django_q.cluster import Cluster

from sequences import heartbeat
from sequences.supervising import DRAIN_SECONDS, Supervisor


class Command(BaseCommand):
    help = "Run a worker. Start any number of them, on any number of machines; SIGTERM ends one cleanly within 30 s."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--cluster", action="store_true", help=SUPPRESS)  # what the supervisor starts

    def handle(self, *args: Any, cluster: bool, **options: Any) -> None:
        if not cluster:
            Supervisor().run()
            return
        Cluster().start()
        # After the fork: the processes of the cluster are to have no thread.
        threading.Thread(target=_end_with_supervisor, daemon=True).start()


def _end_with_supervisor() -> None:
    heartbeat.wait_for_end()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(DRAIN_SECONDS + 5)
    os.killpg(0, signal.SIGKILL)  # the supervisor is no longer there to do it
