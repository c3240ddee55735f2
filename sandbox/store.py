"""What the stand-in knows, kept on disk: a change is a row before it is answered for, so a kill loses nothing."""

import fcntl
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class StateInUse(Exception):
    """Another sandbox keeps its state in the same folder."""


class Store:
    """Rows of JSON by kind and id. Its user holds a lock around all calls."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._held = (folder / "lock").open("w")
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StateInUse(str(folder)) from error
        self._database = sqlite3.connect(folder / "tenant.sqlite3", isolation_level=None, check_same_thread=False)
        # Not synchronous: the operating system keeps what was written when this program is killed.
        self._database.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
            "CREATE TABLE IF NOT EXISTS row (kind TEXT, id TEXT, content TEXT, PRIMARY KEY (kind, id)) WITHOUT ROWID;"
        )

    def put(self, kind: str, identity: str, content: Mapping[str, Any]) -> None:
        self._database.execute("INSERT OR REPLACE INTO row VALUES (?, ?, ?)", (kind, identity, json.dumps(content)))

    def drop(self, kind: str, identity: str) -> None:
        self._database.execute("DELETE FROM row WHERE kind = ? AND id = ?", (kind, identity))

    def all(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for identity, content in self._database.execute("SELECT id, content FROM row WHERE kind = ?", (kind,)):
            yield identity, json.loads(content)

    def clear(self) -> None:
        self._database.execute("DELETE FROM row")

    @contextmanager
    def together(self) -> Iterator[None]:
        """Many changes in one transaction."""
        self._database.execute("BEGIN")
        try:
            yield
        finally:
            self._database.execute("COMMIT")

    def close(self) -> None:
        self._database.close()
        self._held.close()
