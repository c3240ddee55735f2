"""Re-encrypt everything under the first of `FERNET_KEYS`, so that the others can be taken away."""

from collections import Counter
from collections.abc import Iterator

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import connection as database
from django.db.models import Model
from fernet_fields.hkdf import derive_fernet_key

from accounts import second_factor
from mailconnect.encryption import EncryptedText
from mailconnect.models import ConsentFlow, TokenCache

ROWS_AT_A_TIME = 500


def unreadable() -> int:
    """How many stored values no key of `FERNET_KEYS` can read."""
    keys = MultiFernet([Fernet(derive_fernet_key(key)) for key in settings.FERNET_KEYS])
    return sum(not _readable(value, keys) for column in _columns() for _, value in column.values())


def _readable(ciphertext: bytes, keys: MultiFernet) -> bool:
    try:
        keys.decrypt(ciphertext)
    except InvalidToken:
        return False
    return True


def rotate() -> Counter[str]:
    """Counts of values by outcome: `rotated`, `current`, `overtaken` (a refresh was quicker), `unreadable`."""
    keys = [Fernet(derive_fernet_key(key)) for key in settings.FERNET_KEYS]
    outcomes = second_factor.rotate()
    for column in _columns():
        outcomes.update(_rotated(column, pk, value, keys) for pk, value in column.values())
    return outcomes


def _columns() -> "Iterator[_Column]":
    for model in (TokenCache, ConsentFlow):
        for field in model._meta.fields:
            if isinstance(field, EncryptedText):
                yield _Column(model, field)


def _rotated(column: "_Column", pk: int, ciphertext: bytes, keys: list[Fernet]) -> str:
    try:
        keys[0].decrypt(ciphertext)
    except InvalidToken:
        try:
            renewed = MultiFernet(keys).rotate(ciphertext)
        except InvalidToken:
            return "unreadable"
        return "rotated" if column.replace(pk, ciphertext, renewed) else "overtaken"
    return "current"


class _Column:
    """The ciphertexts of a column as they are stored: the field itself would decrypt them."""

    def __init__(self, model: type[Model], field: EncryptedText) -> None:
        quote = database.ops.quote_name
        self._table = quote(model._meta.db_table)
        self._pk = quote(model._meta.pk.attname)
        self._column = quote(field.attname)

    def values(self) -> Iterator[tuple[int, bytes]]:
        last = -1
        while True:
            with database.cursor() as cursor:
                cursor.execute(
                    f"SELECT {self._pk}, {self._column} FROM {self._table} "  # noqa: S608 - names of our own tables
                    f"WHERE {self._pk} > %s ORDER BY {self._pk} LIMIT {ROWS_AT_A_TIME}",
                    [last],
                )
                rows = cursor.fetchall()
            if not rows:
                return
            yield from ((pk, bytes(value)) for pk, value in rows)
            last = rows[-1][0]

    def replace(self, pk: int, before: bytes, after: bytes) -> bool:
        """Compare and swap: what a refresh has written meanwhile is newer than what we hold."""
        binary = database.Database.Binary  # type: ignore[attr-defined]
        with database.cursor() as cursor:
            cursor.execute(
                f"UPDATE {self._table} SET {self._column} = %s "  # noqa: S608 - names of our own tables
                f"WHERE {self._pk} = %s AND {self._column} = %s",
                [binary(after), pk, binary(before)],
            )
            return bool(cursor.rowcount)
