"""The database itself refuses to change or delete an audit event.

A later migration that alters the table must run `protect` again: on SQLite Django rebuilds the table, and the triggers
go with the old one.
"""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

TABLE = "accounts_auditevent"
SQLITE = """
CREATE TRIGGER IF NOT EXISTS audit_refuses_{lower} BEFORE {verb} ON {table}
BEGIN SELECT RAISE(ABORT, 'audit events are append-only'); END
"""
POSTGRESQL = f"""
CREATE OR REPLACE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'audit events are append-only' USING ERRCODE = 'restrict_violation'; END $$;
CREATE OR REPLACE TRIGGER audit_refuses_change BEFORE UPDATE OR DELETE ON {TABLE}
FOR EACH ROW EXECUTE FUNCTION refuse_audit_change();
"""


def protect(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRESQL)
        return
    for verb in ("UPDATE", "DELETE"):
        schema_editor.execute(SQLITE.format(verb=verb, lower=verb.lower(), table=TABLE))


def release(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP TRIGGER audit_refuses_change ON {TABLE}; DROP FUNCTION refuse_audit_change();")
        return
    for verb in ("update", "delete"):
        schema_editor.execute(f"DROP TRIGGER audit_refuses_{verb}")


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_audit_indexes")]

    operations = [migrations.RunPython(protect, release)]
