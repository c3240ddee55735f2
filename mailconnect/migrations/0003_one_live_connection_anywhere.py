"""A mailbox is live in one organization at most."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mailconnect", "0002_drop_flow_purpose")]

    operations = [
        migrations.AddConstraint(
            model_name="mailconnection",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "removed"), _negated=True),
                fields=("tenant_id", "object_id"),
                name="one_live_connection_anywhere",
            ),
        )
    ]
