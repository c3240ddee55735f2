"""Deactivate a person, as the page does."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts import leaving
from accounts.models import User


class Command(BaseCommand):
    help = "Deactivate a person: no sign-in, tokens forgotten, permissions archived, what depends on them paused."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(email__iexact=options["email"]).first()
        if not user:
            raise CommandError("Nobody here has this address.")
        if not user.is_active:
            self.stdout.write("Deactivated already.")
            return
        now = timezone.now()
        effects = leaving.foresee(user, now)
        try:
            on_their_way = leaving.deactivate(user=user, actor=None, now=now)
        except leaving.LeavingRefused as refusal:
            raise CommandError(str(refusal)) from refusal
        self.stdout.write("\n".join(filter(None, [*effects, leaving.too_late(on_their_way)])))
