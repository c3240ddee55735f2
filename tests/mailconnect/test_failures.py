"""What Entra's refusals mean: for the owner, for the operator, or for time to mend."""

import re
from typing import Any

import pytest

from mailconnect.microsoft.errors import MicrosoftError, MicrosoftUnavailable, OperatorProblem, ReconnectNeeded
from mailconnect.microsoft.identity import failure
from mailconnect.reasons import OPERATOR, SENTENCES


def answer(error: str, *codes: int, **more: Any) -> dict[str, Any]:
    return {"error": error, "error_codes": list(codes), "error_description": "Trace ID: 1", **more}


@pytest.mark.parametrize(
    ("refusal", "kind", "reason"),
    [
        (answer("invalid_grant", 700082), ReconnectNeeded, "connection_expired"),
        (answer("invalid_grant", 50173), ReconnectNeeded, "access_revoked"),
        (answer("invalid_grant", 50076, suberror="basic_action"), ReconnectNeeded, "security_check"),
        (answer("invalid_grant", 53003), ReconnectNeeded, "conditional_access"),
        (answer("invalid_grant", 50057), ReconnectNeeded, "account_disabled"),
        (answer("invalid_grant", 65001, suberror="consent_required"), ReconnectNeeded, "consent_missing"),
        (answer("invalid_grant", suberror="consent_required"), ReconnectNeeded, "consent_missing"),
        (answer("invalid_grant", 999999), ReconnectNeeded, "sign_in_again"),
        (answer("invalid_client", 7000215), OperatorProblem, "secret_wrong"),
        (answer("invalid_client", 7000222), OperatorProblem, "secret_expired"),
        (answer("invalid_client"), OperatorProblem, "credential_refused"),
        (answer("unauthorized_client", 700016), OperatorProblem, "app_unknown"),
        (answer("invalid_grant", 50196), MicrosoftUnavailable, "microsoft_unavailable"),
        (answer("temporarily_unavailable"), MicrosoftUnavailable, "microsoft_unavailable"),
        (answer("something_new"), MicrosoftUnavailable, "microsoft_unavailable"),
        ({"error": "access_denied", "error_description": ""}, ReconnectNeeded, "approval_needed"),
        ({"error": "access_denied", "error_description": "AADSTS90095: x"}, ReconnectNeeded, "approval_requested"),
    ],
)
def test_have_a_kind_and_a_reason(refusal: dict[str, Any], kind: type[MicrosoftError], reason: str) -> None:
    error = failure(refusal)

    assert (type(error), error.reason) == (kind, reason)


def test_never_blame_the_owner_for_our_secret_whatever_else_is_said() -> None:
    assert isinstance(failure(answer("invalid_grant", 7000222, 50173)), OperatorProblem)


@pytest.mark.parametrize("reason", SENTENCES)
def test_have_a_sentence_and_a_next_step_that_never_say_the_person_declined(reason: str) -> None:
    for text in SENTENCES[reason]:
        assert re.search(r"^[A-Z].+[.:]?.*\.$", text)
        assert "declin" not in text


@pytest.mark.parametrize("reason", OPERATOR)
def test_of_ours_have_a_sentence_for_people_too(reason: str) -> None:
    assert "on our side" in SENTENCES[reason][0]
