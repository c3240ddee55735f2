"""Every address of the site × who asks for it × what the answer is.

Alice owns the mailbox, Bob has permission and a sequence from it, Carol has asked for permission, Ada is the admin,
Mallory is an admin elsewhere, and somebody has not signed in. An address without a row here fails the test.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.cookies import SimpleCookie
from typing import Any

import pytest
from django.contrib import admin
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from pytest_django.fixtures import Settings

from accounts.models import Invitation, Notification, User
from mailconnect.models import DelegationRequest, FirstEmailApproval
from sequences.models import CandidateImport, IncomingMail, Suppression
from tests.mailconnect.owning import connected, granted
from tests.sequences.permitting import running, sent

pytestmark = pytest.mark.django_db

TABLE = """
# method and address                          alice bob carol ada mallory nobody
GET  home                                     302 302 302 302 302 302
POST home                                     302 302 302 302 302 302
GET  accounts:invitation_gone                 410 410 410 410 410 410
GET  accounts:invitation                      302 302 302 302 302 302
GET  accounts:notifications                   200 200 200 200 200 302
POST accounts:read_all_notifications          302 302 302 302 302 302
POST accounts:read_notification               302 404 404 404 404 302
GET  accounts:profile                         200 200 200 200 200 302
POST accounts:profile                         200 200 200 200 200 302
GET  accounts:organization                    403 403 403 200 200 302
POST accounts:organization                    403 403 403 200 200 302
GET  accounts:audit                           403 403 403 200 200 302
GET  accounts:people                          403 403 403 200 200 302
GET  accounts:invite                          403 403 403 200 200 302
POST accounts:invite                          403 403 403 200 200 302
POST accounts:invite_again                    403 403 403 302 404 302
POST accounts:revoke_invitation               403 403 403 302 404 302
GET  accounts:person                          403 403 403 200 404 302
POST accounts:person                          403 403 403 200 404 302
GET  accounts:deactivate                      403 403 403 200 404 302
POST accounts:deactivate                      403 403 403 302 404 302
POST accounts:activate                        403 403 403 302 404 302
GET  sequences:candidates                     200 200 200 200 200 302
GET  sequences:new_candidate                  200 200 200 200 200 302
POST sequences:new_candidate                  200 200 200 200 200 302
POST sequences:enroll_selected                302 302 302 302 302 302
GET  sequences:candidate                      200 200 200 200 404 302
GET  sequences:edit_candidate                 200 200 200 200 404 302
POST sequences:edit_candidate                 200 200 200 200 404 302
POST sequences:suppress_candidate             302 302 302 302 404 302
POST sequences:allow_candidate                302 302 302 302 404 302
GET  sequences:erase_candidate                403 403 403 200 404 302
POST sequences:erase_candidate                403 403 403 302 404 302
GET  sequences:enroll                         403 200 403 200 404 302
POST sequences:enroll                         403 302 403 302 404 302
POST sequences:enroll_import                  403 404 403 404 404 302
GET  sequences:new_import                     200 200 200 200 200 302
POST sequences:new_import                     422 422 422 422 422 302
GET  sequences:import                         404 200 404 200 404 302
GET  sequences:import_progress                404 200 404 200 404 302
POST sequences:choose_columns                 404 302 404 302 404 302
POST sequences:start_import                   404 302 404 302 404 302
POST sequences:discard_import                 404 302 404 302 404 302
GET  sequences:refused_rows                   404 200 404 200 404 302
GET  sequences:sent_by_others                 200 200 200 200 200 302
GET  sequences:first_email                    200 404 404 404 404 302
POST sequences:answer_first_email             302 404 404 404 404 302
GET  sequences:hand_over                      404 404 404 200 404 302
POST sequences:hand_over                      404 404 404 200 404 302
GET  sequences:sequences_of                   404 404 404 200 404 302
GET  sequences:receipts                       200 200 200 200 200 302
GET  sequences:export_receipts                400 400 400 400 400 302
GET  sequences:list                           200 200 200 200 200 302
GET  sequences:new                            200 200 200 200 200 302
POST sequences:new                            200 200 200 200 200 302
GET  sequences:detail                         200 200 200 200 404 302
GET  sequences:emails                         200 200 200 200 404 302
GET  sequences:dry_run                        200 200 200 200 404 302
POST sequences:continue_held                  403 302 403 302 404 302
GET  sequences:settings                       403 200 403 200 404 302
POST sequences:settings                       403 200 403 200 404 302
GET  sequences:hours                          403 200 403 200 404 302
POST sequences:hours                          403 200 403 200 404 302
POST sequences:activate                       403 302 403 302 404 302
POST sequences:pause                          403 302 403 302 404 302
POST sequences:archive                        403 302 403 302 404 302
POST sequences:unarchive                      403 302 403 302 404 302
GET  sequences:sequence_replies               200 200 200 200 404 302
GET  sequences:steps                          200 200 200 200 404 302
GET  sequences:new_step                       403 200 403 200 404 302
POST sequences:new_step                       403 200 403 200 404 302
POST sequences:preview_step                   403 200 403 200 404 302
GET  sequences:edit_step                      403 200 403 200 404 302
POST sequences:edit_step                      403 200 403 200 404 302
POST sequences:move_step                      403 302 403 302 404 302
POST sequences:delete_step                    403 302 403 302 404 302
POST sequences:continue_enrollment            403 302 403 302 404 302
POST sequences:unenroll                       403 302 403 302 404 302
POST sequences:enroll_again                   403 302 403 302 404 302
GET  sequences:message                        200 200 200 200 404 302
POST sequences:decide                         403 302 403 302 404 302
POST sequences:try_again                      403 302 403 302 404 302
GET  sequences:suppressions                   200 200 200 200 200 302
POST sequences:suppressions                   200 200 200 200 200 302
POST sequences:remove_suppression             403 403 403 302 404 302
GET  sequences:replies                        200 200 200 200 200 302
POST sequences:correct_reply                  302 302 404 302 404 302
GET  mailconnect:settings                     200 200 200 200 200 302
POST mailconnect:connect                      302 302 302 302 302 302
GET  mailconnect:callback                     302 302 302 302 302 403
GET  mailconnect:refused                      200 200 200 200 200 302
GET  mailconnect:approval                     200 200 200 200 200 302
POST mailconnect:approval_asked               302 302 302 302 302 302
GET  mailconnect:approval_callback            200 200 200 200 200 200
GET  mailconnect:manage                       200 404 404 404 404 302
POST mailconnect:manage                       200 404 404 404 404 302
POST mailconnect:signature_from_sent_mail     302 404 404 404 404 302
POST mailconnect:default_mailbox              302 302 302 302 302 302
GET  mailconnect:permissions                  200 200 200 200 200 302
GET  mailconnect:grant                        200 404 404 404 404 302
POST mailconnect:grant                        200 404 404 404 404 302
GET  mailconnect:grant_team                   200 404 404 404 404 302
POST mailconnect:grant_team                   302 404 404 404 404 302
GET  mailconnect:overview                     404 404 404 200 200 302
GET  mailconnect:change_grant                 200 404 404 404 404 302
POST mailconnect:change_grant                 302 404 404 404 404 302
GET  mailconnect:revoke                       200 404 404 200 404 302
POST mailconnect:revoke                       302 404 404 302 404 302
GET  mailconnect:ask                          200 200 200 200 200 302
GET  mailconnect:ask_for                      200 200 200 200 404 302
POST mailconnect:ask_for                      302 302 302 302 404 302
GET  mailconnect:request                      200 404 200 404 404 302
POST mailconnect:approve_request              302 404 404 404 404 302
POST mailconnect:decline_request              302 404 404 404 404 302
POST mailconnect:withdraw_request             404 404 302 404 404 302
GET  mailconnect:remove                       200 404 404 404 404 302
POST mailconnect:remove                       302 404 404 404 404 302
GET  account_login                            302 302 302 302 302 200
POST account_login                            302 302 302 302 302 200
GET  account_logout                           200 200 200 200 200 302
POST account_logout                           302 302 302 302 302 302
GET  account_inactive                         200 200 200 200 200 200
GET  account_signup                           302 302 302 302 302 200
POST account_signup                           302 302 302 302 302 200
GET  account_reauthenticate                   200 200 200 200 200 302
POST account_reauthenticate                   200 200 200 200 200 302
GET  account_email                            200 200 200 200 200 302
POST account_email                            302 302 302 302 302 302
GET  account_email_verification_sent          302 302 302 302 302 302
POST account_email_verification_sent          302 302 302 302 302 302
GET  account_change_password                  200 200 200 200 200 302
POST account_change_password                  200 200 200 200 200 302
GET  account_set_password                     302 302 302 302 302 302
POST account_set_password                     302 302 302 302 302 302
GET  account_reset_password                   200 200 200 200 200 200
POST account_reset_password                   200 200 200 200 200 200
GET  account_confirm_login_code               302 302 302 302 302 302
POST account_confirm_login_code               302 302 302 302 302 302
GET  account_confirm_password_reset_code      302 302 302 302 302 302
POST account_confirm_password_reset_code      302 302 302 302 302 302
GET  account_complete_password_reset          302 302 302 302 302 302
POST account_complete_password_reset          302 302 302 302 302 302
GET  account_password_reset_completed         200 200 200 200 200 200
GET  mfa_index                                200 200 200 200 200 302
GET  mfa_authenticate                         302 302 302 302 302 302
POST mfa_authenticate                         302 302 302 302 302 302
GET  mfa_reauthenticate                       302 302 302 302 302 302
POST mfa_reauthenticate                       302 302 302 302 302 302
GET  mfa_activate_totp                        302 302 302 302 302 302
POST mfa_activate_totp                        302 302 302 302 302 302
GET  mfa_deactivate_totp                      404 404 404 404 404 302
POST mfa_deactivate_totp                      404 404 404 404 404 302
GET  mfa_view_recovery_codes                  404 404 404 404 404 302
GET  mfa_generate_recovery_codes              302 302 302 302 302 302
POST mfa_generate_recovery_codes              302 302 302 302 302 302
GET  mfa_download_recovery_codes              404 404 404 404 404 302
POST mfa_download_recovery_codes              404 404 404 404 404 302
GET  mfa_list_webauthn                        200 200 200 200 200 302
GET  mfa_add_webauthn                         302 302 302 302 302 302
POST mfa_add_webauthn                         302 302 302 302 302 302
GET  mfa_reauthenticate_webauthn              302 302 302 302 302 302
POST mfa_reauthenticate_webauthn              302 302 302 302 302 302
GET  mfa_remove_webauthn                      302 302 302 302 302 302
POST mfa_remove_webauthn                      302 302 302 302 302 302
GET  mfa_edit_webauthn                        302 302 302 302 302 302
POST mfa_edit_webauthn                        302 302 302 302 302 302
GET  mfa_login_webauthn                       302 302 302 302 302 302
POST mfa_login_webauthn                       302 302 302 302 302 302
"""


# What is sent with a POST, where nothing would be no answer.
SENT = {"sequences:correct_reply": {"kind": "reply"}}
PEOPLE = ("alice", "bob", "carol", "ada", "mallory", "nobody")


@dataclass
class World:
    """One thing of each kind that an address can name, as the keyword arguments of the addresses."""

    cookies: dict[str, SimpleCookie]  # of those who have signed in
    things: dict[str, dict[str, Any]]

    def arguments(self, name: str) -> dict[str, Any]:
        return self.things.get(name, {})


@pytest.fixture
def world(
    alice: User,
    bob: User,
    carol: User,
    ada: User,
    mallory: User,
    now: datetime,
    settings: Settings,
    client_of: Callable[[User], Client],
) -> World:
    settings.SANDBOX_URL = "http://127.0.0.1:9"  # nobody answers there: what asks Microsoft says so
    User.objects.filter(pk=mallory.pk).update(role=User.Role.ADMIN)
    mailbox = connected(alice, now)
    grant = granted(mailbox, bob)
    sequence = running(bob, mailbox)
    message = sent(sequence, now)
    pk = {
        "sequence": sequence.pk,
        "step": sequence.steps.get().pk,
        "enrollment": message.enrollment_id,
        "message": message.pk,
        "candidate": message.enrollment.candidate_id,
        "grant": grant.pk,
        "mailbox": mailbox.pk,
        "request": _made(DelegationRequest, connection=mailbox, requester=carol, lapses_at=now + timedelta(days=1)),
        "approval": _made(FirstEmailApproval, grant=grant, sequence_id=sequence.pk, message_key=message.key),
        "notification": _made(Notification, user=alice, kind="grant", title="A notice"),
        "import": _uploaded(client_of(bob)),
        "suppression": _made(Suppression, organization=bob.organization, email="gone@candidates.example"),
        "incoming": _made(
            IncomingMail,
            organization=bob.organization,
            connection=mailbox,
            message=message,
            enrollment=message.enrollment,
            sequence=sequence,
            internet_message_id="<1@candidates.example>",
            received_at=now,
            kind=IncomingMail.Kind.REPLY,
            because="it is",
        ),
        "invitation": _made(
            Invitation,
            organization=bob.organization,
            email="new@demo.example",
            invited_by=ada,
            token_hash="0" * 64,
            expires_at=now + timedelta(days=1),
        ),
    }
    cookies = {
        name: client_of(user).cookies for name, user in zip(PEOPLE, (alice, bob, carol, ada, mallory), strict=False)
    }
    return World(cookies | {"nobody": SimpleCookie()}, _arguments(pk, bob))


def _uploaded(client: Client) -> int:
    file = SimpleUploadedFile("people.csv", b"email,first name\ncora@candidates.example,Cora\n")
    client.post(reverse("sequences:new_import"), {"file": file})
    return int(CandidateImport.objects.get().pk)


def _made(model: Any, **fields: Any) -> int:
    return int(model.objects.create(**fields).pk)


def _arguments(pk: dict[str, int], bob: User) -> dict[str, dict[str, Any]]:
    """By the name of an address. Those of Bob's things, of Alice's mailbox, of Carol's request."""
    by_pk = {
        "notification": ["accounts:read_notification"],
        "invitation": ["accounts:invite_again", "accounts:revoke_invitation"],
        "candidate": [f"sequences:{name}_candidate" for name in ("edit", "suppress", "allow", "erase")]
        + ["sequences:candidate"],
        "import": [
            *("sequences:import", "sequences:import_progress", "sequences:choose_columns", "sequences:start_import"),
            *("sequences:discard_import", "sequences:refused_rows"),
        ],
        "approval": ["sequences:first_email", "sequences:answer_first_email"],
        "enrollment": ["sequences:continue_enrollment", "sequences:unenroll", "sequences:enroll_again"],
        "message": ["sequences:message", "sequences:decide", "sequences:try_again"],
        "suppression": ["sequences:remove_suppression"],
        "incoming": ["sequences:correct_reply"],
        "grant": ["mailconnect:change_grant", "mailconnect:revoke"],
        "request": ["mailconnect:request"]
        + [f"mailconnect:{verb}_request" for verb in ("approve", "decline", "withdraw")],
        "sequence": [
            f"sequences:{name}"
            for name in (
                *("hand_over", "enroll", "enroll_import", "detail", "emails", "dry_run", "continue_held", "settings"),
                *("hours", "activate", "pause", "archive", "unarchive", "sequence_replies", "steps", "new_step"),
                "preview_step",
            )
        ],
    }
    found: dict[str, dict[str, Any]] = {name: {"pk": pk[kind]} for kind, names in by_pk.items() for name in names}
    found |= {
        f"sequences:{verb}_step": {"pk": pk["sequence"], "step_pk": pk["step"]} for verb in ("edit", "move", "delete")
    }
    found |= {f"accounts:{name}": {"pk": bob.pk} for name in ("person", "deactivate", "activate")}
    return found | {
        "accounts:invitation": {"token": "guessed"},
        "sequences:sequences_of": {"user_pk": bob.pk},
        "mailconnect:grant": {"user_pk": bob.pk},
        "mailconnect:ask_for": {"connection_pk": pk["mailbox"]},
        "mailconnect:refused": {"reason": "other_address"},
        "mfa_remove_webauthn": {"pk": 1},
        "mfa_edit_webauthn": {"pk": 1},
    }


