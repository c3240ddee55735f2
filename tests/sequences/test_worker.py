"""A worker: a supervisor and its cluster, as programs of their own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection as database
from django_q.models import Schedule

from accounts.models import User
from sequences.models import Heartbeat
from sequences.tasks import SCHEDULES, make_schedules
from tests.sandbox_tenant import SandboxTenant
from tests.sequences.outreach import active_sequence, connected, enrolled

pytestmark = pytest.mark.django_db(transaction=True)
ALICE = "alice@demo.example"


def address_of_database() -> str:
    about: dict[str, Any] = database.settings_dict
    if database.vendor == "sqlite":
        return f"sqlite:///{about['NAME']}"
    where = f"{about['HOST'] or ''}:{about['PORT']}" if about["PORT"] else about["HOST"]
    secret = f":{about['PASSWORD']}" if about["PASSWORD"] else ""
    return f"postgres://{about['USER']}{secret}@{where}/{about['NAME']}"


def until(holds: Callable[[], object], *, within: float) -> None:
    give_up_at = time.monotonic() + within
    while not holds():
        assert time.monotonic() < give_up_at
        time.sleep(0.2)


def processes(group: int) -> dict[int, list[str]]:
    """The command lines of the processes of a group."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) == group and fields[0] != "Z":
                found[int(folder.name)] = fields
        except OSError:
            continue
    return found


def cluster_of(worker: "subprocess.Popen[bytes]") -> int:
    """The process group of the worker's cluster."""
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    return int(children[0]) if children else 0


@pytest.fixture
def worker(tenant: SandboxTenant) -> "Iterator[subprocess.Popen[bytes]]":
    environment = os.environ | {
        "MODE": "test",
        "DATABASE_URL": address_of_database(),
        "SANDBOX_URL": tenant.url,
        "LOG_LEVEL": "ERROR",
    }
    program = subprocess.Popen([sys.executable, str(settings.BASE_DIR / "manage.py"), "worker"], env=environment)
    until(lambda: Heartbeat.objects.exists(), within=40)
    group = cluster_of(program)
    yield program
    program.kill()
    program.wait()
    for pid in processes(group):
        os.kill(pid, signal.SIGKILL)


def test_sends_what_becomes_due_and_ends_without_a_trace(
    worker: "subprocess.Popen[bytes]", tenant: SandboxTenant, alice: User, now: datetime
) -> None:
    from sequences.tasks import ring_soon

    enrolled(active_sequence(alice, connected(alice, tenant, now)), 5, now)
    ring_soon()
    tenant.sent(ALICE, 5, within=20)
    group = cluster_of(worker)
    assert len(processes(group)) >= 5

    worker.terminate()

    assert worker.wait(30) == 0
    assert processes(group) == {}
    assert not Heartbeat.objects.exists()


def test_leaves_no_orphans_when_its_supervisor_is_killed(worker: "subprocess.Popen[bytes]") -> None:
    group = cluster_of(worker)

    worker.kill()

    until(lambda: not processes(group), within=35)


@pytest.mark.slow
def test_replaces_a_cluster_whose_idle_workers_were_killed(
    worker: "subprocess.Popen[bytes]", tenant: SandboxTenant, alice: User, now: datetime
) -> None:
    """They take the queue's lock with them: whoever comes after waits for ever."""
    group = cluster_of(worker)
    time.sleep(3)
    sentinel = min(pid for pid, fields in processes(group).items() if int(fields[1]) == group)
    workers = sorted(pid for pid, fields in processes(group).items() if int(fields[1]) == sentinel)[:2]
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    enrolled(active_sequence(alice, connected(alice, tenant, now)), 1, now)

    tenant.sent(ALICE, 1, within=60)

    assert cluster_of(worker) != group
    assert processes(group) == {}


def test_keeps_one_schedule_of_each_kind() -> None:
    Schedule.objects.all().delete()
    for _ in range(2):
        make_schedules()
    Schedule.objects.create(name=SCHEDULES[0][0], func="elsewhere")

    make_schedules()

    assert sorted(Schedule.objects.values_list("name", "func")) == sorted(each[:2] for each in SCHEDULES)
