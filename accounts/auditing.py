"""Write down who did what to what."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.db import models, transaction

from accounts.models import AuditEvent, Organization, User


def record(
    *,
    organization: Organization,
    actor: User | None,
    action: str,
    target: models.Model,
    now: datetime,
    **details: Any,
) -> AuditEvent:
    """Append an audit event, in the caller's transaction. `details`: ids, counts; never tokens, bodies, addresses."""
    return AuditEvent.objects.create(
        organization=organization,
        actor=actor,
        action=action,
        object_type=target._meta.model_name or "",
        object_id=str(target.pk),
        details=details,
        created_at=now,
    )


def in_words(action: str) -> str:
    """`user.role_changed` → User role changed."""
    return action.replace(".", " ").replace("_", " ").capitalize()


@dataclass(frozen=True, kw_only=True)
class Described:
    """An audit event in words, for the page."""

    event: AuditEvent
    what: str
    target: str
    details: str


def described(events: Iterable[AuditEvent]) -> list[Described]:
    """One query, however many: the names of the people that the events are about."""
    events = list(events)
    ids = {event.object_id for event in events if event.object_type == "user"}
    names = {str(user.pk): str(user) for user in User.objects.filter(pk__in=ids)}
    return [
        Described(
            event=event,
            what=in_words(event.action),
            target=names.get(event.object_id, "") if event.object_type == "user" else f"no. {event.object_id}",
            details=", ".join(f"{key.replace('_', ' ')}: {value}" for key, value in event.details.items()),
        )
        for event in events
    ]


def save_and_record(form: "forms.ModelForm[Any]", *, actor: User, action: str, now: datetime) -> None:
    """Save what a settings form changed, and write down which settings; never their values."""
    if not form.changed_data:
        return
    with transaction.atomic():
        saved = form.save()
        organization = saved if isinstance(saved, Organization) else saved.organization
        record(organization=organization, actor=actor, action=action, target=saved, now=now, changed=form.changed_data)
