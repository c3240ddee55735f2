"""Connecting a mailbox: through Microsoft's pages and back."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from django.test import Client
from django.urls import reverse

from accounts import leaving
from accounts.models import AuditEvent, Notification, Organization, User
from mailconnect import connecting
from mailconnect.models import AdminConsent, ConsentFlow, DefaultMailbox, MailConnection, TokenCache
from mailconnect.reasons import SENTENCES
from tests.mailconnect.owning import connected
from tests.sandbox_tenant import DEMO_TENANT, ELSEWHERE_TENANT, SandboxTenant
from tests.sequences import outreach
from tests.signing_in import Browser, begin, path_of

pytestmark = pytest.mark.django_db
State = MailConnection.State
ClientOf = Callable[[User], Client]
ALICE = "alice@demo.example"
WITHOUT_CONSENT = "Return to the application without granting consent"


def walked(client: Client, *presses: str, in_popup: bool = False) -> str:
    """Press Connect Email, then through Microsoft's pages. Returns where they lead back to."""
    visitor = Browser().open(begin(client, in_popup=in_popup)).press(*presses)
    visitor.close()
    assert visitor.came_back, f"Stopped at {visitor.page.address}"
    return path_of(visitor.came_back)


def connect(client: Client, *presses: str) -> str:
    """The page at the end of a sign-in."""
    return page(client.get(walked(client, *presses), follow=True))


def page(response: Any) -> str:
    return str(response.content.decode())


def test_brings_everything_that_a_connection_is(
    tenant: SandboxTenant, alice: User, organization: Organization, client_of: ClientOf
) -> None:
    shown = connect(client_of(alice), ALICE, "Accept")

    connection = MailConnection.objects.get()
    assert (connection.owner, connection.address, connection.display_name) == (alice, ALICE, "Alice Archer")
    assert (connection.state, connection.tenant_id) == (State.CONNECTED, DEMO_TENANT)
    assert connection.object_id == tenant.sign_in_tokens(ALICE).object_id
    assert (connection.time_zone, connection.working_days) == ("Europe/Berlin", "12345")
    assert connection.settings_read_at
    assert DefaultMailbox.objects.get(user=alice).connection == connection
    assert TokenCache.objects.filter(connection=connection).exists()
    organization.refresh_from_db()
    assert organization.microsoft_tenant_id == DEMO_TENANT
    assert AuditEvent.objects.get(action="mailbox.connected").actor == alice
    assert not ConsentFlow.objects.exists()
    assert ALICE in shown
    assert "Manage" in shown


def test_counts_an_alias_as_the_persons_address(tenant: SandboxTenant, alice: User, client_of: ClientOf) -> None:
    alice.email = "Alice.Archer@demo.example"
    alice.save()

    connect(client_of(alice), ALICE, "Accept")

    assert MailConnection.objects.get().address == ALICE


def test_goes_on_although_the_mailbox_settings_cannot_be_read(
    tenant: SandboxTenant, alice: User, client_of: ClientOf
) -> None:
    tenant.fault(ALICE, "settings", "status", status=503)

    connect(client_of(alice), ALICE, "Accept")

    connection = MailConnection.objects.get()
    assert (connection.state, connection.settings_read_at) == (State.CONNECTED, None)


def test_in_a_popup_ends_with_a_page_that_tells_the_other_one(
    tenant: SandboxTenant, alice: User, client_of: ClientOf
) -> None:
    client = client_of(alice)

    told = page(client.get(walked(client, ALICE, "Accept", in_popup=True)))
    assert f'data-connect-outcome="{reverse("mailconnect:settings")}"' in told

    told = page(client.get(walked(client, "Cancel", in_popup=True)))
    assert f'data-connect-outcome="{reverse("mailconnect:refused", args=["approval_needed"])}"' in told


