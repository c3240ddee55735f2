"""The app."""

from django.apps import AppConfig


class MailconnectConfig(AppConfig):
    name = "mailconnect"
