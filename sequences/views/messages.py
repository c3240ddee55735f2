"""Pages of emails: all of a sequence, and one with its way, its text and its receipt."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from mailconnect.reasons import SENTENCES
from sequences import access, activating, deciding, receipts, reconciling, reporting
from sequences.access import MemberRequest
from sequences.cleaning import for_page
from sequences.deciding import AlreadyDecided
from sequences.models import Enrollment, IncomingMail, Message
from sequences.reasons import HELD, MESSAGE, PAUSED, REFUSED, STOPPED, WAITING
from sequences.views.head import head, row_id

TONES: dict[str, str] = {
    Message.State.SENT: "success",
    Message.State.ACCEPTED: "success",
    Message.State.FAILED: "danger",
    Message.State.REFUSED: "warning",
    Message.State.UNKNOWN: "warning",
}


@require_GET
@login_required
def emails_page(request: MemberRequest, pk: int) -> HttpResponse:
    sequence = access.get_sequence(request.user, pk)
    state = request.GET.get("state", "")
    # Without the text, which a list does not show.
    found = Message.objects.filter(sequence=sequence).defer("body_html").select_related("step", "connection")
    page = reporting.page(
        found.filter(state=state) if state in Message.State else found,
        before=row_id(request.GET.get("before")),
        after=row_id(request.GET.get("after")),
    )
    context = {
        "page": page,
        "rows": [(message, TONES.get(message.state, "secondary"), why(message.reason)) for message in page.rows],
        "state": state,
        "states": Message.State.choices,
        **head(request.user, sequence, "emails"),
    }
    return render(request, "sequences/emails.html", context)


@require_GET
@login_required
def message_page(request: MemberRequest, pk: int) -> HttpResponse:
    message = access.get_message(request.user, pk)
    context = {
        "message": message,
        "sequence": message.sequence,
        "tone": TONES.get(message.state, "secondary"),
        "why": why(message.reason),
        "receipt": receipts.shown(message),
        "body": for_page(message.body_html),
        "may_edit": access.may_edit(request.user, message.sequence),
        "mails": IncomingMail.objects.of(request.user).filter(message=message).for_pages()[:20],
        "is_held": deciding.held_by(message),
        "is_undecided": reconciling.awaits_a_person(message.state, message.reason),
    }
    return render(request, "sequences/message.html", context)


@require_POST
@login_required
def decide(request: MemberRequest, pk: int) -> HttpResponse:
    """It was sent, or it was not: what the person saw in Sent Items."""
    message = access.get_own_message(request.user, pk)
    try:
        if request.POST.get("verdict") == "sent":
            deciding.was_sent(message=message, actor=request.user, now=timezone.now())
            messages.success(request, "Noted as sent. The candidate goes on with the next step.")
        else:
            deciding.was_not_sent(message=message, actor=request.user, now=timezone.now())
            messages.success(request, "It will be sent again, after its permission was checked again.")
    except AlreadyDecided as decided:
        messages.warning(request, str(decided))
    return redirect("sequences:message", pk)


@require_POST
@login_required
def try_again(request: MemberRequest, pk: int) -> HttpResponse:
    """A failed email begins anew, with the text that its step has now."""
    message = access.get_own_message(request.user, pk)
    held = Enrollment.objects.filter(pk=message.enrollment_id, reason="message_failed")
    now = timezone.now()
    if activating.continue_held(sequence=message.sequence, enrollments=held, actor=request.user, now=now):
        messages.success(request, "It will be tried again, with the text that the step has now.")
    else:
        messages.warning(request, str(AlreadyDecided()))
    return redirect("sequences:message", pk)


def why(reason: str) -> str:
    """A message's reason in words, wherever it comes from."""
    for known in (REFUSED, MESSAGE, HELD, PAUSED, STOPPED, SENTENCES):
        if reason in known:
            return " ".join(known[reason])
    return WAITING.get(reason) or (f"Microsoft’s reason: {reason}." if reason else "")
