"""People of the organization: who is here, invite, change a role, deactivate."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import access, inviting, leaving
from accounts.access import MemberRequest, admin_required
from accounts.forms import InviteForm, RoleForm
from accounts.limiting import is_too_many
from accounts.models import Invitation, User

PER_PAGE = 50
INVITATIONS_AN_HOUR = 100


@require_GET
@admin_required
def people(request: MemberRequest) -> HttpResponse:
    shows_active = request.GET.get("show") != "deactivated"
    everybody = User.objects.filter(organization=request.user.organization_id)
    chosen = everybody.filter(is_active=shows_active).order_by("name", "email")
    context = {
        "page": Paginator(chosen, PER_PAGE).get_page(request.GET.get("page")),
        "shows_active": shows_active,
        "other_count": everybody.exclude(is_active=shows_active).count(),
        "invitations": _open_invitations(request.user) if shows_active else [],
    }
    return render(request, "accounts/people.html", context)


@require_http_methods(["GET", "POST"])
@admin_required
def invite(request: MemberRequest) -> HttpResponse:
    form = InviteForm(request.user.organization, request.POST.dict() if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        _send_invitation(request, form.cleaned_data["email"], form.cleaned_data["role"])
        return redirect("accounts:people")
    return render(request, "accounts/invite.html", {"form": form})


@require_POST
@admin_required
def invite_again(request: MemberRequest, pk: int) -> HttpResponse:
    invitation = access.get_invitation(request.user, pk)
    if invitation.accepted_at is None:
        _send_invitation(request, invitation.email, invitation.role)
    return redirect("accounts:people")


@require_POST
@admin_required
def revoke_invitation(request: MemberRequest, pk: int) -> HttpResponse:
    invitation = access.get_invitation(request.user, pk)
    inviting.revoke(invitation=invitation, actor=request.user, now=timezone.now())
    messages.success(request, f"The invitation of {invitation.email} is revoked: its link no longer works.")
    return redirect("accounts:people")


@require_http_methods(["GET", "POST"])
@admin_required
def person(request: MemberRequest, pk: int) -> HttpResponse:
    colleague = access.get_colleague(request.user, pk)
    form = RoleForm(request.POST or None, initial={"role": colleague.role})
    if request.method == "POST" and form.is_valid():
        try:
            leaving.change_role(user=colleague, role=form.cleaned_data["role"], actor=request.user, now=timezone.now())
        except leaving.LeavingRefused as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, "Saved.")
        return redirect("accounts:person", pk) if colleague != request.user else redirect("accounts:profile")
    return render(request, "accounts/person.html", {"person": colleague, "form": form})


@require_http_methods(["GET", "POST"])
@admin_required
def deactivate(request: MemberRequest, pk: int) -> HttpResponse:
    colleague = access.get_colleague(request.user, pk)
    now = timezone.now()
    if request.method == "GET":
        context = {"person": colleague, "effects": leaving.foresee(colleague, now)}
        return render(request, "accounts/deactivate.html", context)
    try:
        on_their_way = leaving.deactivate(user=colleague, actor=request.user, now=now)
    except leaving.LeavingRefused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, f"{colleague} is deactivated. {leaving.too_late(on_their_way)}".strip())
    return redirect("accounts:person", pk)


@require_POST
@admin_required
def activate(request: MemberRequest, pk: int) -> HttpResponse:
    colleague = access.get_colleague(request.user, pk)
    leaving.activate(user=colleague, actor=request.user, now=timezone.now())
    messages.success(request, f"{colleague} can sign in again. The mailbox has to be connected anew.")
    return redirect("accounts:person", pk)


def _open_invitations(user: User) -> list[Invitation]:
    unanswered = Invitation.objects.filter(
        organization=user.organization_id, accepted_at=None, revoked_at=None
    ).select_related("invited_by")
    now = timezone.now()
    invitations = list(unanswered.order_by("-created_at")[:200])
    for invitation in invitations:
        is_open = invitation.expires_at > now and invitation.invited_by.is_active
        invitation.has_lapsed = not is_open  # type: ignore[attr-defined]
    return invitations


def _send_invitation(request: MemberRequest, email: str, role: str) -> None:
    if _too_many_invitations(request.user):
        messages.error(request, "That were many invitations in one hour. Go on a little later.")
        return
    invitation, token = inviting.invite(
        organization=request.user.organization, email=email, role=role, invited_by=request.user, now=timezone.now()
    )
    try:
        inviting.mail(invitation, token)
    except OSError:
        messages.error(request, f"The mail to {email} could not be sent. Send the invitation again in a minute.")
    else:
        messages.success(request, f"{email} is invited. The link in the mail works for 14 days.")


def _too_many_invitations(user: User) -> bool:
    what = f"invitations:{user.organization_id}"
    return is_too_many(what, most=INVITATIONS_AN_HOUR, within_seconds=3600, now=timezone.now())
