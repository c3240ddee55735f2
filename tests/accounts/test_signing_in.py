"""Signing in: password, second factor, reset, limits, and who cannot."""

from collections.abc import Callable
from datetime import datetime

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from accounts import leaving, second_factor
from accounts.models import User
from tests.accounts.conftest import verified
from tests.accounts.mails import code_in, last_mail_to
from tests.conftest import PASSWORD

SIGN_IN = reverse("account_login")
RESET = reverse("account_reset_password")
PROFILE = reverse("accounts:profile")


def _sign_in(client: Client, user: User, password: str = PASSWORD) -> str:
    """Returns where it leads, or nothing."""
    answer = client.post(SIGN_IN, {"login": user.email, "password": password})
    return answer.get("Location", "")


def _is_in(client: Client) -> bool:
    return bool(client.get(PROFILE).status_code == 200)


def _totp(secret: str) -> str:
    return str(format_hotp_value(hotp_value(secret, next(yield_hotp_counters_from_time()))))


def _set_up_app(client: Client) -> str:
    """Scan, type the code; the password is asked for again first. Returns the secret."""
    activate = reverse("mfa_activate_totp")
    again = client.get(activate)
    client.post(again["Location"], {"password": PASSWORD})
    client.get(activate)
    secret: str = client.session["mfa.totp.secret"]
    client.post(activate, {"code": _totp(secret)})
    return secret


def test_needs_no_code_with_a_verified_address(client: Client, verified_alice: User) -> None:
    _sign_in(client, verified_alice)

    assert _is_in(client)


def test_asks_for_the_code_while_the_address_is_not_verified(client: Client, alice: User) -> None:
    assert _sign_in(client, alice) == reverse("account_email_verification_sent")

    assert not _is_in(client)


def test_asks_for_the_authenticator_app_once_it_is_set_up(client: Client, verified_alice: User) -> None:
    _sign_in(client, verified_alice)
    _set_up_app(client)
    assert Authenticator.objects.filter(user=verified_alice, type=Authenticator.Type.TOTP).exists()

    other = Client()
    assert _sign_in(other, verified_alice) == reverse("mfa_authenticate")
    assert not _is_in(other)
    other.post(reverse("mfa_authenticate"), {"code": "000000"})
    assert not _is_in(other)
    # The same code is not taken twice, so a recovery code stands in for the next half minute.
    recovery = Authenticator.objects.get(user=verified_alice, type=Authenticator.Type.RECOVERY_CODES)
    other.post(reverse("mfa_authenticate"), {"code": RecoveryCodes(recovery).get_unused_codes()[0]})
    assert _is_in(other)


def test_says_in_our_words_what_each_page_of_the_second_factor_does(client: Client, verified_alice: User) -> None:
    _sign_in(client, verified_alice)
    _set_up_app(client)
    titles = {
        "mfa_view_recovery_codes": "Recovery codes",
        "mfa_generate_recovery_codes": "Make recovery codes",
        "mfa_deactivate_totp": "Turn off the authenticator app",
        "mfa_add_webauthn": "Add a passkey or security key",
        "mfa_reauthenticate": "Confirm that it is you",
        "mfa_reauthenticate_webauthn": "Confirm that it is you",
    }

    pages = {name: client.get(reverse(name), follow=True).content.decode() for name in titles}

    assert [name for name, title in titles.items() if f"<h1>{title}</h1>" not in pages[name]] == []
    assert [name for name, page in pages.items() if reverse("mfa_index") not in page] == []  # the way back


def test_keeps_the_second_factor_unreadable_at_rest(client: Client, verified_alice: User) -> None:
    _sign_in(client, verified_alice)

    secret = _set_up_app(client)

    stored = Authenticator.objects.get(user=verified_alice, type=Authenticator.Type.TOTP).data["secret"]
    assert secret not in stored
    assert get_adapter().decrypt(stored) == secret


def test_resets_a_password_by_code(client: Client, verified_alice: User) -> None:
    client.post(RESET, {"email": verified_alice.email})
    code = code_in(last_mail_to(verified_alice.email))
    client.post(reverse("account_confirm_password_reset_code"), {"code": code})
    new = "another quiet pass phrase"

    client.post(reverse("account_complete_password_reset"), {"password1": new, "password2": new})

    assert _sign_in(Client(), verified_alice) == ""
    _sign_in(other := Client(), verified_alice, new)
    assert _is_in(other)


def test_tells_nobody_which_addresses_have_an_account(verified_alice: User) -> None:
    answers = []
    for email in (verified_alice.email, "nobody@demo.example"):
        reset = Client().post(RESET, {"email": email})
        login = Client().post(SIGN_IN, {"login": email, "password": "wrong wrong wrong"})
        page = login.content.decode().replace(email, "…")
        answers.append((reset.status_code, reset["Location"], login.status_code, _without_tokens(page)))

    assert answers[0] == answers[1]


