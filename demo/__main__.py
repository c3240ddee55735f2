"""`make demo`: everything on one machine, until Ctrl-C."""

import os
import signal
import sys
import time
from types import FrameType

from demo.installation import ROOT, CannotStart, Installation
from demo.people import PEOPLE
from demo.supervising import Programs


class Stopped(Exception):
    """Ctrl-C, or asked to end."""


def main() -> int:
    installation = Installation(
        folder=ROOT / "var" / "demo",
        web_port=int(os.environ.get("PORT", "8000")),
        sandbox_port=int(os.environ.get("SANDBOX_PORT", "8400")),
    )
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        installation.prepare()
        return _run(installation)
    except CannotStart as problem:
        print(problem, file=sys.stderr)
        return 1
    except Stopped:
        return 0


def _run(installation: Installation) -> int:
    programs = Programs(installation.programs(), folder=ROOT, environment=installation.environment())
    try:
        installation.wait_until_up()
        print(_welcome(installation), flush=True)
        while not programs.ended():
            time.sleep(0.5)
        print(f"The {programs.ended()} ended by itself; what it printed is above.", file=sys.stderr)
        return 1
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        programs.stop()


def _welcome(installation: Installation) -> str:
    people = "\n".join(f"    {person.email:22} {person.password:22} {person.about}" for person in PEOPLE)
    return f"""
  Metaview Outreach is running: {installation.url}

  Sign in as
{people}

  The sandbox tenant (every mailbox, faults, answer as a candidate): {installation.sandbox_url}
  A CSV of candidates to import: static/samples/candidates.csv
  Mail of the product itself (invitations, notices): {installation.folder.relative_to(ROOT)}/mail

  Ctrl-C stops everything. `rm -r var/demo` begins anew.
"""


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped


if __name__ == "__main__":
    sys.exit(main())