# What each refusal needs at Microsoft, what the person presses there, and the reason that we give.
Prepare = Callable[[SandboxTenant], object]
REFUSALS: list[tuple[str, Prepare, list[str]]] = [
    ("other_address", lambda tenant: None, ["bob@demo.example", "Accept"]),
    ("no_mailbox", lambda tenant: None, ["erin@demo.example", "Accept"]),
    ("guest_account", lambda tenant: None, ["gus@partner.example", "Accept"]),
    ("other_tenant", lambda tenant: None, ["mallory@other.example", "Accept"]),
    ("other_tenant", lambda tenant: None, ["eve@other.example", "Accept"]),
    (
        "personal_account",
        lambda tenant: tenant.turn(personal_accounts_pass=True),
        ["pat@personal.example", "Accept"],
    ),
    (
        "scope_missing",
        lambda tenant: tenant.change_account(ALICE, only_scopes=["User.Read", "Mail.Send"]),
        [ALICE, "Accept"],
    ),
    ("approval_needed", lambda tenant: None, ["Cancel"]),
    ("approval_needed", lambda tenant: None, [ALICE, "Cancel"]),
    (
        "approval_needed",
        lambda tenant: tenant.consent_mode("demo.example", "microsoft_managed"),
        [ALICE, WITHOUT_CONSENT],
    ),
    (
        "approval_needed",
        lambda tenant: tenant.consent_mode("demo.example", "off", workflow=True),
        [ALICE, "Request approval", WITHOUT_CONSENT],
    ),
    *(
        (reason, lambda tenant, code=code: tenant.change_account(ALICE, refused_with=code), [ALICE, "Accept"])
        for reason, code in [
            ("account_disabled", 50057),
            ("conditional_access", 53003),
            ("not_assigned", 50105),
            ("security_check", 50076),
            ("microsoft_unavailable", 90033),
        ]
    ),
    ("app_unknown", lambda tenant: tenant.change_account(ALICE, refused_with=700016), [ALICE, "Accept"]),
    ("secret_wrong", lambda tenant: tenant.change_app(secret="new"), [ALICE, "Accept"]),
    ("secret_expired", lambda tenant: tenant.expire_secret(), [ALICE, "Accept"]),
    *(
        (
            "microsoft_unavailable",
            lambda tenant, call=call, kind=kind: tenant.fault(ALICE, call, kind),
            [ALICE, "Accept"],
        )
        for call in ("token", "me", "folder")
        for kind in (
            "html",
            "html_after",
            "garbage",
            "strange",
            "empty",
            "lost_before",
            "lost_after",
            "throttled",
            "status",
        )
    ),
]


@pytest.fixture
def existing(tenant: SandboxTenant, alice: User, organization: Organization, now: datetime) -> MailConnection:
    """Alice's mailbox, connected a while ago."""
    Organization.objects.update(microsoft_tenant_id=DEMO_TENANT)
    connection = outreach.connected(alice, tenant, now - timedelta(days=30))
    tenant.change_account(ALICE, consented=[])
    return connection


def everything() -> list[Any]:
    """All rows that a connection consists of."""
    return [*MailConnection.objects.values(), *TokenCache.objects.values(), *DefaultMailbox.objects.values()]


@pytest.mark.parametrize(
    ("reason", "prepare", "presses"),
    REFUSALS,
    ids=[f"{reason}-{place}" for place, (reason, _, _) in enumerate(REFUSALS)],
)
def test_that_is_refused_says_why_and_leaves_the_existing_connection(
    existing: MailConnection,
    tenant: SandboxTenant,
    alice: User,
    client_of: ClientOf,
    reason: str,
    prepare: Prepare,
    presses: list[str],
) -> None:
    before = everything()
    prepare(tenant)

    shown = connect(client_of(alice), *presses)

    sentence, next_step = SENTENCES[reason]
    assert sentence.replace("'", "&#x27;") in shown
    assert next_step.replace("'", "&#x27;") in shown
    assert f"Your existing connection ({ALICE}) stays as it was." in shown
    assert everything() == before
    assert not AuditEvent.objects.exists()


@pytest.mark.parametrize("address", ["mallory@other.example", "eve@other.example"])
def test_believes_no_address_that_a_token_claims(
    tenant: SandboxTenant, alice: User, organization: Organization, client_of: ClientOf, address: str
) -> None:
    tenant.change_account(address, claims={"email": ALICE, "preferred_username": ALICE, "upn": ALICE})

    connect(client_of(alice), address, "Accept")

    assert not MailConnection.objects.exists()
    organization.refresh_from_db()
    assert organization.microsoft_tenant_id == ""


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another app"},
        {"iss": f"https://login.microsoftonline.com/{ELSEWHERE_TENANT}/v2.0"},
        {"iss": "https://evil.example/v2.0"},
        {"tid": ELSEWHERE_TENANT},
        {"tid": None},
        {"oid": None},
        {"oid": ""},
        {"ver": "1.0"},
        {"exp": 1_700_000_000},
        {"exp": None},
        {"nbf": 4_000_000_000},
    ],
    ids=str,
)
def test_trusts_no_token_that_does_not_fit(
    existing: MailConnection, tenant: SandboxTenant, alice: User, client_of: ClientOf, claims: dict[str, Any]
) -> None:
    before = everything()
    tenant.change_account(ALICE, claims=claims)

    shown = connect(client_of(alice), ALICE, "Accept")

    assert SENTENCES["answer_not_trusted"][0].replace("'", "&#x27;") in shown
    assert everything() == before


