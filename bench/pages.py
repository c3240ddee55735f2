"""The ten pages that people open most, as the server makes them: time and number of queries."""

import statistics
import time
from datetime import timedelta

from django.conf import settings
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from mailconnect.models import MailConnection
from sequences.models import Enrollment, Message, Sequence

ROUNDS = 15


def pages() -> dict[str, dict[str, float]]:
    """By page: milliseconds (median, p95) and queries. The visitor owns a mailbox and several sequences."""
    settings.ALLOWED_HOSTS = ["*"]
    visitor = _visitor()
    client = Client()
    client.force_login(visitor, backend="allauth.account.auth_backends.AuthenticationBackend")
    return {name: _measured(client, address) for name, address in _addresses(visitor).items()}


def _visitor() -> User:
    """Who owns the sequence with the most candidates."""
    sequence = Sequence.objects.select_related("owner").order_by("pk")[0]
    User.objects.filter(pk=sequence.owner_id).update(role=User.Role.ADMIN)
    _some_messages(sequence)
    return sequence.owner


def _some_messages(sequence: Sequence) -> None:
    """A hundred emails that have left, so that the lists have something to show."""
    if Message.objects.filter(sequence=sequence).exists():
        return
    assert sequence.connection_id is not None
    step = sequence.steps.get(position=1)
    now = timezone.now()
    Message.objects.bulk_create(
        Message(
            enrollment=enrollment,
            step=step,
            sequence=sequence,
            connection_id=sequence.connection_id,
            state=Message.State.SENT,
            to_address=enrollment.candidate.email,
            subject="A word?",
            body_html="<p>Hello</p>",
            permitted_at=now - timedelta(minutes=number),
            permitted_to=sequence.owner,
            receipt="x",
            sent_at=now - timedelta(minutes=number),
        )
        for number, enrollment in enumerate(sequence.enrollments.select_related("candidate")[:100])
    )


def _addresses(visitor: User) -> dict[str, str]:
    sequence = Sequence.objects.filter(owner=visitor).order_by("pk")[0]
    message = Message.objects.filter(sequence=sequence).order_by("pk")[0]
    assert MailConnection.objects.filter(pk=sequence.connection_id or 0).exists()
    assert Enrollment.objects.filter(sequence=sequence).exists()
    return {
        "sequences": reverse("sequences:list"),
        "one sequence": reverse("sequences:detail", args=[sequence.pk]),
        "its steps": reverse("sequences:steps", args=[sequence.pk]),
        "its emails": reverse("sequences:emails", args=[sequence.pk]),
        "one email": reverse("sequences:message", args=[message.pk]),
        "candidates": reverse("sequences:candidates"),
        "replies": reverse("sequences:replies"),
        "mailbox settings": reverse("mailconnect:settings"),
        "permissions": reverse("mailconnect:permissions"),
        "sent by others": reverse("sequences:sent_by_others"),
    }


def _measured(client: Client, address: str) -> dict[str, float]:
    times, cpu = [], []
    queries = 0
    for _ in range(ROUNDS):
        with CaptureQueriesContext(database) as captured:
            started, worked = time.perf_counter(), time.process_time()
            answer = client.get(address)
            times.append((time.perf_counter() - started) * 1000)
            cpu.append((time.process_time() - worked) * 1000)
        queries = len(captured)
        if answer.status_code != 200:
            raise RuntimeError(f"{address} answers {answer.status_code}")
    return {
        "ms": statistics.median(times[1:]),
        "p95_ms": sorted(times[1:])[-1],
        "cpu_ms": statistics.median(cpu[1:]),
        "queries": queries,
    }
