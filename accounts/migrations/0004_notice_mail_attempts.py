"""A notice that cannot be mailed is tried less and less often, then given up."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_unread_notifications_index")]

    operations = [
        migrations.AddField(
            model_name="notification",
            name="mail_attempts",
            field=models.PositiveSmallIntegerField(default=0, editable=False),
        )
    ]