@pytest.mark.parametrize(
    "claims",
    [
        {"acct": 1},
        {"idp": "live.com"},
        {"preferred_username": "alice_partner.example#EXT#@demo.example"},
    ],
    ids=["account kind", "identity provider", "name"],
)
def test_knows_a_guest_by_any_sign(
    tenant: SandboxTenant, alice: User, client_of: ClientOf, claims: dict[str, Any]
) -> None:
    tenant.change_account(ALICE, claims=claims)

    assert SENTENCES["guest_account"][0] in connect(client_of(alice), ALICE, "Accept")


def test_that_fails_by_our_own_fault_tells_the_operator(
    existing: MailConnection, tenant: SandboxTenant, alice: User, ada: User, client_of: ClientOf
) -> None:
    User.objects.filter(pk=ada.pk).update(is_staff=True)
    tenant.expire_secret()

    connect(client_of(alice), ALICE, "Accept")

    told = Notification.objects.get(kind="operator_alarm")
    assert told.user == ada
    assert "7000222" in told.text


def test_that_cannot_even_begin_says_so(alice: User, client_of: ClientOf, settings: Any) -> None:
    settings.SANDBOX_URL = "http://127.0.0.1:9"  # nobody listens there

    shown = page(client_of(alice).post(reverse("mailconnect:connect"), follow=True))

    assert SENTENCES["microsoft_unavailable"][0] in shown


@pytest.mark.parametrize(
    ("organization_of_other", "reason"), [(True, "connected_elsewhere"), (False, "connected_by_colleague")]
)
def test_takes_no_mailbox_that_somebody_else_has_connected(
    tenant: SandboxTenant,
    alice: User,
    mallory: User,
    now: datetime,
    client_of: ClientOf,
    organization_of_other: bool,
    reason: str,
) -> None:
    organization = mallory.organization if organization_of_other else alice.organization
    other = User.objects.create_user("alice.archer@demo.example", "x" * 20, organization=organization, name="Other")
    outreach.connected(other, tenant, now)

    shown = connect(client_of(alice), ALICE)

    assert SENTENCES[reason][0] in shown
    assert MailConnection.objects.get().owner == other


def test_takes_one_mailbox_at_a_time(tenant: SandboxTenant, alice: User, now: datetime, client_of: ClientOf) -> None:
    connected(alice, now)

    assert SENTENCES["another_connected"][0] in connect(client_of(alice), ALICE, "Accept")

    assert MailConnection.objects.count() == 1


@pytest.mark.parametrize("state", [State.RECONNECT, State.REMOVED, State.CONNECTED])
def test_again_takes_up_the_same_mailbox(
    existing: MailConnection, tenant: SandboxTenant, alice: User, client_of: ClientOf, state: str
) -> None:
    MailConnection.objects.update(state=state, reason="access_revoked" if state == State.RECONNECT else "")

    connect(client_of(alice), ALICE, "Accept")

    connection = MailConnection.objects.get()
    assert (connection.pk, connection.state, connection.reason) == (existing.pk, State.CONNECTED, "")
    assert AuditEvent.objects.get().action == "mailbox.reconnected"


def test_settles_that_it_was_waiting_for_it(
    tenant: SandboxTenant, alice: User, bob: User, now: datetime, client_of: ClientOf
) -> None:
    AdminConsent.objects.create(organization=alice.organization, requested_by=bob, requested_at=now)

    connect(client_of(alice), ALICE, "Accept")

    assert AdminConsent.objects.get().approved_at


# --- The state that goes to Microsoft and comes back ----------------------------------------------------------------
def test_of_a_person_who_is_deactivated_meanwhile_keeps_nothing(
    tenant: SandboxTenant, alice: User, ada: User, now: datetime, client_of: ClientOf
) -> None:
    client = client_of(alice)
    answer = dict(parse_qsl(urlsplit(walked(client, ALICE, "Accept")).query))
    leaving.deactivate(user=User.objects.get(pk=alice.pk), actor=ada, now=now)

    # The request came in before: it knows her as she was then.
    with pytest.raises(connecting.ConnectRefused):
        connecting.finish(user=alice, session_key=client.session.session_key or "", answer=answer, now=now)

    assert not TokenCache.objects.exists()
    assert not MailConnection.objects.exists()


