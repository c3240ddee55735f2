"""What the queue calls."""

from django.utils import timezone

from accounts.models import User
from sequences.enrolling import enroll
from sequences.importing import running, uploading
from sequences.models import Candidate, Sequence


def run(import_id: int) -> None:
    running.advance(import_id, clock=timezone.now)


def enroll_all(sequence_id: int, import_id: int, user_id: int) -> None:
    """All candidates of an import, for the person who asked. Done twice it enrolls nobody twice."""
    sequence = Sequence.objects.select_related("organization").get(pk=sequence_id)
    ids = Candidate.objects.filter(last_import=import_id).order_by("pk").values_list("pk", flat=True)
    enroll(sequence=sequence, candidate_ids=ids, actor=User.objects.get(pk=user_id), now=timezone.now())


def look_after() -> None:
    """From time to time: wake what was interrupted, forget what nobody confirmed."""
    now = timezone.now()
    running.continue_stalled(now)
    uploading.forget_abandoned(now)
