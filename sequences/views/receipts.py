"""The export of receipts."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from accounts.auditing import record
from sequences import receipts
from sequences.access import MemberRequest
from sequences.permission_forms import ReceiptsForm


@require_GET
@login_required
def export_page(request: MemberRequest) -> HttpResponse:
    return render(request, "sequences/receipts.html", {"form": ReceiptsForm(None, user=request.user)})


@require_GET
@login_required
def export(request: MemberRequest) -> HttpResponseBase:
    """Somebody else's mailbox or person is no choice of the form, so it is refused there."""
    form = ReceiptsForm(request.GET, user=request.user)
    if not form.is_valid():
        return render(request, "sequences/receipts.html", {"form": form}, status=400)
    chosen = receipts.chosen(receipts.visible_to(request.user), **form.choice())
    kind, now = form.cleaned_data["format"], timezone.now()
    record(
        organization=request.user.organization,
        actor=request.user,
        action="receipts.exported",
        target=request.user,
        now=now,
        format=kind,
        mailbox=form.cleaned_data["mailbox"].pk if form.cleaned_data["mailbox"] else None,
        person=form.cleaned_data["person"].pk if form.cleaned_data["person"] else None,
    )
    lines, content_type = (
        (receipts.as_csv(chosen), "text/csv; charset=utf-8")
        if kind == "csv"
        else (receipts.as_json(chosen), "application/json")
    )
    answer = StreamingHttpResponse(lines, content_type=content_type)
    answer["Content-Disposition"] = f'attachment; filename="receipts-{now:%Y-%m-%d}.{kind}"'
    return answer
