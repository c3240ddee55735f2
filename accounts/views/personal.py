"""One's own profile and notifications."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import access
from accounts.access import MemberRequest
from accounts.forms import ProfileForm
from accounts.models import Notification

PER_PAGE = 50


@require_http_methods(["GET", "POST"])
@login_required
def profile(request: MemberRequest) -> HttpResponse:
    form = ProfileForm(request.POST or None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Saved.")
        return redirect("accounts:profile")
    return render(request, "accounts/profile.html", {"form": form})


@require_GET
@login_required
def notifications(request: MemberRequest) -> HttpResponse:
    mine = Notification.objects.filter(user=request.user)
    page = Paginator(mine, PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "accounts/notifications.html", {"page": page})


@require_POST
@login_required
def read_notification(request: MemberRequest, pk: int) -> HttpResponse:
    """Mark it read, and go to what it is about."""
    notification = access.get_own_notification(request.user, pk)
    Notification.objects.filter(pk=notification.pk, read_at=None).update(read_at=timezone.now())
    onward = notification.url if "open" in request.POST else ""
    if onward and url_has_allowed_host_and_scheme(onward, allowed_hosts=None):
        return redirect(onward)
    return redirect("accounts:notifications")


@require_POST
@login_required
def read_all_notifications(request: MemberRequest) -> HttpResponse:
    Notification.objects.filter(user=request.user, read_at=None).update(read_at=timezone.now())
    return redirect("accounts:notifications")
