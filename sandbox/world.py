"""Everything that the stand-in knows, behind one lock."""

import secrets
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from sandbox.directory import Account, Tenant, account, seed_accounts, seed_tenants
from sandbox.faults import Fault
from sandbox.mailbox import Mailbox
from sandbox.store import Store

CLIENT_ID = "00000000-0000-4000-8000-00000000c0de"
CLIENT_SECRET = "sandbox-secret"  # noqa: S105
CALLS_KEPT = 20_000

# How a mailbox behaves: for all, or for one account.
KNOBS: dict[str, Any] = {
    "settle_seconds": 1.0,  # from Drafts to Sent Items; negative: not before settle_now
    "search_lag_seconds": 0.0,  # before a filter finds what has changed
    "id_changes_on_send": False,
    "reply_ignores_message": False,  # createReply takes no notice of the message it is given
    "repeated_send": "accept",  # of what was submitted before: accept (a second mail leaves) or refuse
    "calls_at_once": 4,
    "sends_per_minute": 0,  # the surplus waits its turn; 0: no limit (Exchange: 30)
    "recipients_per_day": 0,  # the surplus bounces with 5.7.233; 0: no limit
    "bouncing": [],  # addresses that do not exist
    "hides_internal_auto_replies": False,  # from delta and listings, as was reported of Exchange
    "replays_delta_pages": False,
    "shuffles_delta_pages": False,
    "token_seconds": 0,  # life of access tokens; 0: an hour or more, at random
    "latency_seconds": 0.0,  # before every answer of Graph
    "personal_accounts_pass": False,  # `organizations` lets them through
}


@dataclass
class App:
    """The one app registration."""

    client_id: str = CLIENT_ID
    secret: str = CLIENT_SECRET
    secret_expired: bool = False
    single_tenant: bool = False
    redirect_uris: list[str] = field(default_factory=list)  # none: any on the loopback interface


@dataclass
class Call:
    """One request to Graph or to the token endpoint, for those who judge afterwards."""

    account: str
    call: str
    method: str
    path: str
    started_at: float
    status: int = 0  # 0: not answered
    key: str = ""
    fault: str = ""
    ended_at: float = 0.0


@dataclass
class Grant:
    """What an access or refresh token stands for."""

    account: str
    scopes: list[str]
    issued_at: float
    expires_at: float = 0.0


