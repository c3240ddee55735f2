"""Changing the encryption key."""

from collections.abc import Iterator
from datetime import datetime

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from accounts.models import User
from mailconnect import rotation, tokens, vault
from mailconnect.encryption import EncryptedText
from mailconnect.microsoft.errors import OperatorProblem
from mailconnect.microsoft.identity import TokenAnswer
from mailconnect.models import ConsentFlow, TokenCache
from tests.mailconnect.owning import ACCESS_TOKEN, connected

pytestmark = pytest.mark.django_db
OLD, NEW = "an old key of thirty-two characters", "a new key of thirty-two characters!"


def restart(settings: Settings, *keys: str) -> None:
    """Fields read the keys once per start."""
    settings.FERNET_KEYS = list(keys)
    for model in (TokenCache, ConsentFlow):
        for field in model._meta.fields:
            if isinstance(field, EncryptedText):
                for name in ("keys", "fernet_keys", "fernet"):
                    field.__dict__.pop(name, None)


@pytest.fixture(autouse=True)
def _original_keys(settings: Settings) -> Iterator[None]:
    before = settings.FERNET_KEYS
    restart(settings, OLD)
    yield
    restart(settings, *before)


@pytest.fixture
def flow(alice: User, now: datetime) -> ConsentFlow:
    return ConsentFlow.objects.create(state_hash="s", session_hash="s", user=alice, envelope="secret", expires_at=now)


def test_reencrypts_all_secrets_and_then_finds_nothing_to_do(
    settings: Settings, alice: User, flow: ConsentFlow, now: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    connection = connected(alice, now)
    restart(settings, NEW, OLD)

    call_command("rotate_fernet_keys")
    call_command("rotate_fernet_keys")

    assert capsys.readouterr().out.splitlines() == [
        "3 re-encrypted, 0 already under the first key.",
        "0 re-encrypted, 3 already under the first key.",
    ]
    restart(settings, NEW)
    assert tokens.access_token(connection.pk) == ACCESS_TOKEN
    assert ConsentFlow.objects.get().envelope == "secret"


def test_leaves_what_a_refresh_has_written_meanwhile(settings: Settings, alice: User, now: datetime) -> None:
    connection = connected(alice, now)
    restart(settings, NEW, OLD)
    column = rotation._Column(TokenCache, TokenCache._meta.get_field("access_envelope"))
    [(pk, seen)] = column.values()
    newer = TokenAnswer(access_token="newer", expires_in=3600, cache="{}", scopes=frozenset())
    vault.store(connection_id=connection.pk, tokens=newer, now=now)

    replaced = column.replace(pk, seen, b"older")

    assert not replaced
    assert tokens.access_token(connection.pk) == "newer"


def test_says_what_cannot_be_read_with_any_key(settings: Settings, alice: User, now: datetime) -> None:
    connection = connected(alice, now)
    restart(settings, NEW)

    with pytest.raises(CommandError, match="2 cannot be read"):
        call_command("rotate_fernet_keys")
    with pytest.raises(OperatorProblem):
        tokens.access_token(connection.pk)
