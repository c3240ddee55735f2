"""Access tokens while a mailbox is connected."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from django.core import mail
from django.db import connection as database
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import Notification, User
from mailconnect import reading, tokens, vault
from mailconnect.microsoft.errors import MicrosoftUnavailable, OperatorProblem, ReconnectNeeded
from mailconnect.microsoft.graph import GraphClient
from mailconnect.models import MailConnection, TokenCache
from mailconnect.reasons import SENTENCES
from tests.sandbox_tenant import SandboxTenant
from tests.sequences import outreach

ALICE = "alice@demo.example"
State = MailConnection.State


@pytest.fixture
def expired(tenant: SandboxTenant, alice: User, now: datetime) -> MailConnection:
    """Alice's mailbox, with an access token that has no time left."""
    connection = outreach.connected(alice, tenant, now)
    TokenCache.objects.update(access_expires_at=now)
    return connection


def refresh_token(connection: MailConnection) -> str:
    cache = json.loads(vault.msal_cache(connection.pk))
    [entry] = cache["RefreshToken"].values()
    return str(entry["secret"])


@pytest.mark.django_db(transaction=True)
def test_are_refreshed_once_for_all_workers_that_need_one(expired: MailConnection, tenant: SandboxTenant) -> None:
    tenant.fault(ALICE, "token", "slow", seconds=0.5)

    def work(_: int) -> str:
        try:
            return tokens.access_token(expired.pk)
        finally:
            database.close()

    with ThreadPoolExecutor(4) as workers:
        brought = list(workers.map(work, range(4)))

    assert len(set(brought)) == 1
    assert len(tenant.calls(ALICE, "token")) == 1


@pytest.mark.django_db
def test_bring_a_new_refresh_token_that_is_kept(expired: MailConnection) -> None:
    before = refresh_token(expired)

    first = tokens.access_token(expired.pk)
    after = refresh_token(expired)
    TokenCache.objects.update(access_expires_at=timezone.now())

    assert before != after
    assert tokens.access_token(expired.pk) != first


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (50173, "access_revoked"),
        (700082, "connection_expired"),
        (70043, "sign_in_frequency"),
        (50076, "security_check"),
        (53003, "conditional_access"),
        (50057, "account_disabled"),
        (50105, "not_assigned"),
        (7000112, "app_disabled"),
        (65001, "consent_missing"),
    ],
)
def test_that_are_refused_for_good_ask_the_owner_to_reconnect(
    expired: MailConnection, tenant: SandboxTenant, alice: User, code: int, reason: str
) -> None:
    tenant.change_account(ALICE, refused_with=code)

    with pytest.raises(ReconnectNeeded, match=reason):
        tokens.access_token(expired.pk)

    expired.refresh_from_db()
    assert (expired.state, expired.reason) == (State.RECONNECT, reason)
    told = Notification.objects.get()
    assert (told.user, told.kind) == (alice, "mailbox_reconnect")
    assert SENTENCES[reason][0] in told.text
    with pytest.raises(ReconnectNeeded):
        tokens.access_token(expired.pk)
    assert len(tenant.calls(ALICE, "token")) == 1  # it is not asked again


@pytest.mark.django_db
def test_that_were_revoked_ask_the_owner_to_reconnect(expired: MailConnection, tenant: SandboxTenant) -> None:
    tenant.revoke_tokens(ALICE)

    with pytest.raises(ReconnectNeeded, match="access_revoked"):
        tokens.access_token(expired.pk)


@pytest.mark.django_db
def test_that_lost_a_permission_ask_the_owner_to_reconnect(expired: MailConnection, tenant: SandboxTenant) -> None:
    tenant.change_account(ALICE, only_scopes=["Mail.Send", "User.Read"])

    with pytest.raises(ReconnectNeeded, match="scope_missing"):
        tokens.access_token(expired.pk)

    expired.refresh_from_db()
    assert expired.reason == "scope_missing"


Break = Callable[[SandboxTenant], object]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda tenant: tenant.change_app(secret="another"), "secret_wrong"),
        (lambda tenant: tenant.expire_secret(), "secret_expired"),
        (lambda tenant: tenant.change_app(client_id="another"), "app_unknown"),
    ],
    ids=["7000215", "7000222", "700016"],
)
def test_that_are_refused_by_our_own_fault_alarm_the_operator_and_blame_nobody(
    expired: MailConnection, tenant: SandboxTenant, ada: User, settings: Settings, spoil: Break, reason: str
) -> None:
    User.objects.filter(pk=ada.pk).update(is_staff=True)
    settings.OPERATOR_EMAILS = ["operator@site.example"]
    spoil(tenant)

    for _ in range(2):
        with pytest.raises((OperatorProblem, MicrosoftUnavailable)):
            tokens.access_token(expired.pk)

    expired.refresh_from_db()
    assert (expired.state, expired.reason) == (State.CONNECTED, "")
    told = Notification.objects.get()
    assert (told.user, told.kind) == (ada, "operator_alarm")
    to_operators = [sent for sent in mail.outbox if sent.to == ["operator@site.example"]]
    assert len(to_operators) == 1
    assert ALICE not in to_operators[0].body
    assert len(tenant.calls(ALICE, "token")) == 1  # others wait a moment before they ask again


@pytest.mark.django_db
@pytest.mark.parametrize(
    "kind", ["html", "garbage", "strange", "empty", "lost_before", "lost_after", "status", "throttled"]
)
def test_that_cannot_be_had_at_the_moment_leave_everything_as_it_is(
    expired: MailConnection, tenant: SandboxTenant, kind: str
) -> None:
    tenant.fault(ALICE, "token", kind)

    with pytest.raises(MicrosoftUnavailable):
        tokens.access_token(expired.pk)

    expired.refresh_from_db()
    assert expired.state == State.CONNECTED
    assert not Notification.objects.exists()
    TokenCache.objects.update(refresh_until=None)
    assert tokens.access_token(expired.pk)


@pytest.mark.django_db
@pytest.mark.parametrize("code", [50196, 90033, 90055])
def test_that_microsoft_puts_off_leave_everything_as_it_is(
    expired: MailConnection, tenant: SandboxTenant, code: int
) -> None:
    tenant.change_account(ALICE, refused_with=code)

    with pytest.raises(MicrosoftUnavailable):
        tokens.access_token(expired.pk)

    expired.refresh_from_db()
    assert expired.state == State.CONNECTED


@pytest.mark.django_db
def test_that_graph_refuses_are_refreshed_once(tenant: SandboxTenant, alice: User, now: datetime) -> None:
    connection = outreach.connected(alice, tenant, now)
    tenant.fault(ALICE, "settings", "unauthorized")

    found = reading.ask(connection.pk, GraphClient.mailbox_settings)

    assert found["timeZone"] == "W. Europe Standard Time"
    assert len(tenant.calls(ALICE, "token")) == 1


@pytest.mark.django_db
def test_are_not_asked_for_while_they_are_fresh(tenant: SandboxTenant, alice: User, now: datetime) -> None:
    connection = outreach.connected(alice, tenant, now)
    TokenCache.objects.update(access_expires_at=now + timedelta(minutes=6))

    tokens.access_token(connection.pk)

    assert tenant.calls(ALICE, "token") == []
