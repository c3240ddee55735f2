"""An invitation's link."""

from allauth.account.adapter import get_adapter
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from accounts import inviting
from accounts.models import User


@require_GET
@never_cache
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Remember the invitation and go on to sign up, so that the token does not stay in the address bar."""
    found = inviting.find(token, timezone.now())
    if not found:
        return redirect("accounts:invitation_gone")
    has_account = User.objects.filter(email__iexact=found.email).exists()
    if request.user.is_authenticated or has_account:
        context = {"invitation": found, "has_account": has_account}
        return render(request, "accounts/invitation_not_for_you.html", context, status=409)
    request.session["invitation"] = found.pk
    # Who opened the link has read the mail to that address.
    get_adapter(request).stash_verified_email(request, found.email)
    return redirect("account_signup")


@require_GET
def invitation_gone(request: HttpRequest) -> HttpResponse:
    return render(request, "accounts/invitation_gone.html", status=410)
