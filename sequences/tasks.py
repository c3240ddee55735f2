"""What rings in the background. django-q2 carries the bell; what is to be done stands in the database."""

from django_q.tasks import async_task

from sequences.sending import Pump


def tick() -> None:
    """Send what is due. Rung once a minute, and whenever something has just become due."""
    Pump().run()


def ring_soon() -> None:
    """Let a worker look for due mailboxes now. Call it when the transaction that made them due has committed."""
    async_task("sequences.tasks.tick")
