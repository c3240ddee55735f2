"""The bell counts on every page."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_stop_for_colleagues")]

    operations = [
        migrations.AddIndex(
            model_name="notification",
            index=models.Index(fields=["user"], condition=Q(read_at=None), name="notifications_unread"),
        )
    ]
