"""A person corrects what we made of an email that came in."""

from datetime import datetime

from django.db import transaction

from accounts.auditing import record
from accounts.models import User
from sequences.models import IncomingMail
from sequences.replies import effects


@transaction.atomic
def correct(mail: IncomingMail, kind: IncomingMail.Kind, *, actor: User, now: datetime) -> IncomingMail:
    """Undo what followed from the old kind, as far as it still stands, and do what follows from the new one."""
    related = IncomingMail.objects.select_related("organization", "message", "enrollment__candidate")
    row = related.select_for_update(of=("self",), no_key=True).get(pk=mail.pk)
    if row.kind == kind:  # pressed twice
        return row
    before, row.kind = row.kind, kind
    row.corrected_by, row.corrected_at = actor, now
    row.save(update_fields=["kind", "corrected_by", "corrected_at"])
    effects.undo(row, now=now)
    effects.apply(row, now=now)
    record(
        organization=row.organization,
        actor=actor,
        action="reply.corrected",
        target=row,
        now=now,
        before=before,
        after=str(kind),
    )
    return row
