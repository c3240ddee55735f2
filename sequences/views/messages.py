"""Pages of emails: all of a sequence, and one with its way, its text and its receipt."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from mailconnect.reasons import SENTENCES
from sequences import access, receipts, reporting
from sequences.access import MemberRequest
from sequences.cleaning import for_page
from sequences.models import IncomingMail, Message
from sequences.reasons import HELD, PAUSED, REFUSED, STOPPED, WAITING
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
    }
    return render(request, "sequences/message.html", context)


def why(reason: str) -> str:
    """A message's reason in words, wherever it comes from."""
    for known in (HELD, PAUSED, REFUSED, STOPPED, SENTENCES):
        if reason in known:
            return " ".join(known[reason])
    return WAITING.get(reason, reason)
