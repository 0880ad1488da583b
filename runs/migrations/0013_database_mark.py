from django.db import migrations, models

_MARK = "INSERT INTO runs_databasemark (id, transaction) VALUES (1, pg_current_xact_id()::xid::text)"


class Migration(migrations.Migration):
    """The database that is migrated is the one that fires; a copy of it from a dump is not, until somebody says so."""

    dependencies = [
        ('runs', '0012_heartbeat_clocks'),
    ]

    operations = [
        migrations.CreateModel(
            name='DatabaseMark',
            fields=[
                ('id', models.SmallIntegerField(primary_key=True, serialize=False)),
                ('transaction', models.CharField(max_length=20)),
            ],
        ),
        migrations.AddConstraint(
            model_name='databasemark',
            constraint=models.CheckConstraint(condition=models.Q(('id', 1)), name='database_mark_only_one'),
        ),
        migrations.RunSQL(_MARK, reverse_sql=migrations.RunSQL.noop),
    ]
