"""How the app proves itself, and how Entra signs: client secret, client assertion, id_token signature."""

import base64
import json
import time
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509 import load_der_x509_certificate

from sandbox.world import App

KEY_ID = "sandbox-key"
_JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class TokenRefused(Exception):
    """The token endpoint refuses, with an AADSTS code."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


def check(app: App, form: dict[str, str], endpoint: str) -> None:
    """Raises `TokenRefused` with an AADSTS code."""
    if form.get("client_id") != app.client_id:
        raise TokenRefused(700016)
    if form.get("client_assertion_type") == _JWT_BEARER:
        _check_assertion(app, form.get("client_assertion", ""), endpoint)
    elif "client_secret" not in form:
        raise TokenRefused(7000218)
    elif form["client_secret"] != app.secret:
        raise TokenRefused(7000215)
    elif app.secret_expired:
        raise TokenRefused(7000222)


def _check_assertion(app: App, assertion: str, endpoint: str) -> None:
    """A PS256 JWT signed with the certificate that it names; any certificate counts as registered."""
    try:
        head, claims, signature = assertion.split(".")
        header, content = json.loads(_decoded(head)), json.loads(_decoded(claims))
        certificate = load_der_x509_certificate(base64.b64decode(header["x5c"][0]))
        key = certificate.public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        salted = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
        key.verify(_decoded(signature), f"{head}.{claims}".encode(), salted, hashes.SHA256())
    except (ValueError, KeyError, IndexError, AssertionError, InvalidSignature) as error:
        raise TokenRefused(700027) from error
    meant_for_us = content.get("aud") == endpoint and content.get("iss") == content.get("sub") == app.client_id
    if not meant_for_us or content.get("exp", 0) < time.time():
        raise TokenRefused(700027)


@lru_cache(maxsize=1)
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_key() -> dict[str, str]:
    numbers = _key().public_key().public_numbers()
    return {
        "kty": "RSA",
        "use": "sig",
        "kid": KEY_ID,
        "n": _encoded(numbers.n.to_bytes(256, "big")),
        "e": _encoded(numbers.e.to_bytes(3, "big")),
    }


def signed(claims: dict[str, Any]) -> str:
    """A JWT with RS256."""
    header = {"typ": "JWT", "alg": "RS256", "kid": KEY_ID}
    content = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
    return f"{content}.{_encoded(_key().sign(content.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
