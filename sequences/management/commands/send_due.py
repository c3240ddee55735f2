"""Send what is due, as the worker does: for cron, or by hand."""

import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from sequences.sending import Pump
from sequences.sending.pump import SECONDS


class Command(BaseCommand):
    help = "Send what is due now. May run beside workers, on any number of machines; SIGTERM ends it cleanly."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seconds", type=float, default=SECONDS, help="stop after so long (default: %(default)s)")

    def handle(self, *args: Any, seconds: float, **options: Any) -> None:
        told = threading.Event()
        before = signal.signal(signal.SIGTERM, lambda *_: told.set())
        try:
            tally = Pump(stop=told.is_set).run(seconds=seconds)
        finally:
            signal.signal(signal.SIGTERM, before)
        self.stdout.write(f"{tally.accepted} sent, {tally.refused} refused, {tally.settled} looked after.")
