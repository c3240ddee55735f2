"""`make test`: all tests, and one line for each part that cannot run on this machine.

On SQLite everything runs; then, where a PostgreSQL answers, what only PostgreSQL can show (`-m postgres`) runs there.
With DATABASE_URL set, everything runs on that database instead. In CI (`CI=true`) nothing may be left out.
"""

import os
import subprocess
import sys

import psycopg

POSTGRES = os.environ.get("TEST_POSTGRES_URL", "postgres://root@127.0.0.1:5432/outreach")
IN_CI = os.environ.get("CI", "").lower() == "true"


def main() -> int:
    given = os.environ.get("DATABASE_URL", "")
    if given:
        return _pytest("", given, sys.argv[1:])
    failed = _pytest("", "", sys.argv[1:])
    if failed:
        return failed
    if os.environ.get("ONLY_SQLITE"):
        return 0
    if not _answers(POSTGRES):
        print(f"\nSKIPPED: the tests that need PostgreSQL, since none answers at {POSTGRES} (TEST_POSTGRES_URL).")
        return int(IN_CI)
    return _pytest("postgres", POSTGRES, sys.argv[1:])


def _pytest(only: str, database: str, more: list[str]) -> int:
    print(f"\n== Tests on {'PostgreSQL' if database.startswith('postgres') else 'SQLite'}", flush=True)
    environment = os.environ | ({"DATABASE_URL": database} if database else {})
    command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadgroup", *(["-m", only] if only else []), *more]
    return subprocess.run(command, env=environment, check=False).returncode


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url.rpartition("/")[0] + "/postgres", connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
