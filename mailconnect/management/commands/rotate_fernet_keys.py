"""Re-encrypt stored tokens under the first of FERNET_KEYS."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mailconnect.rotation import rotate


class Command(BaseCommand):
    help = (
        "Re-encrypts stored tokens under the first of FERNET_KEYS. To change the key: put the new one behind the old "
        "one and restart everything; put it in front and restart everything; run this; take the old one away."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        counts = rotate()
        self.stdout.write(f"{counts['rotated']} re-encrypted, {counts['current']} already under the first key.")
        if counts["overtaken"]:
            self.stdout.write(f"{counts['overtaken']} changed meanwhile. Run this again until it re-encrypts none.")
        if counts["unreadable"]:
            raise CommandError(f"{counts['unreadable']} cannot be read with any of FERNET_KEYS: is a key missing?")
