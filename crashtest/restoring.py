"""Restore an old backup: what has left since is in the mailboxes, and not in the database."""

import time
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connections

from crashtest import oracle
from crashtest.stage import Row, Stage
from crashtest.workers import pump
from sequences.management.commands.backup import copy_database

SECONDS = 60.0


def an_old_backup(stage: Stage, *, tell: bool = True) -> None:
    """Back up when a quarter has left, let the rest leave, restore, go on. `tell`: by `manage.py restored`.

    A third more has not begun then: without a word of the restore, that is sent again.
    """
    if not settings.SQLITE:
        return
    live = Path(settings.DATABASES["default"]["NAME"])
    backup = live.with_suffix(".backup")
    backup.unlink(missing_ok=True)
    people = stage.crowd(mailboxes=8, each=9)
    stage.rows.append(Row("an old backup restored" if tell else "control: restored and not told", 0, people))
    stage.standin.tell("faults", latency=0.4)
    stage.crew.start(pump())
    _until(lambda: oracle.unfinished(people.sequences) < 54)
    copy_database(live, backup)
    _until(lambda: oracle.unfinished(people.sequences) == 0)
    stage.crew.end()
    connections.close_all()
    for part in (live, live.with_name(live.name + "-wal"), live.with_name(live.name + "-shm")):
        part.unlink(missing_ok=True)
    backup.replace(live)
    if oracle.unfinished(people.sequences) < 30:
        raise RuntimeError("The backup is not old enough to prove anything.")
    if tell:
        call_command("restored", verbosity=0)
    stage.crew.start(pump())
    _until(lambda: oracle.unfinished(people.sequences) == 0)
    stage.crew.end()


def _until(done: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + SECONDS
    while not done() and time.monotonic() < give_up_at:
        time.sleep(0.05)
