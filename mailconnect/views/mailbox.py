"""The mailbox settings: see how the connection stands, connect, ask IT, manage, remove."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.leaving import too_late
from accounts.limiting import is_too_many
from accounts.models import User
from mailconnect import access, approval, connecting, ending, managing, signatures
from mailconnect.connecting import ConnectRefused
from mailconnect.forms import DefaultMailboxForm, ManageForm
from mailconnect.microsoft import identity
from mailconnect.microsoft.errors import MicrosoftError
from mailconnect.models import AdminConsent
from mailconnect.reasons import SENTENCES

ATTEMPTS = 20
ATTEMPTS_WITHIN_SECONDS = 600
# Refusals after which asking IT is the likely way on.
FOR_IT = {"approval_needed", "approval_requested", "consent_missing", "scope_missing", "app_disabled"}


class MemberRequest(HttpRequest):
    """A request behind `login_required`."""

    user: User


@require_GET
@login_required
def settings_page(request: MemberRequest) -> HttpResponse:
    now = timezone.now()
    connection = access.own_connection(request.user)
    form = DefaultMailboxForm(request.user, now)
    consent = AdminConsent.objects.filter(organization=request.user.organization_id).select_related("requested_by")
    context = {
        "connection": connection,
        "why": SENTENCES.get(connection.reason) if connection else None,
        "is_away": bool(connection and connection.is_away(now)),
        "is_held": bool(connection and connection.held_until and connection.held_until > now),
        "consent": consent.first(),
        "default_form": form if form.choices else None,
    }
    return render(request, "mailconnect/settings.html", context)


@require_POST
@login_required
def connect(request: MemberRequest) -> HttpResponse:
    if _too_many_attempts(request.user):
        return redirect("mailconnect:refused", "too_many_attempts")
    try:
        address = connecting.begin(
            user=request.user,
            session_key=request.session.session_key or "",
            in_popup=request.POST.get("popup") == "yes",
            now=timezone.now(),
        )
    except ConnectRefused as refusal:
        return redirect("mailconnect:refused", refusal.reason)
    return redirect(address)


@require_GET
def callback(request: HttpRequest) -> HttpResponse:
    """Where Microsoft sends the browser back to, in the popup or in the page."""
    if not isinstance(request.user, User):
        return render(request, "mailconnect/signed_out.html", status=403)
    try:
        outcome = connecting.finish(
            user=request.user,
            session_key=request.session.session_key or "",
            answer=request.GET.dict(),
            now=timezone.now(),
        )
    except ConnectRefused as refusal:
        onward = reverse("mailconnect:refused", args=[refusal.reason])
        return _leave_callback(request, onward, SENTENCES[refusal.reason], in_popup=refusal.in_popup)
    told = (f"{outcome.connection.address} is connected.", "Sequences can leave from it now.")
    return _leave_callback(request, reverse("mailconnect:settings"), told, in_popup=outcome.in_popup)


@require_GET
@login_required
def refused(request: MemberRequest, reason: str) -> HttpResponse:
    if reason not in SENTENCES:
        raise Http404
    sentence, next_step = SENTENCES[reason]
    context = {
        "reason": reason,
        "sentence": sentence,
        "next_step": next_step,
        "for_it": reason in FOR_IT,
        "connection": access.own_connection(request.user),
    }
    return render(request, "mailconnect/refused.html", context)


@require_GET
@login_required
def approval_page(request: MemberRequest) -> HttpResponse:
    consent = AdminConsent.objects.filter(organization=request.user.organization_id).select_related("requested_by")
    context = {
        "letter": approval.letter_to_it(request.user),
        "consent": consent.first(),
        "scopes": identity.GRAPH_SCOPES,
        "connection": access.own_connection(request.user),
    }
    return render(request, "mailconnect/approval.html", context)


@require_POST
@login_required
def approval_asked(request: MemberRequest) -> HttpResponse:
    approval.waiting(request.user, timezone.now())
    messages.success(request, "Noted: waiting for IT. Test again once they have approved the app.")
    return redirect("mailconnect:approval")


@require_GET
def approval_callback(request: HttpRequest) -> HttpResponse:
    """Where Microsoft sends an administrator back to, who may have no account here."""
    # `admin_consent=True` is there on errors too, so `error` decides (reference A7).
    if "error" in request.GET:
        return render(request, "mailconnect/not_approved.html")
    asker = approval.approved(
        state=request.GET.get("state", ""), tenant=request.GET.get("tenant", ""), now=timezone.now()
    )
    return render(request, "mailconnect/approved.html", {"asker": asker})


@require_http_methods(["GET", "POST"])
@login_required
def manage(request: MemberRequest) -> HttpResponse:
    connection = access.get_own_connection(request.user)
    form = ManageForm(request.POST or None, instance=connection)
    if request.method == "POST" and form.is_valid():
        managing.save_choices(connection=connection, changed=form.changed_data, actor=request.user, now=timezone.now())
        messages.success(request, "Saved.")
        return redirect("mailconnect:manage")
    return _manage_page(request, form)


@require_POST
@login_required
def signature_from_sent_mail(request: MemberRequest) -> HttpResponse:
    """Show the Manage page with the signature filled in; it is kept when the person saves it."""
    connection = access.get_own_connection(request.user)
    try:
        found = signatures.from_sent_mail(connection.pk)
    except MicrosoftError:
        messages.error(request, "Your sent mail cannot be read at the moment. Try again later, or paste the signature.")
        return redirect("mailconnect:manage")
    if not found:
        messages.warning(request, "No signature was found in your recent sent mail. Paste it from your mail program.")
        return redirect("mailconnect:manage")
    messages.info(request, "This is from your recent sent mail. Look it over, then save.")
    return _manage_page(
        request, ManageForm(instance=connection, initial={"signature_on": True, "signature_html": found})
    )


@require_POST
@login_required
def default_mailbox(request: MemberRequest) -> HttpResponse:
    form = DefaultMailboxForm(request.user, timezone.now(), request.POST.dict())
    if form.is_valid():
        managing.choose_default(request.user, form.cleaned_data["connection"])
        messages.success(request, "Saved.")
    else:
        messages.error(request, "You cannot send from that mailbox any more. Choose another.")
    return redirect("mailconnect:settings")


@require_http_methods(["GET", "POST"])
@login_required
def remove(request: MemberRequest) -> HttpResponse:
    connection = access.get_own_connection(request.user)
    now = timezone.now()
    if request.method == "GET":
        effect, grants = ending.foresee_removal(connection, now)
        context = {"connection": connection, "effect": effect, "grants": grants}
        return render(request, "mailconnect/remove.html", context)
    removed = ending.remove(connection=connection, actor=request.user, now=now)
    messages.success(request, _removal_sentence(connection.address, removed))
    return redirect("mailconnect:settings")


def _manage_page(request: MemberRequest, form: ManageForm) -> HttpResponse:
    connection = access.get_own_connection(request.user)
    context = {"form": form, "connection": connection, "is_away": connection.is_away(timezone.now())}
    return render(request, "mailconnect/manage.html", context)


def _removal_sentence(address: str, removed: ending.Removed) -> str:
    sentence = f"{address} is removed."
    if removed.effect.sequences:
        count = len(removed.effect.sequences)
        sentence += f" {count} sequence{'s' if count > 1 else ''} paused."
    return f"{sentence} {too_late(removed.on_their_way)}".rstrip()


def _leave_callback(request: HttpRequest, onward: str, told: tuple[str, str], *, in_popup: bool) -> HttpResponse:
    """On to a page without the code in its address; a popup tells the page that opened it and closes."""
    if in_popup:
        return render(request, "mailconnect/popup.html", {"onward": onward, "told": told})
    return redirect(onward)


def _too_many_attempts(user: User) -> bool:
    what = f"connect-attempts:{user.pk}"
    return is_too_many(what, most=ATTEMPTS, within_seconds=ATTEMPTS_WITHIN_SECONDS, now=timezone.now())
