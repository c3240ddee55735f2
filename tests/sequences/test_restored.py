"""After a backup was restored, `manage.py restored` …"""

import uuid
from datetime import datetime, timedelta

import pytest
from django.core.management import call_command

from accounts.models import User
from mailconnect import queue
from tests.mailconnect.owning import connected

pytestmark = pytest.mark.django_db


def test_ends_all_leases_and_has_every_mailbox_looked_into_first(
    alice: User, now: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    mailbox = connected(alice, now)
    queue.ring([mailbox.pk], at=now - timedelta(minutes=1))
    (held,) = queue.lease(uuid.uuid4(), now=now, limit=1)

    call_command("restored")

    mailbox.refresh_from_db()
    assert mailbox.restored_at
    assert mailbox.lease_owner is None
    assert mailbox.lease_epoch > held.epoch
    assert "Noted for 1 mailbox." in capsys.readouterr().out
