"""Revoke at random moments, some while workers die: no request to send starts after a revocation has returned."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.utils import timezone

from crashtest.oracle import Verdict
from crashtest.stage import Row, Stage
from crashtest.workers import pump
from mailconnect import granting
from mailconnect.models import DelegationGrant
from sequences.models import Message

REVOKERS = 4


@dataclass
class Revocations:
    count: int
    seconds: list[float]  # how long each took
    late: int  # requests to send that started after it had returned
    kills: int

    def line(self, name: str) -> str:
        ordered = sorted(self.seconds) or [0.0]
        median, longest = ordered[len(ordered) // 2], ordered[-1]
        return (
            f"{name:34} {self.count} revocations, {self.kills} kills meanwhile: {self.late} requests started late; "
            f"each took {median * 1000:.0f} ms in the middle, {longest * 1000:.0f} ms at most"
        )


def revoke_at_random(stage: Stage, count: int, body: Callable[[], None] | None = None, *, each: int = 6) -> Revocations:
    """Every mailbox's grant is revoked once, by several people at a time, while workers send and are killed."""
    people = stage.crowd(mailboxes=count, each=each)
    row = Row(f"{count} revocations" if body is None else "control: check at start", 0, people)
    stage.standin.tell("faults", latency=0.06, settle=0.2, lag=0.1)
    running = [stage.crew.start(body or pump()) for _ in range(2)]
    files = [Path(f"/tmp/revoked-{os.getpid()}-{number}.json") for number in range(REVOKERS)]
    grants = list(DelegationGrant.objects.filter(connection__in=people.connections).values_list("pk", flat=True))
    stage.chance.shuffle(grants)
    revokers = [
        stage.crew.start(_revoker(grants[number::REVOKERS], file, seed=number)) for number, file in enumerate(files)
    ]
    while any(not stage.crew.wait(pid, 0.01) for pid in revokers if pid in stage.crew.pids):
        time.sleep(stage.chance.uniform(0.3, 0.9))
        pid = running.pop(0)
        stage.crew.kill(pid)
        stage.crew.wait(pid, 5)
        row.kills += 1
        running.append(stage.crew.start(body or pump()))
    time.sleep(2.0)
    stage.crew.end()
    found = _counted(stage, files)
    found.kills = row.kills
    row.verdict = Verdict(late=found.late)
    return found


def _revoker(grants: list[int], file: Path, seed: int) -> Callable[[], None]:
    """A person who revokes one grant after another, and notes when each revocation had returned."""

    def body() -> None:
        notes = []
        for pk in grants:
            grant = DelegationGrant.objects.select_related("connection__owner").get(pk=pk)
            _wait_until_sending(grant)
            started = time.time()
            granting.revoke(grant=grant, actor=grant.connection.owner, now=timezone.now())
            notes.append([f"box-{grant.connection_id}", started, time.time()])
        file.write_text(json.dumps(notes))
        os._exit(0)

    return body


def _wait_until_sending(grant: DelegationGrant) -> None:
    """A moment at which it matters, where there is one soon."""
    give_up_at = time.monotonic() + 0.05
    while time.monotonic() < give_up_at:
        if Message.objects.filter(connection=grant.connection_id, state__in=["drafting", "sending"]).exists():
            return
        time.sleep(0.005)


def _counted(stage: Stage, files: list[Path]) -> Revocations:
    returned = {}
    seconds = []
    for file in files:
        for mailbox, started, ended in json.loads(file.read_text()):
            returned[mailbox] = ended
            seconds.append(ended - started)
        file.unlink()
    late = sum(1 for mailbox, _, moment in stage.standin.ask("sends") if moment > returned.get(mailbox, moment))
    return Revocations(len(returned), seconds, late, 0)
