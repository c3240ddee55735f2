"""The audit page is filtered by person and by action."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_notice_mail_attempts")]

    operations = [
        migrations.AddIndex(
            model_name="auditevent",
            index=models.Index(fields=["organization", "actor", "-created_at"], name="audit_by_person"),
        ),
        migrations.AddIndex(
            model_name="auditevent",
            index=models.Index(fields=["organization", "action", "-created_at"], name="audit_by_action"),
        ),
    ]
