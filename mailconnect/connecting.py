"""Connect a mailbox: begin a sign-in at Microsoft, and finish it once everything about the answer has been checked."""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils.crypto import salted_hmac

from accounts.auditing import record
from accounts.models import Organization, User
from mailconnect import mailbox_settings, queue, reading, stopping, vault
from mailconnect.alarm import alarm_operator
from mailconnect.mailbox_settings import MailboxSettings
from mailconnect.microsoft import identity
from mailconnect.microsoft.errors import (
    MicrosoftError,
    MicrosoftUnavailable,
    OperatorProblem,
    ReconnectNeeded,
    Refused,
)
from mailconnect.microsoft.graph import GraphClient
from mailconnect.microsoft.identity import Account, TokenAnswer
from mailconnect.models import FLOW_LIFE, AdminConsent, ConsentFlow, DefaultMailbox, MailConnection

# An expired flow is kept for a while, so that who comes back late is told so.
KEEP_EXPIRED_FLOWS = timedelta(days=1)


class ConnectRefused(Exception):
    """The mailbox was not connected, and nothing was changed. `reason` is a key of `reasons.SENTENCES`."""

    def __init__(self, reason: str, *, in_popup: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.in_popup = in_popup


@dataclass(frozen=True, kw_only=True)
class Connected:
    connection: MailConnection
    in_popup: bool


@dataclass(frozen=True, kw_only=True)
class Mailbox:
    """What Graph says of the mailbox that signed in. Addresses in lower case, the primary one first."""

    name: str
    addresses: list[str]
    is_guest: bool
    settings: MailboxSettings | None


def redirect_uri() -> str:
    """Where Microsoft sends people back to: registered there, so never taken from a request's Host."""
    return f"{settings.SITE_URL}{reverse('mailconnect:callback')}"


def begin(*, user: User, session_key: str, in_popup: bool, now: datetime) -> str:
    """The address at Microsoft to send `user` to. Raises `ConnectRefused`."""
    state = secrets.token_urlsafe(32)
    try:
        address, flow = identity.begin_sign_in(redirect_uri=redirect_uri(), state=state, login_hint=user.email)
    except MicrosoftError as error:
        raise _refusal(error, now) from error
    ConsentFlow.objects.filter(expires_at__lt=now - KEEP_EXPIRED_FLOWS).delete()
    ConsentFlow.objects.create(
        state_hash=_state_hash(state),
        session_hash=_session_hash(session_key),
        user=user,
        in_popup=in_popup,
        envelope=json.dumps(flow),
        expires_at=now + FLOW_LIFE,
    )
    return address


def finish(*, user: User, session_key: str, answer: Mapping[str, str], now: datetime) -> Connected:
    """Take what Microsoft's redirect brought and connect the mailbox. Raises `ConnectRefused`."""
    flow = _take_flow(user, session_key, answer, now)
    try:
        connection = _connect(user, json.loads(flow.envelope), answer, now)
    except ConnectRefused as refusal:
        refusal.in_popup = flow.in_popup
        raise
    return Connected(connection=connection, in_popup=flow.in_popup)


def _take_flow(user: User, session_key: str, answer: Mapping[str, str], now: datetime) -> ConsentFlow:
    """The flow that began in this session, taken so that nobody takes it again. Another's stays as it is."""
    flow = ConsentFlow.objects.filter(
        state_hash=_state_hash(answer.get("state", "")), session_hash=_session_hash(session_key), user=user
    ).first()
    if flow is None or not ConsentFlow.objects.filter(pk=flow.pk).delete()[0]:
        raise ConnectRefused("flow_unknown")
    if flow.expires_at <= now:
        raise ConnectRefused("flow_expired", in_popup=flow.in_popup)
    if "code" not in answer and "error" not in answer:
        raise ConnectRefused("flow_unknown", in_popup=flow.in_popup)
    return flow


def _connect(user: User, flow: dict[str, Any], answer: Mapping[str, str], now: datetime) -> MailConnection:
    try:
        tokens, account = identity.redeem(flow, answer)
        _check_account(user.organization, tokens, account)
        with reading.mailbox(tokens.access_token) as graph:
            mailbox = _read_mailbox(graph)
    except MicrosoftError as error:
        raise _refusal(error, now) from error
    if mailbox.is_guest:
        raise ConnectRefused("guest_account")
    if user.email.lower() not in mailbox.addresses:
        raise ConnectRefused("other_address")
    try:
        connection = _store(user, tokens, account, mailbox, now)
    except IntegrityError as error:  # another organization was quicker by a moment
        raise ConnectRefused("connected_elsewhere") from error
    queue.ring([connection.pk], at=now)
    return connection


def _check_account(organization: Organization, tokens: TokenAnswer, account: Account) -> None:
    """What can be told without asking Graph. The tenant is asked again under lock, when it is bound."""
    reasons = {
        "personal_account": account.is_personal,
        "guest_account": account.is_guest,
        "other_tenant": organization.microsoft_tenant_id not in ("", account.tenant_id),
        "scope_missing": not tokens.scopes.issuperset(identity.GRAPH_SCOPES),
    }
    for reason, applies in reasons.items():
        if applies:
            raise ConnectRefused(reason)


def _read_mailbox(graph: GraphClient) -> Mailbox:
    try:
        graph.inbox()
    except Refused as refusal:
        raise ConnectRefused("no_mailbox" if refusal.status == 404 else "scope_missing") from refusal
    profile = graph.me()
    return Mailbox(
        name=str(profile.get("displayName") or ""),
        addresses=_addresses(profile),
        is_guest=profile.get("userType") == "Guest" or "#EXT#" in str(profile.get("userPrincipalName")).upper(),
        settings=_settings_if_readable(graph),
    )


def _addresses(profile: Mapping[str, Any]) -> list[str]:
    """`mail` and the SMTP proxy addresses (other protocols are none of ours), the primary one first."""
    proxies = [str(entry) for entry in profile.get("proxyAddresses") or [] if str(entry).upper().startswith("SMTP:")]
    proxies.sort(key=lambda entry: not entry.startswith("SMTP:"))
    mail = [str(profile["mail"])] if profile.get("mail") else []
    return [address.lower() for address in [*mail, *(entry[5:] for entry in proxies)]]


def _settings_if_readable(graph: GraphClient) -> MailboxSettings | None:
    """They are read again before something is sent, so a hiccup here is no reason to refuse."""
    try:
        return mailbox_settings.parse(graph.mailbox_settings())
    except MicrosoftError:
        return None


@transaction.atomic
def _store(user: User, tokens: TokenAnswer, account: Account, mailbox: Mailbox, now: datetime) -> MailConnection:
    """Everything that a connection is, at once. The organization's row is locked: two first ones cannot both bind."""
    organization = Organization.objects.select_for_update(no_key=True).get(pk=user.organization_id)
    # Whoever was deactivated while we asked Microsoft leaves no tokens behind.
    if not User.objects.select_for_update(no_key=True).get(pk=user.pk).is_active:
        raise ConnectRefused("flow_unknown")
    if organization.microsoft_tenant_id not in ("", account.tenant_id):
        raise ConnectRefused("other_tenant")
    Organization.objects.filter(pk=organization.pk).update(microsoft_tenant_id=account.tenant_id)
    connection = _row_for(user, account)
    again = connection.pk is not None
    _fill(connection, user, mailbox, now)
    vault.store(connection_id=connection.pk, tokens=tokens, now=now)
    DefaultMailbox.objects.get_or_create(user=user, defaults={"connection": connection})
    AdminConsent.objects.filter(organization=organization, approved_at=None).update(approved_at=now)
    action = "mailbox.reconnected" if again else "mailbox.connected"
    record(organization=organization, actor=user, action=action, target=connection, now=now)
    stopping.allow_again(connection, now)
    return connection


def _row_for(user: User, account: Account) -> MailConnection:
    """The row of this very mailbox, in the organization and live or not, or a new one."""
    same = MailConnection.objects.filter(tenant_id=account.tenant_id, object_id=account.object_id)
    if same.live().exclude(organization=user.organization_id).exists():
        raise ConnectRefused("connected_elsewhere")
    row = same.select_for_update(no_key=True).filter(organization=user.organization_id).first()
    if row and row.state != MailConnection.State.REMOVED and row.owner_id != user.pk:
        raise ConnectRefused("connected_by_colleague")
    others = MailConnection.objects.live().filter(owner=user)
    if (others.exclude(pk=row.pk) if row else others).exists():
        raise ConnectRefused("another_connected")
    return row or MailConnection(
        organization_id=user.organization_id, tenant_id=account.tenant_id, object_id=account.object_id
    )


def _fill(connection: MailConnection, user: User, mailbox: Mailbox, now: datetime) -> None:
    connection.owner = user
    connection.address = mailbox.addresses[0]
    connection.display_name = mailbox.name[:200]
    connection.state = MailConnection.State.CONNECTED
    connection.reason = ""
    connection.connected_at = connection.state_changed_at = now
    if mailbox.settings:
        connection.settings_read_at = now
        for name, value in asdict(mailbox.settings).items():
            setattr(connection, name, value)
    connection.save()


def _refusal(error: MicrosoftError, now: datetime) -> ConnectRefused:
    """The same for people: what identity raises has a reason of ours; what Graph raises only says that it is unwell."""
    if isinstance(error, OperatorProblem):
        alarm_operator(error.reason, now)
    known = isinstance(error, ReconnectNeeded | OperatorProblem | MicrosoftUnavailable)
    return ConnectRefused(error.reason if known else "microsoft_unavailable")


def _state_hash(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()


def _session_hash(session_key: str) -> str:
    return salted_hmac("mailconnect.flow", session_key, algorithm="sha256").hexdigest()
