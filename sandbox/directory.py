"""Who is there: tenants and accounts, with what makes their sign-in fail."""

import uuid
from dataclasses import dataclass, field
from typing import Any

PERSONAL_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"
DEMO_TENANT = "11111111-1111-4111-8111-111111111111"
ELSEWHERE_TENANT = "22222222-2222-4222-8222-222222222222"
PARTNER_TENANT = "33333333-3333-4333-8333-333333333333"
_PEOPLE = uuid.UUID("5a7d0b0e-0000-4000-8000-000000000365")

# What a tenant's people may consent to by themselves.
CONSENT_MODES = ("open", "microsoft_managed", "off")
MANAGED_ALLOWS = {"openid", "profile", "email", "offline_access", "User.Read", "Mail.Send"}


@dataclass
class Tenant:
    id: str
    name: str
    domain: str
    consent: str = "open"
    has_request_workflow: bool = False
    approved: list[str] = field(default_factory=list)  # scopes granted by an administrator for everybody


@dataclass
class Account:
    """A person as the directory knows it, and how the mailbox is set up."""

    id: str
    tenant: str
    address: str
    name: str
    aliases: list[str] = field(default_factory=list)
    has_mailbox: bool = True
    is_admin: bool = False
    is_guest: bool = False
    home_tenant: str = ""  # of a guest
    claims: dict[str, Any] = field(default_factory=dict)  # what the id_token says otherwise; null: leaves out
    # An AADSTS code that stops the sign-in on Microsoft's page, and one that the token endpoint answers with.
    stopped_with: int = 0
    refused_with: int = 0
    consented: list[str] = field(default_factory=list)
    only_scopes: list[str] | None = None  # what is granted, whatever is asked for
    signed_out_at: float = 0.0  # refresh tokens from before no longer count
    settings: dict[str, Any] = field(default_factory=dict)  # as Graph shows it: mailboxSettings
    knobs: dict[str, Any] = field(default_factory=dict)

    @property
    def is_personal(self) -> bool:
        return self.tenant == PERSONAL_TENANT

    @property
    def user_principal_name(self) -> str:
        if self.is_guest:
            return f"{self.address.replace('@', '_')}#EXT#@demo.example"
        return self.address

    @property
    def addresses(self) -> list[str]:
        return [self.address, *self.aliases]


def account_id(address: str) -> str:
    """The object id of a seed account: the same after every reset."""
    return str(uuid.uuid5(_PEOPLE, address.lower()))


def mailbox_settings(time_zone: str = "W. Europe Standard Time") -> dict[str, Any]:
    return {
        "archiveFolder": "archive",
        "timeZone": time_zone,
        "delegateMeetingMessageDeliveryOptions": "sendToDelegateOnly",
        "dateFormat": "dd.MM.yyyy",
        "timeFormat": "HH:mm",
        "userPurpose": "user",
        # The dates are filled in although nothing is scheduled, as Exchange does.
        "automaticRepliesSetting": {
            "status": "disabled",
            "externalAudience": "all",
            "scheduledStartDateTime": {"dateTime": "2026-03-14T07:00:00.0000000", "timeZone": "UTC"},
            "scheduledEndDateTime": {"dateTime": "2026-03-15T07:00:00.0000000", "timeZone": "UTC"},
            "internalReplyMessage": "",
            "externalReplyMessage": "",
        },
        "language": {"locale": "en-US", "displayName": "English (United States)"},
        "workingHours": {
            "daysOfWeek": ["monday", "tuesday", "wednesday", "thursday", "friday"],
            "startTime": "08:00:00.0000000",
            "endTime": "17:00:00.0000000",
            "timeZone": {"name": time_zone},
        },
    }


def account(tenant: str, address: str, name: str, **rest: Any) -> Account:
    return Account(account_id(address), tenant, address, name, settings=mailbox_settings(), **rest)


def seed_tenants() -> list[Tenant]:
    return [
        Tenant(DEMO_TENANT, "Demo", "demo.example"),
        Tenant(ELSEWHERE_TENANT, "Elsewhere", "other.example"),
        Tenant(PERSONAL_TENANT, "Personal accounts", "personal.example"),
    ]


def seed_accounts() -> list[Account]:
    demo = DEMO_TENANT
    return [
        account(demo, "alice@demo.example", "Alice Archer", aliases=["alice.archer@demo.example"]),
        account(demo, "bob@demo.example", "Bob Baker"),
        account(demo, "carol@demo.example", "Carol Chen"),
        account(demo, "ada@demo.example", "Ada Admin", is_admin=True),
        account(demo, "erin@demo.example", "Erin Without Mailbox", has_mailbox=False),
        account(demo, "gus@partner.example", "Gus Guest", is_guest=True, home_tenant=PARTNER_TENANT, has_mailbox=False),
        account(demo, "dora@demo.example", "Dora Disabled", stopped_with=50057, refused_with=50057),
        account(demo, "uma@demo.example", "Uma Unassigned", stopped_with=50105),
        account(demo, "colin@demo.example", "Colin Conditional", stopped_with=53003),
        account(ELSEWHERE_TENANT, "mallory@other.example", "Mallory Other"),
        # A stranger's tenant may write any address into a token.
        account(
            ELSEWHERE_TENANT,
            "eve@other.example",
            "Eve Impostor",
            claims={"email": "alice@demo.example"},
            has_mailbox=False,
        ),
        account(PERSONAL_TENANT, "pat@personal.example", "Pat Personal"),
    ]
