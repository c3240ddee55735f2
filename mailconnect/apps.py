"""The app: at start it tells `accounts` what ends when a person leaves or the policy is tightened."""

from django.apps import AppConfig


class MailconnectConfig(AppConfig):
    name = "mailconnect"

    def ready(self) -> None:
        from accounts import governing, leaving
        from mailconnect.governing import Permissions
        from mailconnect.leaving import Mailboxes

        leaving.register(Mailboxes())
        governing.register(Permissions())
