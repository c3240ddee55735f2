"""Write down who did what to what."""

from datetime import datetime
from typing import Any

from django.db import models

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
