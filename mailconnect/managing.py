"""What people choose about their mailboxes."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from accounts.auditing import record
from accounts.models import User
from mailconnect.models import DefaultMailbox, MailConnection


@transaction.atomic
def save_choices(*, connection: MailConnection, changed: Sequence[str], actor: User, now: datetime) -> None:
    """Keep the named fields of `connection`, and write down which ones; never what they say."""
    if not changed:
        return
    connection.save(update_fields=list(changed))
    record(
        organization=connection.organization,
        actor=actor,
        action="mailbox.settings_changed",
        target=connection,
        now=now,
        settings=sorted(changed),
    )


def choose_default(user: User, connection: MailConnection | None) -> None:
    """The mailbox that new sequences of `user` begin with; none: no default."""
    if connection is None:
        DefaultMailbox.objects.filter(user=user).delete()
    else:
        DefaultMailbox.objects.update_or_create(user=user, defaults={"connection": connection})
