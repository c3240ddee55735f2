"""Proxy sender permissions: who may send from my mailbox, what was asked of me, and what I may use."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Prefetch, Q, QuerySet
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.access import searched
from accounts.leaving import too_late
from accounts.limiting import is_too_many
from accounts.models import User
from mailconnect import access, granting, requesting, stopping
from mailconnect.granting import GrantRefused, Revoked
from mailconnect.models import DelegationGrant, DelegationRequest, MailConnection
from mailconnect.permission_forms import AskForm, TermsForm
from mailconnect.requesting import RequestRefused
from mailconnect.stopping import Activity
from mailconnect.views.mailbox import MemberRequest

MOST_FOUND = 8
MOST_PAST = 10
A_PAGE = 50
REQUESTS_AN_HOUR = 30


@require_GET
@login_required
def permissions(request: MemberRequest) -> HttpResponse:
    user, now = request.user, timezone.now()
    connection = access.own_connection(user)
    found = _found(user, connection, searched(request))
    if request.headers.get("HX-Request"):
        return render(request, "mailconnect/permissions/_found.html", found)
    context = {
        "connection": connection,
        "can_grant": bool(connection and connection.state == MailConnection.State.CONNECTED),
        "received": _received(user),
        "made": DelegationRequest.objects.filter(requester=user).select_related("connection__owner")[:MOST_PAST],
        **found,
    }
    if connection:
        requests = DelegationRequest.objects.filter(connection=connection).select_related("requester")
        archived = DelegationGrant.objects.filter(connection=connection).exclude(archived_at=None)
        context |= {
            "rows": _rows(connection, DelegationGrant.objects.live(now).filter(connection=connection)),
            "asked": requests.filter(state=DelegationRequest.State.REQUESTED, lapses_at__gt=now),
            "past": archived.select_related("grantee", "archived_by").order_by("-archived_at", "-pk")[:MOST_PAST],
        }
    return render(request, "mailconnect/permissions/list.html", context)


@require_http_methods(["GET", "POST"])
@login_required
def grant(request: MemberRequest, user_pk: int) -> HttpResponse:
    return _grant(request, access.get_colleague(request.user, user_pk))


@require_http_methods(["GET", "POST"])
@login_required
def grant_team(request: MemberRequest) -> HttpResponse:
    return _grant(request, None)


@require_http_methods(["GET", "POST"])
@login_required
def change(request: MemberRequest, pk: int) -> HttpResponse:
    grant, now = access.get_own_grant(request.user, pk), timezone.now()
    if not grant.is_live(now):
        messages.info(request, "This permission has ended. You can give a new one.")
        return redirect("mailconnect:permissions")
    form = TermsForm(
        _sent(request),
        organization=grant.connection.organization,
        grantee=grant.grantee,
        now=now,
        initial=TermsForm.initial_of(grant),
    )
    if form.is_valid():
        try:
            changed = granting.change(grant=grant, actor=request.user, terms=form.terms(), now=now)
        except GrantRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, f"Saved.{_consequences(changed)}")
            return redirect("mailconnect:permissions")
    return render(request, "mailconnect/permissions/terms.html", {"form": form, "grant": grant, "who": _who(grant)})


@require_http_methods(["GET", "POST"])
@login_required
def revoke(request: MemberRequest, pk: int) -> HttpResponse:
    grant, now = access.get_own_or_governed_grant(request.user, pk), timezone.now()
    if request.method == "GET":
        context = {
            "grant": grant,
            "who": _who(grant),
            "is_own": grant.connection.owner_id == request.user.pk,
            "effect": granting.foresee_revocation(grant, now) if grant.archived_at is None else None,
        }
        return render(request, "mailconnect/permissions/revoke.html", context)
    revoked = granting.revoke(grant=grant, actor=request.user, now=now)
    _say_revoked(request, revoked)
    is_own = grant.connection.owner_id == request.user.pk
    return redirect("mailconnect:permissions" if is_own else "mailconnect:overview")


@require_GET
@login_required
def ask(request: MemberRequest) -> HttpResponse:
    """Whose mailbox to ask for: those of colleagues that the person may not use yet."""
    user, now, text = request.user, timezone.now(), searched(request)
    sequence_id = _own_sequence(user, request.GET.get("sequence", ""))
    usable = MailConnection.objects.usable_by(user, now, sequence_id=sequence_id)
    others = access.colleagues_connections(user, text).exclude(pk__in=usable.values("pk"))
    page = Paginator(others, A_PAGE).get_page(request.GET.get("page"))
    waiting = DelegationRequest.objects.filter(
        requester=user, state=DelegationRequest.State.REQUESTED, lapses_at__gt=now, connection__in=page.object_list
    )
    context = {
        "page": page,
        "q": text,
        "sequence_id": sequence_id,
        "waiting": dict(waiting.values_list("connection", "pk")),
    }
    return render(request, "mailconnect/permissions/ask.html", context)


@require_http_methods(["GET", "POST"])
@login_required
def ask_for(request: MemberRequest, connection_pk: int) -> HttpResponse:
    """`sequence`, in the address, is the sequence that the person wants to send: the owner sees its name."""
    connection = access.get_colleagues_connection(request.user, connection_pk)
    sequence_id = _own_sequence(request.user, request.GET.get("sequence", ""))
    form = AskForm(_sent(request))
    if form.is_valid():
        if _too_many_requests(request.user):
            messages.error(request, "You have asked very often within an hour. Go on a little later.")
            return redirect("mailconnect:permissions")
        try:
            made = requesting.ask(
                connection=connection,
                requester=request.user,
                sequence_id=sequence_id,
                note=form.cleaned_data["note"],
                now=timezone.now(),
            )
        except RequestRefused as refusal:
            messages.error(request, str(refusal))
            return redirect("mailconnect:permissions")
        messages.success(request, f"{connection.owner} was asked. You will hear when there is an answer.")
        return redirect("mailconnect:request", made.pk)
    names = stopping.sequence_names([sequence_id] if sequence_id else [], request.user.organization_id)
    context = {"form": form, "connection": connection, "sequence_name": names.get(sequence_id or 0, "")}
    return render(request, "mailconnect/permissions/ask_for.html", context)


@require_GET
@login_required
def request_page(request: MemberRequest, pk: int) -> HttpResponse:
    asked = access.get_request(request.user, pk)
    form = _form_for(request.user, asked, None) if _can_answer(request.user, asked) else None
    return _request_page(request, asked, form)


@require_POST
@login_required
def approve(request: MemberRequest, pk: int) -> HttpResponse:
    asked = _asked_of(request.user, pk)
    form = _form_for(request.user, asked, request.POST)
    if not form.is_valid():
        return _request_page(request, asked, form)
    try:
        requesting.approve(request=asked, actor=request.user, terms=form.terms(), now=timezone.now())
    except GrantRefused as refusal:
        form.add_error(None, str(refusal))
        return _request_page(request, asked, form)
    except RequestRefused as refusal:
        messages.error(request, str(refusal))
        return redirect("mailconnect:request", asked.pk)
    messages.success(request, f"{asked.requester} may now send from your mailbox.")
    return redirect("mailconnect:permissions")


@require_POST
@login_required
def decline(request: MemberRequest, pk: int) -> HttpResponse:
    asked = _asked_of(request.user, pk)
    try:
        requesting.decline(request=asked, actor=request.user, now=timezone.now())
    except RequestRefused as refusal:
        messages.error(request, str(refusal))
        return redirect("mailconnect:request", asked.pk)
    messages.success(request, f"Declined. {asked.requester} is told.")
    return redirect("mailconnect:permissions")


@require_POST
@login_required
def withdraw(request: MemberRequest, pk: int) -> HttpResponse:
    asked = access.get_request(request.user, pk)
    if asked.requester_id != request.user.pk:
        raise Http404
    try:
        requesting.withdraw(request=asked, now=timezone.now())
    except RequestRefused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, "Withdrawn.")
    return redirect("mailconnect:permissions")


@require_GET
@login_required
def overview(request: MemberRequest) -> HttpResponse:
    """For admins: every mailbox in the organization, and who may send from it."""
    if not request.user.is_admin:
        raise Http404
    live = DelegationGrant.objects.live(timezone.now()).select_related("grantee")
    mailboxes = MailConnection.objects.live().filter(organization=request.user.organization_id)
    shown = mailboxes.select_related("owner").order_by("owner__name", "pk")
    shown = shown.prefetch_related(Prefetch("grants", live, to_attr="live_grants"))
    page = Paginator(shown, A_PAGE).get_page(request.GET.get("page"))
    return render(request, "mailconnect/permissions/overview.html", {"page": page})


def _grant(request: MemberRequest, grantee: User | None) -> HttpResponse:
    connection, now = access.get_own_connection(request.user), timezone.now()
    organization = request.user.organization
    form = TermsForm(_sent(request), organization=organization, grantee=grantee, now=now)
    if form.is_valid():
        try:
            granting.grant(connection=connection, grantee=grantee, actor=request.user, terms=form.terms(), now=now)
        except GrantRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, f"{grantee or 'The entire team'} may now send from your mailbox.")
            return redirect("mailconnect:permissions")
    context = {"form": form, "connection": connection, "grantee": grantee, "who": str(grantee or "the entire team")}
    return render(request, "mailconnect/permissions/terms.html", context)


def _too_many_requests(user: User) -> bool:
    """Each is mailed to an owner, also where it is withdrawn at once."""
    return is_too_many(f"requests:{user.pk}", most=REQUESTS_AN_HOUR, within_seconds=3600, now=timezone.now())


def _sent(request: MemberRequest) -> QueryDict | None:
    """What was posted, also where it is nothing: all terms are optional."""
    return request.POST if request.method == "POST" else None


def _found(user: User, connection: MailConnection | None, text: str) -> dict[str, Any]:
    """The colleagues that a search finds, each with whether the permission is there already."""
    if not (connection and text):
        return {"q": text, "found": [], "granted": set()}
    found = list(access.colleagues_to_grant(user, text)[:MOST_FOUND])
    live = DelegationGrant.objects.filter(connection=connection, archived_at=None, grantee__in=found)
    return {"q": text, "found": found, "granted": set(live.values_list("grantee", flat=True))}


def _rows(connection: MailConnection, grants: QuerySet[DelegationGrant]) -> list[dict[str, Any]]:
    """Live permissions with what is sent under them; the team's stands for all who have none of their own."""
    found = sorted(
        grants.select_related("grantee"), key=lambda grant: (grant.grantee_id is not None, str(grant.grantee))
    )
    activity = stopping.activity(connection)
    names = _names(found, connection.organization_id)
    specific = {grant.grantee_id for grant in found}
    others = [each for person, each in activity.items() if person not in specific | {connection.owner_id}]
    return [
        {
            "grant": grant,
            "sequence_name": names.get(grant.pk, ""),
            "activity": activity.get(grant.grantee_id, Activity()) if grant.grantee_id else _together(others),
        }
        for grant in found
    ]


