"""Importing and enrolling candidates from a CSV: rows a second and peak memory, as a worker does it.

`python -m bench.importing` measures on the kind of database that DATABASE_URL names (SQLite without one), in a scratch
database that it makes and drops. Every check of the product is on; each size runs in a process of its own.
"""

import json
import os
import random
import resource
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from bench.databases import sqlite_file

SIZES = (10_000, 30_000, 100_000)
ZONES = ("", "", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Sydney", "W. Europe Standard Time")
BARS = {"rows a second on PostgreSQL, 100,000 rows": 8_000, "peak MB": 200}


@dataclass(frozen=True)
class Measured:
    rows: int
    seconds: float
    cpu_seconds: float  # of the import and, where it runs here, of its PostgreSQL process: one waits for the other
    peak_mb: float
    stored: int
    enrolled: int
    refused: int

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds


def measure(database_url: str, rows: int) -> Measured:
    """One import with enrolling, in the database of that address, which is migrated first."""
    _python(database_url, "manage.py", "migrate", "--verbosity=0")
    prepared = _python(database_url, "-m", "bench.importing", "prepare", str(rows))
    return Measured(rows=rows, **json.loads(_python(database_url, "-m", "bench.importing", "run", prepared.strip())))


def main() -> None:
    with _scratch(os.environ.get("DATABASE_URL", "")) as (kind, database_url):
        for rows in SIZES:
            found = measure(database_url, rows)
            per_cpu = found.rows / found.cpu_seconds
            print(
                f"{kind:<12}{found.rows:>9,} rows{found.rows_per_second:>9,.0f} rows/s{per_cpu:>9,.0f} rows/CPU s"
                f"{found.peak_mb:>7.0f} MB   {found.stored:,} stored, {found.enrolled:,} enrolled, "
                f"{found.refused:,} refused"
            )
    print(", ".join(f"{name}: bar {bar:,}" for name, bar in BARS.items()))


@contextmanager
def _scratch(database_url: str) -> Iterator[tuple[str, str]]:
    if not database_url.startswith("postgres"):
        with sqlite_file() as url:
            yield "SQLite", url
        return
    name = f"bench_importing_{uuid.uuid4().hex[:8]}"
    server = urlsplit(database_url)
    with psycopg.connect(server._replace(path="/postgres").geturl(), autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
        try:
            yield "PostgreSQL", server._replace(path=f"/{name}").geturl()
        finally:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _python(database_url: str, *arguments: str) -> str:
    environment = os.environ | {"DATABASE_URL": database_url, "MODE": "test"}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed: {done.stderr[-2000:]}")
    return done.stdout


def _prepare(rows: int) -> int:
    """A file with what files have: addresses again, some that are none, time zones, a column of its own."""
    from django.utils import timezone

    from bench.population import crowd
    from sequences.importing.columns import guess
    from sequences.models import CandidateImport, Suppression

    now = timezone.now()
    people = crowd(mailboxes=1, now=now)
    headers = ("First name", "Last name", "E-mail", "Company", "Role", "Time zone", "LinkedIn")
    dice = random.Random(rows)
    lines = [",".join(headers), *(_line(dice, rows) for _ in range(rows))]
    Suppression.objects.bulk_create(
        Suppression(organization=people.organization, email=f"kim.{number}@company{number % 997}.example")
        for number in range(0, rows * 3, 100)
    )
    upload = CandidateImport.objects.create(
        organization=people.organization,
        user=people.owners[0],
        sequence=people.sequences[0],
        file_name="bench.csv",
        content="\n".join(lines).encode(),
        columns=[{"header": column.header, "field": column.field} for column in guess(headers)],
        rows=rows,
        state=CandidateImport.State.WAITING,
        started_at=now,
        progressed_at=now,
    )
    return upload.pk


def _line(dice: random.Random, rows: int) -> str:
    number = dice.randrange(rows * 3)  # about one in six comes again
    address = f"Kim.{number}@company{number % 997}.example" if dice.random() > 0.01 else "not an address"
    link = f"https://www.linkedin.com/in/kim-{number}"
    return f'Kim,"Candidate {number}",{address},Company {number % 997},Engineer,{dice.choice(ZONES)},{link}'


def _run(import_id: int) -> dict[str, float]:
    from django.utils import timezone

    from sequences.importing.running import UNDER_WAY, advance
    from sequences.models import CandidateImport

    began, cpu_before = time.perf_counter(), _cpu_seconds()
    while True:
        advance(import_id, clock=timezone.now)
        upload = CandidateImport.objects.defer("content").get(pk=import_id)
        if upload.state not in UNDER_WAY:
            break
    seconds, cpu_seconds = time.perf_counter() - began, _cpu_seconds() - cpu_before
    if upload.state != CandidateImport.State.DONE:
        raise RuntimeError(f"The import ended as {upload.state}: {upload.reason}")
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "stored": upload.created,
        "enrolled": upload.enrolled,
        "refused": upload.refused,
    }


def _cpu_seconds() -> float:
    """Of this process and of its PostgreSQL process: what a busy machine cannot distort much."""
    from django.db import connection

    connection.ensure_connection()
    spent = time.process_time()
    if connection.vendor == "postgresql":
        stat = Path(f"/proc/{connection.connection.info.backend_pid}/stat")
        if stat.exists() and stat.read_text().split()[1] == "(postgres)":
            user, system = stat.read_text().rpartition(")")[2].split()[11:13]
            spent += (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return spent


def _child(what: str, number: int) -> None:
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "metaview_outreach.settings"
    django.setup()
    print(json.dumps(_prepare(number) if what == "prepare" else _run(number)))


if __name__ == "__main__":
    _child(sys.argv[1], int(sys.argv[2])) if len(sys.argv) == 3 else main()
