"""The app: at start it tells `mailconnect` who pauses when a mailbox or a grant stops."""

from django.apps import AppConfig


class SequencesConfig(AppConfig):
    name = "sequences"

    def ready(self) -> None:
        from mailconnect import stopping
        from sequences import heartbeat, pausing

        stopping.register(pausing.Sequences())
        heartbeat.watch_tasks()
