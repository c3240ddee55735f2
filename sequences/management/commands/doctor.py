"""Tell an operator whether this installation is well."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from sequences import health


class Command(BaseCommand):
    help = (
        "Checks database, workers, queue, schedules, keys, clock and Microsoft, and says what is wrong and what to do. "
        "Ends with 1 when something is wrong, so that a monitor can call it."
    )
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        problems = 0
        for finding in health.findings(timezone.now()):
            problems += not finding.good
            style = self.style.SUCCESS if finding.good else self.style.ERROR
            self.stdout.write(style(f"{'ok     ' if finding.good else 'PROBLEM'}  {finding.text}"))
        if problems:
            raise SystemExit(1)
