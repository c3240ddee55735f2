"""An encrypted column: Fernet with a list of keys, the first encrypts, all decrypt."""

from typing import Any

from django.db import models
from fernet_fields import EncryptedTextField


class EncryptedText(EncryptedTextField):  # type: ignore[misc]
    """Text that the database holds only encrypted.

    The parent would encrypt the SQL text of an expression in `bulk_update()` and `update(F())`: those pass through.
    """

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if hasattr(value, "resolve_expression"):
            return value
        return super().get_db_prep_save(value, connection)

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, _, args, kwargs = models.TextField.deconstruct(self)
        return name, "mailconnect.encryption.EncryptedText", args, kwargs
