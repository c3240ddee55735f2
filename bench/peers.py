"""What others do, on the same machine against the same stand-in: a task per email, and django-post-office."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone
from django_q.models import OrmQ
from django_q.tasks import async_task

from bench import population
from mailconnect import vault
from mailconnect.microsoft.graph import Draft, GraphClient, graph_root
from mailconnect.microsoft.wire import Wire
from sequences.models import Enrollment
from sequences.rendering import candidate_values, render

WORKERS = 8
_wire: list[Wire] = []


def send_one(enrollment_id: int) -> None:
    """The usual task: read the row, render, two calls, mark it."""
    row = Enrollment.objects.select_related("sequence", "candidate", "connection__owner").get(pk=enrollment_id)
    assert row.connection
    step = row.sequence.steps.get(position=row.next_position)
    rendered = render(step.subject, step.body, candidate_values(row.candidate, row.connection.owner))
    if not _wire:
        _wire.append(Wire(graph_root()))
    token = vault.fresh_access_token(row.connection.pk, timezone.now())
    graph = GraphClient(_wire[0], row.connection.pk, token)
    item = graph.create_draft(
        Draft(
            key=str(enrollment_id),
            to_address=row.candidate.email,
            to_name="",
            subject=rendered.subject,
            body_html=rendered.html,
        )
    )
    graph._call("POST", f"/me/messages/{item.id}/send", expected=202)
    row.state, row.due_at = Enrollment.State.FINISHED, None
    row.save(update_fields=["state", "due_at"])


def one_task_per_email(*, emails: int) -> dict[str, float]:
    """`emails` tasks through django-q2's cluster with eight workers and its ORM broker; emails per second."""
    now = timezone.now()
    people = population.crowd(mailboxes=20, now=now)
    population.enroll(people, each=emails // 20, due_at=now + timedelta(days=1))
    waiting = Enrollment.objects.filter(sequence__in=people.sequences, due_at__isnull=False)
    for pk in waiting.values_list("pk", flat=True):
        async_task("bench.peers.send_one", pk, q_options={"save": False})
    environment = os.environ | {"WORKER_TASKS_AT_ONCE": str(WORKERS)}
    command = [sys.executable, "manage.py", "qcluster"]
    with subprocess.Popen(
        command, env=environment, cwd=settings.BASE_DIR, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as cluster:  # fmt: skip
        try:
            return {"per_second": _rate(waiting, emails)}
        finally:
            os.killpg(cluster.pid, signal.SIGKILL)
            OrmQ.objects.all().delete()


def _rate(waiting: Any, emails: int) -> float:
    """From the tenth email that is done to the last: starting the cluster does not count."""
    give_up_at = time.monotonic() + 120
    while waiting.count() > emails - 10:
        time.sleep(0.02)
    first, started = waiting.count(), time.monotonic()
    while (left := waiting.count()) and time.monotonic() < give_up_at:
        time.sleep(0.05)
    return float(first - left) / (time.monotonic() - started)
