"""The organization's settings and its audit trail, for admins."""

from datetime import date, datetime, time, timedelta
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from accounts import auditing, governing
from accounts.access import MemberRequest, admin_required
from accounts.forms import AuditFilterForm, OrganizationForm
from accounts.models import AuditEvent

PER_PAGE = 50


@require_http_methods(["GET", "POST"])
@admin_required
def organization(request: MemberRequest) -> HttpResponse:
    """A tighter policy may end permissions: then a page says so first, and sends the same form again."""
    form, now = OrganizationForm(request.POST or None, instance=request.user.organization), timezone.now()
    if request.method == "POST" and form.is_valid():
        effects = governing.foresee(form.instance, now)
        if effects and request.POST.get("confirmed") != "yes":
            chosen = [(name, value) for name, value in request.POST.items() if name in form.fields]
            return render(request, "accounts/organization_confirm.html", {"effects": effects, "chosen": chosen})
        with transaction.atomic():
            auditing.save_and_record(form, actor=request.user, action="organization.changed", now=now)
            governing.apply(form.instance, request.user, now)
        messages.success(request, "Saved.")
        return redirect("accounts:organization")
    return render(request, "accounts/organization.html", {"form": form})


@require_GET
@admin_required
def audit(request: MemberRequest) -> HttpResponse:
    form = AuditFilterForm(request.user.organization, request.GET.dict())
    form.is_valid()
    page = Paginator(_chosen(request, form.cleaned_data), PER_PAGE).get_page(request.GET.get("page"))
    context = {"page": page, "events": auditing.described(page.object_list), "form": form}
    return render(request, "accounts/audit.html", context)


def _chosen(request: MemberRequest, wanted: dict[str, Any]) -> QuerySet[AuditEvent]:
    events = AuditEvent.objects.filter(organization=request.user.organization_id).select_related("actor")
    if wanted.get("actor"):
        events = events.filter(actor=wanted["actor"])
    if wanted.get("action"):
        events = events.filter(action=wanted["action"])
    if wanted.get("since"):
        events = events.filter(created_at__gte=_midnight(wanted["since"]))
    if wanted.get("until"):
        events = events.filter(created_at__lt=_midnight(wanted["until"] + timedelta(days=1)))
    return events


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