def _together(activities: list[Activity]) -> Activity:
    running = [sequence for each in activities for sequence in each.running]
    return Activity(running=running, sent=sum(each.sent for each in activities))


def _names(grants: Any, organization_id: int) -> dict[int, str]:
    """By grant: the name of the one sequence that it is limited to."""
    limited = {grant.pk: grant.sequence_id for grant in grants if grant.sequence_id}
    names = stopping.sequence_names(set(limited.values()), organization_id)
    return {pk: names.get(sequence_id, "") for pk, sequence_id in limited.items()}


def _received(user: User) -> QuerySet[DelegationGrant]:
    """What `user` may use: given to the person, or to the entire team."""
    live = DelegationGrant.objects.live(timezone.now()).filter(Q(grantee=user) | Q(grantee=None))
    others = live.filter(connection__organization=user.organization_id).exclude(connection__owner=user)
    return others.select_related("connection__owner").order_by("connection__address", "-grantee")


def _own_sequence(user: User, value: str) -> int | None:
    """The id in the address, if it is a sequence of the person's own."""
    own = dict(stopping.sequence_choices(user.organization_id, user.pk))
    return int(value) if value.isdecimal() and len(value) < 18 and int(value) in own else None


def _asked_of(user: User, pk: int) -> DelegationRequest:
    """A request for the own mailbox."""
    related = DelegationRequest.objects.select_related("connection__owner", "connection__organization", "requester")
    return get_object_or_404(related, pk=pk, connection__owner=user, connection__organization=user.organization_id)


