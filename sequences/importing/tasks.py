"""What the queue calls."""

import contextlib

from django.utils import timezone
from django_q.tasks import async_task

from accounts.models import User
from sequences.enrolling import BATCH, EnrollRefused, enroll
from sequences.importing import running, uploading
from sequences.models import Candidate, Sequence


def run(import_id: int) -> None:
    running.advance(import_id, clock=timezone.now)


def enroll_all(sequence_id: int, import_id: int, user_id: int, after: int = 0) -> None:
    """All candidates of an import, for the person who asked: a batch, then the next by a task of its own.

    Done twice it enrolls nobody twice.
    """
    sequence = Sequence.objects.select_related("organization").get(pk=sequence_id)
    candidates = Candidate.objects.filter(last_import=import_id, pk__gt=after).order_by("pk")
    ids = list(candidates.values_list("pk", flat=True)[:BATCH])
    with contextlib.suppress(EnrollRefused):  # archived meanwhile
        enroll(sequence=sequence, candidate_ids=ids, actor=User.objects.get(pk=user_id), now=timezone.now())
        if len(ids) == BATCH:
            async_task("sequences.importing.tasks.enroll_all", sequence_id, import_id, user_id, ids[-1])


def look_after() -> None:
    """From time to time: wake what was interrupted, forget what nobody confirmed."""
    now = timezone.now()
    running.continue_stalled(now)
    uploading.forget_abandoned(now)
