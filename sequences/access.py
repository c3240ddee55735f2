"""Fetching is the check: what belongs to another organization is not there; what is a colleague's is to look at."""

from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404

from accounts.models import User
from mailconnect.models import MailConnection
from sequences.models import Candidate, CandidateImport, Enrollment, IncomingMail, Message, Sequence, Step


class MemberRequest(HttpRequest):
    """A request behind `login_required`."""

    user: User


def may_edit(user: User, sequence: Sequence) -> bool:
    """Its owner may change a sequence, and an admin of the organization; all other members may look at it."""
    return sequence.organization_id == user.organization_id and (sequence.owner_id == user.pk or user.is_admin)


def get_sequence(user: User, pk: int) -> Sequence:
    """A sequence of the own organization, with what its pages and `planning` need."""
    related = Sequence.objects.of(user).select_related("organization", "owner", "connection__owner")
    return get_object_or_404(related, pk=pk)


def get_own_sequence(user: User, pk: int) -> Sequence:
    """A sequence that `user` may change. A colleague's is refused, since the colleague may know that it exists."""
    return _editable(user, get_sequence(user, pk))


def get_own_step(user: User, sequence_pk: int, pk: int) -> Step:
    sequence = get_own_sequence(user, sequence_pk)
    step = get_object_or_404(sequence.steps.select_related("connection"), pk=pk)
    step.sequence = sequence
    return step


def get_own_enrollment(user: User, pk: int) -> Enrollment:
    related = Enrollment.objects.select_related("sequence", "candidate")
    enrollment = get_object_or_404(related, pk=pk, sequence__organization=user.organization_id)
    _editable(user, enrollment.sequence)
    return enrollment


def get_message(user: User, pk: int) -> Message:
    """A message of the own organization: of a colleague's sequence too, since its mailbox may be one's own."""
    related = Message.objects.select_related(
        "sequence", "step", "connection__owner", "enrollment__candidate", "permitted_to", "grant", "reply_to"
    )
    return get_object_or_404(related, pk=pk, sequence__organization=user.organization_id)


def get_own_message(user: User, pk: int) -> Message:
    message = get_message(user, pk)
    _editable(user, message.sequence)
    return message


def get_incoming(user: User, pk: int) -> IncomingMail:
    """What came in, if it answers an own sequence or came into the own mailbox; an admin's is all of it."""
    return get_object_or_404(IncomingMail.objects.of(user), pk=pk)


def get_candidate(user: User, pk: int) -> Candidate:
    return get_object_or_404(Candidate, pk=pk, organization=user.organization_id)


def candidates_of(user: User) -> QuerySet[Candidate]:
    return Candidate.objects.filter(organization=user.organization_id, erased_at=None)


def imports_of(user: User) -> QuerySet[CandidateImport]:
    """One's own imports; for an admin those of the organization. Without the files themselves."""
    imports = CandidateImport.objects.filter(organization=user.organization_id)
    return (imports if user.is_admin else imports.filter(user=user)).select_related("sequence", "user").defer("content")


def get_import(user: User, pk: int) -> CandidateImport:
    return get_object_or_404(imports_of(user), pk=pk)


def sequences_to_enroll_into(user: User) -> QuerySet[Sequence]:
    """Those that `user` may change and that are not put away."""
    open_ones = Sequence.objects.of(user).exclude(state=Sequence.State.ARCHIVED).order_by("name", "pk")
    return open_ones if user.is_admin else open_ones.filter(owner=user)


def senders(user: User, now: datetime, *chosen: Sequence | Step | None) -> QuerySet[MailConnection]:
    """What a person can choose as the sender: the own mailbox, and those with permission.

    A mailbox that is `chosen` already stays a choice, so that a text can be mended while its permission is gone.
    """
    sequence = next((each for each in chosen if isinstance(each, Sequence) and each.pk), None)
    usable = MailConnection.objects.usable_by(user, now, sequence_id=sequence.pk if sequence else None)
    kept = [each.connection_id for each in chosen if each and each.connection_id]
    choices = MailConnection.objects.filter(
        Q(pk__in=usable.values("pk")) | Q(pk__in=kept), organization=user.organization_id
    )
    return choices.select_related("owner").order_by("address")


def _editable(user: User, sequence: Sequence) -> Sequence:
    if not may_edit(user, sequence):
        raise PermissionDenied("Only the owner of this sequence, or an admin, can change it.")
    return sequence