class World:
    def __init__(self, store: Store, app: App) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)  # something was submitted
        self.store = store
        self.app = app
        self._first_app = dict(vars(app))
        self._numbers = count(1)
        self._forget()
        self._load()
        if not self.accounts:
            self.reset()

    # --- Beginning --------------------------------------------------------------------------------------------------
    def reset(self) -> None:
        """Back to the seed accounts, with empty mailboxes."""
        with self.lock, self.store.together():
            self.store.clear()
            self._forget()
            vars(self.app).update(self._first_app)
            for tenant in seed_tenants():
                self.tenants[tenant.id] = tenant
                self.save_tenant(tenant)
            for person in seed_accounts():
                self.add_account(person)

    def _forget(self) -> None:
        self.tenants: dict[str, Tenant] = {}
        self.accounts: dict[str, Account] = {}
        self._by_address: dict[str, Account] = {}
        self.mailboxes: dict[str, Mailbox] = {}
        self.faults: dict[str, list[Fault]] = {}
        self.calls: deque[Call] = deque(maxlen=CALLS_KEPT)
        self.in_flight: dict[str, int] = {}
        self.codes: dict[str, dict[str, Any]] = {}
        self.access_tokens: dict[str, Grant] = {}
        self.refresh_tokens: dict[str, Grant] = {}
        self.approval_requests: dict[str, dict[str, Any]] = {}
        self.knobs: dict[str, Any] = dict(KNOBS)

    def _load(self) -> None:
        for _, content in self.store.all("tenant"):
            tenant = Tenant(**_known(Tenant, content))
            self.tenants[tenant.id] = tenant
        for _, content in self.store.all("account"):
            self._know(Account(**_known(Account, content)))
        for kind, tokens in (("access", self.access_tokens), ("refresh", self.refresh_tokens)):
            tokens.update({token: Grant(**content) for token, content in self.store.all(kind)})
        for _, content in self.store.all("fault"):
            self.faults.setdefault(content["account"], []).append(Fault(**_known(Fault, content)))
        for identity, content in self.store.all("approval"):
            self.approval_requests[identity] = content
        for identity, content in self.store.all("world"):
            if identity == "knobs":
                self.knobs |= content
            else:
                vars(self.app).update(_known(App, content))
        for mailbox in self.mailboxes.values():
            mailbox.load()

    # --- Accounts ---------------------------------------------------------------------------------------------------
    def add_account(self, person: Account) -> None:
        self._know(person)
        self.save_account(person)

    def add_crowd(self, number: int, tenant: str, *, prefix: str = "sender") -> list[Account]:
        """Many ordinary members, for load tests."""
        domain = self.tenants[tenant].domain
        crowd = [account(tenant, f"{prefix}{place}@{domain}", f"Sender {place}") for place in range(1, number + 1)]
        with self.lock, self.store.together():
            for person in crowd:
                self.add_account(person)
        return crowd

    def _know(self, person: Account) -> None:
        self.accounts[person.id] = person
        for address in person.addresses:
            self._by_address[address.lower()] = person
        if person.has_mailbox and person.id not in self.mailboxes:
            self.mailboxes[person.id] = Mailbox(person.id, self.store)

    def account_at(self, address: str) -> Account | None:
        return self._by_address.get(address.lower())

    def save_account(self, person: Account) -> None:
        self.store.put("account", person.id, vars(person))

    def save_tenant(self, tenant: Tenant) -> None:
        self.store.put("tenant", tenant.id, vars(tenant))

    def approve(self, tenant: Tenant, scopes: Iterable[str]) -> None:
        """An administrator grants for everybody in the tenant; that settles what its people have asked for."""
        tenant.approved = sorted({*tenant.approved, *scopes})
        self.save_tenant(tenant)
        for identity, wish in list(self.approval_requests.items()):
            if self.accounts[wish["account"]].tenant == tenant.id:
                del self.approval_requests[identity]
                self.store.drop("approval", identity)

    def save_app(self) -> None:
        self.store.put("world", "app", vars(self.app))

    # --- Knobs ------------------------------------------------------------------------------------------------------
    def knob(self, person: str, name: str) -> Any:
        own = self.accounts[person].knobs
        return own[name] if name in own else self.knobs[name]

    def turn(self, changes: dict[str, Any], person: Account | None = None) -> None:
        """Set knobs, for one account or for all."""
        if person:
            person.knobs |= changes
            self.save_account(person)
        else:
            self.knobs |= changes
            self.store.put("world", "knobs", self.knobs)
        self.changed.notify_all()

    # --- Tokens -----------------------------------------------------------------------------------------------------
    def issue_access(self, person: Account, scopes: list[str], seconds: float) -> str:
        token = f"EwB{secrets.token_urlsafe(48)}"
        now = time.time()
        self._keep_token("access", self.access_tokens, token, Grant(person.id, scopes, now, now + seconds))
        return token

    def issue_refresh(self, person: Account, scopes: list[str]) -> str:
        token = f"0.AX{secrets.token_urlsafe(64)}"
        self._keep_token("refresh", self.refresh_tokens, token, Grant(person.id, scopes, time.time()))
        return token

    def _keep_token(self, kind: str, tokens: dict[str, Grant], token: str, grant: Grant) -> None:
        tokens[token] = grant
        self.store.put(kind, token, vars(grant))

    def sign_out(self, person: Account, *, access: bool) -> None:
        """Refresh tokens from before no longer count, and with `access` access tokens neither."""
        person.signed_out_at = time.time()
        self.save_account(person)
        if access:
            self._drop_access(person)

    def _drop_access(self, person: Account) -> None:
        for token in [token for token, grant in self.access_tokens.items() if grant.account == person.id]:
            del self.access_tokens[token]
            self.store.drop("access", token)

    # --- Faults -----------------------------------------------------------------------------------------------------
    def add_fault(self, **content: Any) -> Fault:
        fault = Fault(id=f"{time.time_ns()}-{next(self._numbers)}", **content)
        self.faults.setdefault(fault.account, []).append(fault)
        self.store.put("fault", fault.id, vars(fault))
        return fault

    def drop_faults(self, person: str = "", identity: str = "") -> None:
        """All of them, those of one account, or one."""
        for fault in list(self.all_faults()):
            if person in ("", fault.account) and identity in ("", fault.id):
                self.faults[fault.account].remove(fault)
                self.store.drop("fault", fault.id)

    def all_faults(self) -> Iterator[Fault]:
        for faults in self.faults.values():
            yield from faults

    def next_fault(self, person: str, call: str) -> Fault | None:
        """The fault that this call meets, counted down."""
        for fault in self.faults.get(person, ()):
            if not fault.takes(call):
                continue
            if fault.skip:
                fault.skip -= 1
                self.store.put("fault", fault.id, vars(fault))
                continue
            if fault.times > 0:
                fault.times -= 1
            self._settle_fault(fault)
            return fault
        return None

    def _settle_fault(self, fault: Fault) -> None:
        if fault.times == 0:
            self.faults[fault.account].remove(fault)
            self.store.drop("fault", fault.id)
        else:
            self.store.put("fault", fault.id, vars(fault))


def _known(kind: type, content: dict[str, Any]) -> dict[str, Any]:
    """What a row says that is still known: a newer program may have dropped a field."""
    return {name: value for name, value in content.items() if name in kind.__dataclass_fields__}  # type: ignore[attr-defined]
