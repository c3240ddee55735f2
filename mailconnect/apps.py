"""The app: at start it tells `accounts` what ends when a person leaves."""

from django.apps import AppConfig


class MailconnectConfig(AppConfig):
    name = "mailconnect"

    def ready(self) -> None:
        from accounts import leaving
        from mailconnect.leaving import Mailboxes

        leaving.register(Mailboxes())
