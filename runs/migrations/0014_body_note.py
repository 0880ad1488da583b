from django.db import migrations, models


class Migration(migrations.Migration):
    """A word about a body that is kept as it came. Nullable and without a default: no row is touched."""

    dependencies = [
        ('runs', '0013_database_mark'),
    ]

    operations = [
        migrations.AddField(model_name='run', name='body_note', field=models.TextField(null=True)),
    ]
