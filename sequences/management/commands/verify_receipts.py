"""Verify every receipt against the rows, the grants and the bodies as they stand."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from sequences import receipts


class Command(BaseCommand):
    help = (
        "Verify the receipts of all messages. Prints each that does not verify, and then ends with 1. "
        "It finds what was changed, not a message that was deleted: compare with an earlier export for that."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        broken = 0
        for message_id, problems in receipts.verify_all():
            broken += 1
            self.stdout.write(f"Message {message_id}: {'; '.join(receipts.PROBLEMS[key] for key in problems)}.")
        if broken:
            raise CommandError(f"{broken} receipt{'s do' if broken > 1 else ' does'} not verify.")
        self.stdout.write("All receipts that are there verify.")
