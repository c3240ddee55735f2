"""The secrets of authenticator apps and recovery codes are encrypted, with the keys that encrypt mailbox tokens."""

from collections import Counter
from typing import Any

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import transaction
from fernet_fields.hkdf import derive_fernet_key


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    def encrypt(self, text: str) -> str:
        return MultiFernet(_keys()).encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return MultiFernet(_keys()).decrypt(encrypted_text).decode()


def rotate() -> Counter[str]:
    """Re-encrypt under the first of FERNET_KEYS. Counts of secrets by outcome: `rotated`, `current`, `unreadable`."""
    outcomes: Counter[str] = Counter()
    kept_secrets = Authenticator.objects.exclude(type=Authenticator.Type.WEBAUTHN)
    for pk in kept_secrets.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            authenticator = Authenticator.objects.select_for_update().filter(pk=pk).first()
            if authenticator:
                outcomes[_rotated(authenticator)] += 1
    return outcomes


def _rotated(authenticator: Authenticator) -> str:
    """`migrated_codes` is a list, `secret` and `seed` are text; what else is in there is no secret."""
    keys = _keys()
    data: dict[str, Any] = authenticator.data
    tokens = [data[name] for name in ("secret", "seed") if name in data] + data.get("migrated_codes", [])
    if all(_opens(keys[0], token) for token in tokens):
        return "current"
    try:
        renewed = {token: MultiFernet(keys).rotate(token.encode()).decode() for token in tokens}
    except InvalidToken:
        return "unreadable"
    for name in ("secret", "seed"):
        if name in data:
            data[name] = renewed[data[name]]
    if "migrated_codes" in data:
        data["migrated_codes"] = [renewed[token] for token in data["migrated_codes"]]
    authenticator.save(update_fields=["data"])
    return "rotated"


def _opens(key: Fernet, token: str) -> bool:
    try:
        key.decrypt(token)
    except InvalidToken:
        return False
    return True


def _keys() -> list[Fernet]:
    return [Fernet(derive_fernet_key(key)) for key in settings.FERNET_KEYS]