def _can_answer(user: User, asked: DelegationRequest) -> bool:
    is_open = asked.state == DelegationRequest.State.REQUESTED and asked.lapses_at > timezone.now()
    return is_open and asked.connection.owner_id == user.pk and asked.requester.is_active


def _form_for(user: User, asked: DelegationRequest, data: Any) -> TermsForm:
    """Begins with what was asked for; where a permission is there, with every sequence: this one comes in its place."""
    live = DelegationGrant.objects.filter(connection=asked.connection, grantee=asked.requester, archived_at=None)
    initial = {"sequence_id": None if live.exists() else asked.sequence_id}
    now = timezone.now()
    return TermsForm(data, organization=user.organization, grantee=asked.requester, now=now, initial=initial)


def _request_page(request: MemberRequest, asked: DelegationRequest, form: TermsForm | None) -> HttpResponse:
    names = stopping.sequence_names([asked.sequence_id] if asked.sequence_id else [], request.user.organization_id)
    context = {
        "asked": asked,
        "form": form,
        "is_owner": asked.connection.owner_id == request.user.pk,
        "is_open": asked.state == DelegationRequest.State.REQUESTED and asked.lapses_at > timezone.now(),
        "sequence_name": names.get(asked.sequence_id or 0, ""),
    }
    return render(request, "mailconnect/permissions/request.html", context)


def _who(grant: DelegationGrant) -> str:
    return str(grant.grantee) if grant.grantee else "The entire team"


def _say_revoked(request: MemberRequest, revoked: Revoked) -> None:
    who = _who(revoked.grant)
    if revoked.acted:
        messages.success(request, f"{who} may no longer send from this mailbox.{_consequences(revoked)}")
    else:
        by = revoked.grant.archived_by
        how = f"{by or 'The system'} ended it" if by != request.user else "You ended it"
        reason = revoked.grant.get_archived_reason_display().lower()
        messages.info(request, f"This permission had already ended ({reason}). {how} before.")


def _consequences(revoked: Revoked) -> str:
    """What it paused, and what can no longer be called back."""
    sentence = ""
    if count := len(revoked.effect.sequences):
        sentence += f" {count} sequence{'s' if count > 1 else ''} paused."
    if count := revoked.effect.waiting:
        sentence += f" {count} email{'s' if count > 1 else ''} wait{'' if count > 1 else 's'} in them."
    return f"{sentence} {too_late(revoked.on_their_way)}".rstrip()
