"""Tell an operator what is wrong with the app registration at Microsoft."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from mailconnect import registration


class Command(BaseCommand):
    help = "Checks the app registration at Microsoft and says what to do. Ends with 1 when something is wrong."

    def handle(self, *args: Any, **options: Any) -> None:
        good = True
        for finding in registration.findings(timezone.now().date()):
            good &= finding.good
            style = self.style.SUCCESS if finding.good else self.style.ERROR
            self.stdout.write(style(f"{'ok     ' if finding.good else 'PROBLEM'}  {finding.text}"))
        self.stdout.write("\nThe registration needs:")
        for line in registration.to_register():
            self.stdout.write(f"  {line}")
        if not good:
            raise SystemExit(1)
