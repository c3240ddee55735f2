"""Approval by the company's IT: a link for an administrator, a mail to send it with, and what comes back.

What Microsoft's redirect says is no proof of anything: it changes a sentence on a page and tells one person to try
again. The proof is the sign-in that follows (reference A7).
"""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

from django.conf import settings
from django.core import signing
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.models import User
from accounts.notifying import notify
from mailconnect.microsoft import identity
from mailconnect.models import AdminConsent

LINK_LIFE = timedelta(days=90)
SALT = "mailconnect.approval"


@dataclass(frozen=True, kw_only=True)
class Letter:
    """What a person sends to IT."""

    link: str
    subject: str
    text: str
    mailto: str


def letter_to_it(user: User) -> Letter:
    state = signing.dumps({"user": user.pk}, salt=SALT)
    link = identity.admin_consent_url(
        tenant=user.organization.microsoft_tenant_id, state=state, redirect_uri=redirect_uri()
    )
    subject = "Please approve Metaview Outreach for our Microsoft 365"
    text = render_to_string("mailconnect/letter_to_it.txt", {"link": link, "user": user, "site": settings.SITE_URL})
    return Letter(link=link, subject=subject, text=text, mailto=f"mailto:?subject={quote(subject)}&body={quote(text)}")


def redirect_uri() -> str:
    return f"{settings.SITE_URL}{reverse('mailconnect:approval_callback')}"


def waiting(user: User, now: datetime) -> AdminConsent:
    """`user` has asked IT; asked again, the wait begins anew."""
    consent, _ = AdminConsent.objects.update_or_create(
        organization=user.organization,
        defaults={"requested_by": user, "requested_at": now, "approved_at": None, "tenant_hint": ""},
    )
    return consent


def approved(*, state: str, tenant: str, now: datetime) -> User | None:
    """An administrator came back from Microsoft: note it, and tell who had asked. None for a state that is not ours."""
    user = _asker(state)
    if user is None:
        return None
    AdminConsent.objects.update_or_create(
        organization=user.organization,
        defaults={"approved_at": now, "tenant_hint": _guid(tenant)},
        create_defaults={
            "requested_by": user,
            "requested_at": now,
            "approved_at": now,
            "tenant_hint": _guid(tenant),
        },
    )
    notify(
        user=user,
        kind="mailbox_approved",
        title="IT has approved Metaview Outreach",
        text="You can connect your mailbox now.",
        url=reverse("mailconnect:settings"),
        once="mailbox_approved",
        now=now,
    )
    return user


def _asker(state: str) -> User | None:
    try:
        content = signing.loads(state, salt=SALT, max_age=LINK_LIFE)
    except signing.BadSignature:
        return None
    return User.objects.filter(pk=content["user"], is_active=True).select_related("organization").first()


def _guid(value: str) -> str:
    try:
        return str(uuid.UUID(value))
    except ValueError:
        return ""
