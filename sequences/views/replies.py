"""What came back: replies, automatic replies, bounces, opt-outs; and a click that corrects a verdict."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_POST

from sequences import access
from sequences.access import MemberRequest
from sequences.models import IncomingMail
from sequences.replies import correcting
from sequences.views.head import head

PER_PAGE = 50


@require_GET
@login_required
def replies_page(request: MemberRequest) -> HttpResponse:
    kind = request.GET.get("kind", "")
    mails = IncomingMail.objects.of(request.user).for_pages()
    if kind in IncomingMail.Kind:
        mails = mails.filter(kind=kind)
    context = {"page": _page(request, mails), "kind": kind, "kinds": IncomingMail.Kind.choices}
    return render(request, "sequences/replies.html", context)


@require_GET
@login_required
def sequence_replies(request: MemberRequest, pk: int) -> HttpResponse:
    sequence = access.get_sequence(request.user, pk)
    mails = IncomingMail.objects.of(request.user).filter(sequence=sequence).for_pages()
    context = {"page": _page(request, mails), **head(request.user, sequence, "sequence_replies")}
    return render(request, "sequences/sequence_replies.html", context)


def _page(request: MemberRequest, mails: QuerySet[IncomingMail]) -> Page[IncomingMail]:
    return Paginator(mails, PER_PAGE).get_page(request.GET.get("page"))


@require_POST
@login_required
def correct_reply(request: MemberRequest, pk: int) -> HttpResponse:
    mail = access.get_incoming(request.user, pk)
    wanted = request.POST.get("kind", "")
    if wanted != mail.kind and wanted not in dict(mail.corrections):  # the same: pressed twice
        raise Http404
    mail = correcting.correct(mail, IncomingMail.Kind(wanted), actor=request.user, now=timezone.now())
    messages.success(request, f"Noted. {mail.consequence}")
    onward = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(onward, {request.get_host()}, require_https=request.is_secure()):
        return redirect(onward)
    return redirect("sequences:replies")
