"""A consistent copy of the SQLite database, while everything runs."""

import sqlite3
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone


class Command(BaseCommand):
    help = "Copies the SQLite database while the site and its workers run. For PostgreSQL, use pg_dump."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", nargs="?", help="where to; by default var/backups/ with the time in its name")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.SQLITE:
            raise CommandError("PostgreSQL makes its own backups: pg_dump --format=custom --file=outreach.dump …")
        target = Path(options["path"] or self._default())
        if target.exists():
            raise CommandError(f"{target} exists already: choose another name.")
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_database(Path(settings.DATABASES["default"]["NAME"]), target)
        self.stdout.write(f"Wrote {target} ({target.stat().st_size / 1e6:,.1f} MB).")
        self.stdout.write("After restoring it: `manage.py restored`, before any worker is started.")

    def _default(self) -> Path:
        return settings.VAR_DIR / "backups" / f"outreach-{timezone.now():%Y%m%d-%H%M%S}.sqlite3"


def copy_database(source: Path, target: Path) -> None:
    """SQLite's own online backup: the state of one moment, whatever is written meanwhile."""
    part = target.with_suffix(target.suffix + ".part")
    part.unlink(missing_ok=True)
    reading, writing = sqlite3.connect(f"file:{source}?mode=ro", uri=True), sqlite3.connect(part)
    try:
        part.chmod(0o600)
        # One read transaction: with a write-ahead log it keeps no writer waiting.
        reading.backup(writing)
        if writing.execute("PRAGMA integrity_check").fetchone()[0] != "ok":
            raise CommandError("The copy is damaged. Is the disk in order?")
    finally:
        reading.close()
        writing.close()
    part.replace(target)
