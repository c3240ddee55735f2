"""Search by the beginning of an address or a name, in any case, in milliseconds among millions.

PostgreSQL wants `text_pattern_ops` for LIKE 'abc%' under any collation; SQLite compares bytes, and its unique index
over the lower-case address serves already.
"""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

INDEXES = {
    "candidates_by_email": "lower(email){}",
    "candidates_by_last_name": "lower(last_name){}, lower(first_name){}",
    "candidates_by_first_name": "lower(first_name){}",
}


def add_indexes(apps: object, schema_editor: BaseDatabaseSchemaEditor) -> None:
    postgres = schema_editor.connection.vendor == "postgresql"
    for name, columns in INDEXES.items():
        if postgres or name != "candidates_by_email":
            columns = columns.replace("{}", " text_pattern_ops" if postgres else "")
            schema_editor.execute(f"CREATE INDEX {name} ON sequences_candidate (organization_id, {columns})")


def drop_indexes(apps: object, schema_editor: BaseDatabaseSchemaEditor) -> None:
    for name in INDEXES:
        schema_editor.execute(f"DROP INDEX IF EXISTS {name}")


class Migration(migrations.Migration):
    dependencies = [("sequences", "0004_import_progress")]

    operations = [
        migrations.RemoveIndex("candidate", "candidates_by_name"),
        migrations.RunPython(add_indexes, drop_indexes),
    ]
