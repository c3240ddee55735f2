"""What follows from an email that came in, and how it is undone: always in the caller's transaction."""

from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Lower

from accounts.auditing import record
from sequences.models import Candidate, Enrollment, IncomingMail, Suppression
from sequences.replies import onward
from sequences.replies.freemail import company_domain
from sequences.scheduling import NeverOpen, instant
from sequences.windows import window_for

Kind = IncomingMail.Kind
State = Enrollment.State

# An automatic reply that names no day holds for so many business days.
USUAL_ABSENCE = 3
_STOPPED_FOR: dict[str, str] = {Kind.REPLY: "replied", Kind.BOUNCE: "bounced", Kind.OPT_OUT: "suppressed"}
_SUPPRESSED_FOR: dict[str, Suppression.Reason] = {
    Kind.BOUNCE: Suppression.Reason.BOUNCED,
    Kind.OPT_OUT: Suppression.Reason.OPT_OUT,
}


def apply(mail: IncomingMail, *, now: datetime) -> None:
    """Stop, hold or suppress as the kind of `mail` says, and note on it what was changed."""
    effects: dict[str, Any] = {}
    candidate = mail.enrollment.candidate
    going_on = Enrollment.objects.filter(candidate=candidate, state__in=[State.ACTIVE, State.HELD])
    if suppressed_for := _SUPPRESSED_FOR.get(mail.kind):
        effects["suppression"] = _suppress(mail, suppressed_for, now)
    if reason := _STOPPED_FOR.get(mail.kind):
        effects["stopped"] = _stop(going_on, reason)
    if mail.kind == Kind.REPLY:
        effects["stopped"] += _stop(_of_colleagues(mail), "colleague_replied")
    if mail.kind == Kind.AUTO_REPLY:
        effects["held"] = _hold(going_on, mail)
    mail.effects = effects
    mail.save(update_fields=["effects"])


def undo(mail: IncomingMail, *, now: datetime) -> None:
    """Put back what `apply` changed, where nobody and nothing has changed it since."""
    effects = mail.effects
    if effects.get("suppression"):
        Suppression.objects.filter(pk=effects["suppression"], created_by=None).delete()
    if stopped := effects.get("stopped"):
        _go_on_unless_others_say_so(mail, stopped, now)
    for before in effects.get("held", []):
        _no_longer_away(before)
    mail.effects = {}
    mail.save(update_fields=["effects"])


def _go_on_unless_others_say_so(mail: IncomingMail, stopped: list[dict[str, Any]], now: datetime) -> None:
    """Another email of the same candidate may say the same: then that one has stopped them from now on."""
    others = IncomingMail.objects.filter(enrollment__candidate=mail.enrollment.candidate_id, kind__in=_STOPPED_FOR)
    other = others.exclude(pk=mail.pk).order_by("-received_at").first()
    if other:
        other.effects["stopped"] = [*other.effects.get("stopped", []), *stopped]
        other.save(update_fields=["effects"])
        return
    for before in stopped:
        _go_on(before, now)


def _go_on(before: dict[str, Any], now: datetime) -> None:
    """From its next step, if it still stands where this email stopped it."""
    enrollment = onward.locked(before["id"])
    if enrollment.state == State.STOPPED and enrollment.reason == before["for"]:
        enrollment.state, enrollment.reason, enrollment.detail = before["state"], before["reason"], before["detail"]
        onward.go_on(enrollment, now)


def _no_longer_away(before: dict[str, Any]) -> None:
    """Due when it was due before, if it still waits for the candidate to be back."""
    enrollment = onward.locked(before["id"])
    if _text(enrollment.due_at) == before["moved_to"]:
        enrollment.due_at = _moment(before["due_at"])
    enrollment.away_until = _moment(before["away_until"])
    enrollment.save(update_fields=["due_at", "away_until"])
    onward.ring(enrollment)


def _suppress(mail: IncomingMail, reason: Suppression.Reason, now: datetime) -> int | None:
    """The id of the suppression that this mail made; none where the address was suppressed before."""
    address = mail.message.to_address.lower()
    known = Suppression.objects.alias(address=Lower("email")).filter(organization=mail.organization, address=address)
    if known.exists():
        if reason == Suppression.Reason.OPT_OUT:  # the person's own word is the stronger reason
            known.filter(reason=Suppression.Reason.BOUNCED).update(reason=reason)
        return None
    wanted = Suppression(organization=mail.organization, email=address, reason=reason, created_at=now)
    Suppression.objects.bulk_create([wanted], ignore_conflicts=True)  # two at once: the second finds the row there
    made = known.get()
    record(
        organization=mail.organization,
        actor=None,
        action="address.suppressed",
        target=made,
        now=now,
        reason=str(reason),
        sequence=mail.sequence_id,
    )
    return made.pk


def _stop(enrollments: QuerySet[Enrollment], reason: str) -> list[dict[str, Any]]:
    """In the order of their ids, as everybody locks them."""
    stopped = list(enrollments.order_by("pk").select_for_update(of=("self",), no_key=True))
    Enrollment.objects.filter(pk__in=[each.pk for each in stopped]).update(
        state=State.STOPPED, reason=reason, detail="", due_at=None
    )
    return [
        {"id": each.pk, "for": reason, "state": each.state, "reason": each.reason, "detail": each.detail}
        for each in stopped
    ]


def _of_colleagues(mail: IncomingMail) -> QuerySet[Enrollment]:
    """Others at the candidate's company, where the organization wants them left alone too."""
    candidate = mail.enrollment.candidate
    domain = company_domain(candidate.email)
    if not mail.organization.stop_for_colleagues or not domain:
        return Enrollment.objects.none()
    colleagues = Candidate.objects.filter(organization=mail.organization, email__iendswith=f"@{domain}")
    return Enrollment.objects.filter(
        candidate__in=colleagues.exclude(pk=candidate.pk), state__in=[State.ACTIVE, State.HELD]
    )


def _hold(enrollments: QuerySet[Enrollment], mail: IncomingMail) -> list[dict[str, Any]]:
    """Nothing is due before the candidate is back."""
    held = []
    related = enrollments.filter(state=State.ACTIVE).select_related(
        "candidate", "connection", "sequence__organization", "sequence__connection"
    )
    for each in related.order_by("pk").select_for_update(of=("self",), no_key=True):
        back_at = back_in_office(each, mail.received_at, mail.back_after)
        before = {"id": each.pk, "due_at": _text(each.due_at), "away_until": _text(each.away_until)}
        each.away_until = max(back_at, each.away_until or back_at)
        if each.due_at:  # else an email is under way, which plans the next one by `away_until`
            each.due_at = max(each.due_at, each.away_until)
        each.save(update_fields=["away_until", "due_at"])
        held.append(before | {"moved_to": _text(each.due_at)})
    return held


def _text(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""


def _moment(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def back_in_office(enrollment: Enrollment, received_at: datetime, back_after: date | None) -> datetime:
    """When the sending window opens after the last day of absence; after a few business days where none is known."""
    window = window_for(
        sequence=enrollment.sequence,
        connection=enrollment.connection or enrollment.sequence.connection,
        organization=enrollment.sequence.organization,
        candidate_zone=enrollment.candidate.time_zone,
    )
    try:
        today = received_at.astimezone(window.zone).date()
        day = back_after + timedelta(days=1) if back_after else window.business_days_after(today, USUAL_ABSENCE)
        return window.next_open(instant(day, window.start, window.zone))
    except NeverOpen:
        return received_at + timedelta(days=7)
