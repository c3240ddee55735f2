"""What a person decides about single enrollments: continue, take out, enroll again."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from sequences import access, activating, enrolling
from sequences.access import MemberRequest
from sequences.enrolling import EnrollRefused
from sequences.models import Enrollment, Sequence


@require_POST
@login_required
def continue_held(request: MemberRequest, pk: int) -> HttpResponse:
    """All that are held for one reason, once it is seen to."""
    sequence = access.get_own_sequence(request.user, pk)
    reason = request.POST.get("reason", "").replace("\0", "")
    return _continue(request, sequence, Enrollment.objects.filter(reason=reason))


@require_POST
@login_required
def continue_enrollment(request: MemberRequest, pk: int) -> HttpResponse:
    enrollment = access.get_own_enrollment(request.user, pk)
    return _continue(request, enrollment.sequence, Enrollment.objects.filter(pk=enrollment.pk))


@require_POST
@login_required
def unenroll(request: MemberRequest, pk: int) -> HttpResponse:
    enrollment = access.get_own_enrollment(request.user, pk)
    enrolling.unenroll(enrollment=enrollment, actor=request.user, now=timezone.now())
    messages.success(request, f"{enrollment.candidate} is out of this sequence. What was already sent stays sent.")
    return redirect("sequences:detail", enrollment.sequence_id)


@require_POST
@login_required
def enroll_again(request: MemberRequest, pk: int) -> HttpResponse:
    enrollment = access.get_own_enrollment(request.user, pk)
    try:
        outcome = enrolling.enroll(
            sequence=enrollment.sequence,
            candidate_ids=[enrollment.candidate_id],
            actor=request.user,
            now=timezone.now(),
        )
    except EnrollRefused as refusal:
        messages.error(request, str(refusal))
        return redirect("sequences:detail", enrollment.sequence_id)
    if outcome.continued:
        messages.success(request, f"{enrollment.candidate} goes on with the next step.")
    elif outcome.suppressed:
        messages.error(request, "This address is on the do-not-contact list, so nothing more is sent to it.")
    else:
        messages.error(request, "Only a candidate whom a colleague took out can be enrolled again.")
    return redirect("sequences:detail", enrollment.sequence_id)


def _continue(request: MemberRequest, sequence: Sequence, enrollments: QuerySet[Enrollment]) -> HttpResponse:
    count = activating.continue_held(sequence=sequence, enrollments=enrollments, actor=request.user, now=timezone.now())
    if count:
        messages.success(request, f"{count:,} candidate{'s go' if count > 1 else ' goes'} on.")
    else:
        messages.warning(request, "Nobody could go on: this needs a decision of its own.")
    return redirect("sequences:detail", sequence.pk)
