"""Databases to measure and to break: SQLite files, and a PostgreSQL cluster of our own; never the machine's service."""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

START_SECONDS = 30


def postgres_programs() -> Path | None:
    """Where `initdb`, `pg_ctl` and `postgres` are, if they are installed."""
    folders = [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "pg_ctl").exists()), None)


class PrivatePostgres:
    """A cluster in a temporary folder, on a port of its own, durable as in production."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        # PostgreSQL refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else getpass.getuser()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def create(self) -> None:
        if os.geteuid() == 0:
            shutil.chown(self._folder, self._user)
        self._run("initdb", "-D", "data", "-U", "outreach", "-A", "trust", "-E", "UTF8", "--no-sync")
        self.start()

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder}"
        options += " -c max_connections=200 -c shared_buffers=256MB -c max_wal_size=4GB"
        self._run("pg_ctl", "-D", "data", "-w", "-t", str(START_SECONDS), "-l", "log", "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """`immediate` is what a crash looks like to its clients."""
        self._run("pg_ctl", "-D", "data", "-m", mode, "-w", "stop")

    def create_database(self, name: str) -> str:
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "outreach", name)
        return f"postgres://outreach@127.0.0.1:{self.port}/{name}"

    def _run(self, program: str, *arguments: str) -> None:
        identity: dict[str, Any] = {"user": self._user, "group": self._user} if os.geteuid() == 0 else {}
        command = [str(self._programs / program), *arguments]
        done = subprocess.run(
            command, cwd=self._folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            check=False, **identity,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr.decode(errors='replace')[-500:]}")


@contextmanager
def private_postgres() -> Iterator[PrivatePostgres | None]:
    """None where PostgreSQL is not installed."""
    programs = postgres_programs()
    if programs is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="outreach-pg-"))
    cluster = PrivatePostgres(programs, folder)
    try:
        cluster.create()
        yield cluster
    finally:
        with suppress(RuntimeError):  # it may be stopped already
            cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def sqlite_file() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="outreach-sqlite-"))
    try:
        yield f"sqlite:///{folder / 'outreach.sqlite3'}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
