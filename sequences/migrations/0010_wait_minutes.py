from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('sequences', '0009_erase_candidates'),
    ]

    operations = [
        migrations.AlterField(
            model_name='step',
            name='delay_unit',
            field=models.CharField(choices=[('minutes', 'minutes'), ('hours', 'hours'), ('days', 'days'), ('business_days', 'business days')], default='business_days', max_length=14),
        ),
    ]
