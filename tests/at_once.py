"""Several acts at the same moment, each in a thread with a database connection of its own."""

import threading
from collections.abc import Callable

from django.db import connections


def at_once(*acts: Callable[[], object]) -> None:
    start_line = threading.Barrier(len(acts))

    def run(act: Callable[[], object]) -> None:
        start_line.wait()
        try:
            act()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