def _without_tokens(page: str) -> str:
    return "\n".join(line for line in page.splitlines() if "csrf" not in line.lower())


@pytest.mark.parametrize(
    ("path", "sent", "most"),
    [
        (SIGN_IN, {"login": "alice@demo.example", "password": "wrong wrong wrong"}, 31),
        (RESET, {"email": "alice@demo.example"}, 6),
        (reverse("account_signup"), {"email": "x"}, 21),
    ],
)
def test_limits_attempts(client: Client, verified_alice: User, path: str, sent: dict[str, str], most: int) -> None:
    answers = [client.post(path, sent) for _ in range(most)]

    assert answers[-1].status_code == 429
    assert "Too many attempts" in answers[-1].content.decode()


def test_refuses_the_right_password_after_five_wrong_ones(client: Client, verified_alice: User) -> None:
    for _ in range(6):
        _sign_in(client, verified_alice, "wrong wrong wrong")

    _sign_in(client, verified_alice)

    assert not _is_in(client)


def test_counts_attempts_for_all_browsers_together(verified_alice: User) -> None:
    answers = [Client().post(RESET, {"email": verified_alice.email}) for _ in range(6)]

    assert answers[-1].status_code == 429


def test_shows_a_deactivated_person_why(client: Client, verified_alice: User, now: datetime) -> None:
    leaving.deactivate(user=verified_alice, actor=None, now=now)

    answer = client.post(SIGN_IN, {"login": verified_alice.email, "password": PASSWORD}, follow=True)

    assert "Your account is deactivated" in answer.content.decode()
    assert not _is_in(client)


def test_ends_the_sessions_of_a_deactivated_person(
    client_of: Callable[[User], Client], alice: User, ada: User, now: datetime
) -> None:
    session = client_of(alice)
    assert _is_in(session)

    leaving.deactivate(user=alice, actor=ada, now=now)

    assert not _is_in(session)


def test_enters_the_admin_through_the_same_door(client: Client, ada: User) -> None:
    ada.is_staff = ada.is_superuser = True
    ada.save()
    verified(ada)

    answer = client.get(reverse("admin:index"), follow=True)
    assert answer.redirect_chain[-1][0].startswith(SIGN_IN)

    _sign_in(client, ada)
    assert client.get(reverse("admin:index")).status_code == 200


def test_changes_the_address_only_after_the_code(client: Client, verified_alice: User) -> None:
    _sign_in(client, verified_alice)
    change = reverse("account_email")
    again = client.post(change, {"email": "alice@new.example", "action_add": ""})
    client.post(again["Location"], {"password": PASSWORD})
    client.post(change, {"email": "alice@new.example", "action_add": ""})
    verified_alice.refresh_from_db()
    assert verified_alice.email == "alice@demo.example"

    code = code_in(last_mail_to("alice@new.example"))
    client.post(reverse("account_email_verification_sent"), {"code": code})

    verified_alice.refresh_from_db()
    assert verified_alice.email == "alice@new.example"
    assert not _sign_in(Client(), User(email="alice@demo.example"))


def test_takes_no_address_of_somebody_else(client: Client, verified_alice: User, bob: User) -> None:
    _sign_in(client, verified_alice)
    change = reverse("account_email")
    again = client.post(change, {"email": bob.email, "action_add": ""})
    client.post(again["Location"], {"password": PASSWORD})

    client.post(change, {"email": bob.email, "action_add": ""})

    verified_alice.refresh_from_db()
    assert verified_alice.email == "alice@demo.example"
    assert not EmailAddress.objects.filter(email=bob.email, verified=True).exists()


@pytest.mark.parametrize("in_front", [True, False])
def test_changes_the_key_of_the_second_factor(
    client: Client, verified_alice: User, settings: Settings, in_front: bool
) -> None:
    _sign_in(client, verified_alice)
    secret = _set_up_app(client)
    old, new = settings.FERNET_KEYS[0], "a new key, random and long enough for everything"
    settings.FERNET_KEYS = [new, old] if in_front else [old, new]

    outcomes = second_factor.rotate()

    settings.FERNET_KEYS = [new] if in_front else [old]
    stored = Authenticator.objects.get(type=Authenticator.Type.TOTP).data["secret"]
    assert get_adapter().decrypt(stored) == secret
    assert outcomes == ({"rotated": 2} if in_front else {"current": 2})


def test_says_nothing_of_success(client: Client, verified_alice: User) -> None:
    answer = client.post(SIGN_IN, {"login": verified_alice.email, "password": PASSWORD})
    page = client.get(answer["Location"], follow=True).content.decode()

    assert "uccessfully" not in page