def addresses(within: list[Any], prefix: str = "") -> Iterator[str]:
    """The names of all addresses."""
    for each in within:
        if isinstance(each, URLResolver):
            yield from addresses(each.url_patterns, f"{prefix}{each.namespace}:" if each.namespace else prefix)
        elif isinstance(each, URLPattern) and each.name:
            yield f"{prefix}{each.name}"


def answers(method: str, name: str, world: World) -> str:
    """The status for each person, each asking a world that nobody has asked before."""
    found = []
    address, sent = reverse(name, kwargs=world.arguments(name)), SENT.get(name, {})
    for person in PEOPLE:
        with transaction.atomic():
            client = Client(raise_request_exception=False)
            client.cookies = deepcopy(world.cookies[person])
            answer = client.get(address) if method == "GET" else client.post(address, sent)
            found.append(str(answer.status_code))
            transaction.set_rollback(True)
    return " ".join(found)


def rows() -> dict[tuple[str, str], str]:
    """Method and name of the address → the answers to each of PEOPLE."""
    lines = [line.split() for line in TABLE.strip().splitlines() if not line.startswith("#")]
    return {(method, name): " ".join(statuses) for method, name, *statuses in lines}


def test_every_address_has_a_row() -> None:
    names = {name for name in addresses(get_resolver().url_patterns) if not name.startswith("admin:")}

    assert names - {name for _, name in rows()} == set(), "write down who may see these"
    assert {name for _, name in rows()} - names == set(), "these are gone"


def test_every_answer_is_as_written_down(world: World) -> None:
    wrong = {
        f"{method} {name}": f"{given}, not {expected}"
        for (method, name), expected in rows().items()
        if (given := answers(method, name, world)) != expected
    }

    assert wrong == {}


def test_the_admin_site_is_closed_to_members(world: World) -> None:
    models = admin.site._registry
    assert models
    for model in models:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
        assert answers("GET", name, world) == "302 302 302 302 302 302", name
    assert answers("GET", "admin:index", world) == "302 302 302 302 302 302"
