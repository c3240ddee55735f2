"""The do-not-contact list."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access import searched
from sequences import reporting, suppressing
from sequences.access import MemberRequest
from sequences.forms import SuppressionForm
from sequences.models import Suppression
from sequences.views.head import row_id


@require_http_methods(["GET", "POST"])
@login_required
def suppressions(request: MemberRequest) -> HttpResponse:
    form = SuppressionForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        email = form.cleaned_data["email"].lower()
        stopped = suppressing.suppress_address(
            organization=request.user.organization, email=email, actor=request.user, now=timezone.now()
        )
        told = f" {stopped} enrollment{'s' if stopped > 1 else ''} stopped." if stopped else ""
        messages.success(request, f"Nothing more is sent to {email}.{told}")
        return redirect("sequences:suppressions")
    entries = Suppression.objects.filter(organization=request.user.organization_id).select_related("created_by")
    wanted = searched(request)
    page = reporting.page(
        entries.filter(email__icontains=wanted) if wanted else entries,
        before=row_id(request.GET.get("before")),
        after=row_id(request.GET.get("after")),
    )
    return render(request, "sequences/suppressions.html", {"form": form, "page": page, "wanted": wanted})


@require_POST
@login_required
def remove_suppression(request: MemberRequest, pk: int) -> HttpResponse:
    entry = get_object_or_404(Suppression, pk=pk, organization=request.user.organization_id)
    if not request.user.is_admin:
        raise PermissionDenied("Only an admin can take an address off this list.")
    suppressing.take_off(suppression=entry, actor=request.user, now=timezone.now())
    messages.success(request, f"{entry.email} may be written to again.")
    return redirect("sequences:suppressions")
