"""After a database was restored from a backup: look into the mailboxes before anything is sent."""

from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone

from mailconnect import queue
from mailconnect.models import MailConnection
from sequences.models import Message
from sequences.reconciling import RESUBMITTED


class Command(BaseCommand):
    help = (
        "Run it once after restoring a backup, before the workers start: whatever may have left since the backup is "
        "then looked for in its mailbox before it is drafted or sent. Nothing else needs to be done."
    )

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        queue.mark_restored(timezone.now())
        # Of what was found out since the backup the rows know nothing: each is looked at as if for the first time.
        looked_after = Message.objects.filter(check_at__isnull=False)
        looked_after.filter(reason=RESUBMITTED).update(reason="")
        looked_after.exclude(attempts=0).update(attempts=0)
        count = MailConnection.objects.live().count()
        self.stdout.write(f"Noted for {count} mailbox{'' if count == 1 else 'es'}. The workers can start.")