def test_counts_once(tenant: SandboxTenant, alice: User, client_of: ClientOf) -> None:
    client = client_of(alice)
    came_back = walked(client, ALICE, "Accept")
    client.get(came_back)
    before = everything()

    shown = page(client.get(came_back, follow=True))

    assert SENTENCES["flow_unknown"][0] in shown
    assert everything() == before
    assert len(tenant.calls(ALICE, "token")) == 1


def test_counts_in_the_session_in_which_it_began(
    tenant: SandboxTenant, alice: User, bob: User, client_of: ClientOf
) -> None:
    client = client_of(alice)
    came_back = walked(client, ALICE, "Accept")

    for another in (client_of(alice), client_of(bob)):
        assert SENTENCES["flow_unknown"][0] in page(another.get(came_back, follow=True))
    assert not MailConnection.objects.exists()

    client.get(came_back)
    assert MailConnection.objects.get().owner == alice


def test_counts_for_ten_minutes(tenant: SandboxTenant, alice: User, now: datetime, client_of: ClientOf) -> None:
    client = client_of(alice)
    came_back = walked(client, ALICE, "Accept")
    assert ConsentFlow.objects.get().expires_at - now == pytest.approx(timedelta(minutes=10), abs=timedelta(minutes=1))
    ConsentFlow.objects.update(expires_at=now)

    assert SENTENCES["flow_expired"][0] in page(client.get(came_back, follow=True))

    assert not MailConnection.objects.exists()
    assert not ConsentFlow.objects.exists()


def test_without_a_session_connects_nothing(tenant: SandboxTenant, alice: User, client_of: ClientOf) -> None:
    came_back = walked(client_of(alice), ALICE, "Accept")

    answer = Client().get(came_back)

    assert answer.status_code == 403
    assert "You are signed out here" in page(answer)
    assert not MailConnection.objects.exists()


@pytest.mark.parametrize(
    "query",
    ["", "?state=made-up&code=x", "?code=x", "?error=access_denied", "?state="],
    ids=lambda query: query or "none",
)
def test_with_a_made_up_answer_connects_nothing(
    tenant: SandboxTenant, alice: User, client_of: ClientOf, query: str
) -> None:
    shown = page(client_of(alice).get(reverse("mailconnect:callback") + query, follow=True))

    assert SENTENCES["flow_unknown"][0] in shown
    assert tenant.calls(ALICE) == []


def test_with_neither_code_nor_error_uses_the_sign_in_up(
    tenant: SandboxTenant, alice: User, client_of: ClientOf
) -> None:
    client = client_of(alice)
    came_back = walked(client, ALICE, "Accept")
    state = parse_qs(urlsplit(came_back).query)["state"][0]

    client.get(f"{reverse('mailconnect:callback')}?state={state}")

    assert SENTENCES["flow_unknown"][0] in page(client.get(came_back, follow=True))
    assert not MailConnection.objects.exists()


def test_with_another_nonce_is_not_trusted(tenant: SandboxTenant, alice: User, client_of: ClientOf) -> None:
    client = client_of(alice)
    came_back = walked(client, ALICE, "Accept")
    flow = ConsentFlow.objects.get()
    nonce = flow.envelope.partition('"nonce": "')[2].partition('"')[0]
    flow.envelope = flow.envelope.replace(nonce, "another")
    flow.save()

    assert SENTENCES["answer_not_trusted"][0].replace("'", "&#x27;") in page(client.get(came_back, follow=True))

    assert not MailConnection.objects.exists()


def test_can_be_tried_twenty_times_in_ten_minutes(tenant: SandboxTenant, alice: User, client_of: ClientOf) -> None:
    client = client_of(alice)
    for _ in range(20):
        begin(client)

    shown = page(client.post(reverse("mailconnect:connect"), follow=True))

    assert SENTENCES["too_many_attempts"][0] in shown


def test_begins_by_a_press_alone(tenant: SandboxTenant, alice: User, client_of: ClientOf) -> None:
    assert client_of(alice).get(reverse("mailconnect:connect")).status_code == 405
    assert not ConsentFlow.objects.exists()
