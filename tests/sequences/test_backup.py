"""`manage.py backup` copies the SQLite database of one moment, while others write."""

import sqlite3
import threading
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from sequences.management.commands.backup import copy_database


def test_copies_one_moment_while_others_write(tmp_path: Path) -> None:
    source = tmp_path / "live.sqlite3"
    writer = sqlite3.connect(source, check_same_thread=False, isolation_level=None)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("CREATE TABLE account (name TEXT, amount INTEGER)")
    writer.executemany("INSERT INTO account VALUES (?, ?)", [("left", 500), ("right", 500)] * 2000)
    stop = threading.Event()

    def move() -> None:
        while not stop.is_set():
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("UPDATE account SET amount = amount - 1 WHERE name = 'left'")
            writer.execute("UPDATE account SET amount = amount + 1 WHERE name = 'right'")
            writer.execute("COMMIT")

    moving = threading.Thread(target=move)
    moving.start()
    for number in range(5):
        copy_database(source, tmp_path / f"copy-{number}.sqlite3")
    stop.set()
    moving.join()
    writer.close()

    totals = []
    for number in range(5):
        copy = sqlite3.connect(tmp_path / f"copy-{number}.sqlite3")
        totals.append(copy.execute("SELECT SUM(amount) FROM account").fetchone()[0])
        copy.close()
    assert totals == [2_000_000] * 5


def test_leaves_postgresql_to_its_own_tool(settings: Settings, tmp_path: Path) -> None:
    settings.SQLITE = False

    with pytest.raises(CommandError, match="pg_dump"):
        call_command("backup", str(tmp_path / "copy"))


def test_never_overwrites(settings: Settings, tmp_path: Path) -> None:
    settings.SQLITE = True
    (tmp_path / "there").touch()

    with pytest.raises(CommandError, match="exists already"):
        call_command("backup", str(tmp_path / "there"))
