"""Callbacks: rows that the statements which end executions insert, whichever process runs them."""

import core.ids
import django.db.models.deletion
from django.db import migrations, models

#: As `core.ids.uuid7`: PostgreSQL has one of its own from 18 on only.
_UUID7 = """
CREATE FUNCTION runs_uuid7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                PLACING substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                FROM 1 FOR 6),
            52, 1), 53, 1),
        'hex')::uuid
$$;
CREATE SEQUENCE runs_callback_sequence;
"""
_NO_UUID7 = """
DROP SEQUENCE runs_callback_sequence;
DROP FUNCTION runs_uuid7();
"""
#: What ended in one statement, as in 0008.
_SLIPS = """
    INSERT INTO runs_endedslip
        (environment_id, hour, job_environments, minutes, outcomes, occurrences, durations, lateness)
    SELECT ended.environment_id, date_trunc('hour', ended.due_at, 'UTC'), array_agg(ended.job_environment_id),
           array_agg(extract(minute FROM ended.due_at AT TIME ZONE 'UTC')::smallint), array_agg((ended.facet % 10)::smallint),
           array_agg({occurrences}::bigint),
           array_agg(CASE WHEN ended.status IN ('succeeded', 'failed')
                          THEN runs_bin(ended.finished_at - ended.started_at) END),
           array_agg(runs_bin(ended.started_at - ended.scheduled_for - ended.jitter_ms * interval '1 millisecond'))
      FROM {ended}
     GROUP BY 1, 2
"""
_MADE = _SLIPS.format(occurrences="ended.occurrences", ended="made AS ended WHERE ended.finished_at IS NOT NULL")
_CHANGED = _SLIPS.format(
    occurrences="(ended.occurrences - CASE WHEN before.finished_at IS NULL THEN 0 ELSE before.occurrences END)",
    ended="""after AS ended JOIN before USING (id)
     WHERE ended.finished_at IS NOT NULL
       AND (before.finished_at IS NULL OR ended.occurrences <> before.occurrences)""",
)
#: `jobs.definition.callback` has the bits. An execution that ended before only grows: it has had its callback.
_CALLBACKS = """
        INSERT INTO runs_callback
            (id, workspace_id, job_id, environment_id, execution_id, event, sequence, status, attempts, attempt_limit,
             next_attempt_at, created_at, last_error)
        SELECT runs_uuid7(), ended.workspace_id, ended.job_id, ended.environment_id, ended.id, 'execution.finished',
               nextval('runs_callback_sequence'), 'pending', 0, 5, clock_timestamp(), clock_timestamp(), ''
          FROM {ended}
           AND ended.callback_on & CASE ended.status WHEN 'succeeded' THEN 1 WHEN 'failed' THEN 2 WHEN 'canceled' THEN 4
                                                     WHEN 'skipped' THEN 8 ELSE 0 END > 0
            ON CONFLICT DO NOTHING;
"""
_OF_MADE = _CALLBACKS.format(ended="made AS ended WHERE ended.finished_at IS NOT NULL")
_OF_CHANGED = _CALLBACKS.format(
    ended="after AS ended JOIN before USING (id) WHERE ended.finished_at IS NOT NULL AND before.finished_at IS NULL"
)
_FUNCTIONS = """
CREATE OR REPLACE FUNCTION runs_slip_of_made() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {made};
    {of_made}
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION runs_slip_of_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM after WHERE finished_at IS NOT NULL) THEN -- claims and renewals end nothing
        {changed};
        {of_changed}
    END IF;
    RETURN NULL;
END $$;
"""
_WITH_CALLBACKS = _FUNCTIONS.format(
    made=_MADE,
    of_made=f"""IF EXISTS (SELECT FROM made WHERE callback_on > 0) THEN{_OF_MADE}    END IF;""",
    changed=_CHANGED,
    of_changed=f"""IF EXISTS (SELECT FROM after WHERE callback_on > 0) THEN{_OF_CHANGED}        END IF;""",
)
_WITHOUT_CALLBACKS = _FUNCTIONS.format(made=_MADE, of_made="", changed=_CHANGED, of_changed="")


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0010_installation_secret'),
        ('jobs', '0012_webhook_urls'),
        ('runs', '0018_webhook_deliveries'),
    ]

    operations = [
        migrations.AddField(
            model_name='execution',
            name='callback_on',
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='execution',
            name='callback_url',
            field=models.TextField(null=True),
        ),
        migrations.CreateModel(
            name='Callback',
            fields=[
                ('id', models.UUIDField(default=core.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ('event', models.CharField(max_length=40)),
                ('sequence', models.BigIntegerField()),
                ('status', models.CharField(choices=[('pending', 'Pending'), ('delivered', 'Delivered'), ('failed', 'Failed')], default='pending', max_length=10)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('attempt_limit', models.PositiveSmallIntegerField()),
                ('next_attempt_at', models.DateTimeField(null=True)),
                ('lease_owner', models.CharField(max_length=200, null=True)),
                ('lease_expires_at', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField()),
                ('finished_at', models.DateTimeField(null=True)),
                ('last_status_code', models.PositiveSmallIntegerField(null=True)),
                ('last_error', models.TextField(blank=True, db_default='', default='')),
                ('environment', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.environment')),
                ('execution', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='callbacks', to='runs.execution')),
                ('job', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='jobs.job')),
                ('workspace', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.workspace')),
            ],
        ),
        migrations.CreateModel(
            name='CallbackAttempt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveSmallIntegerField()),
                ('started_at', models.DateTimeField()),
                ('duration_ms', models.PositiveIntegerField(null=True)),
                ('status_code', models.PositiveSmallIntegerField(null=True)),
                ('response_body', models.TextField(null=True)),
                ('error', models.TextField(blank=True, default='')),
                ('remote_ip', models.GenericIPAddressField(null=True)),
                ('worker', models.CharField(blank=True, default='', max_length=200)),
                ('callback', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='attempt_rows', to='runs.callback')),
            ],
        ),
        migrations.AddIndex(
            model_name='callback',
            index=models.Index(condition=models.Q(('status', 'pending')), fields=['next_attempt_at'], name='callback_due'),
        ),
        migrations.AddIndex(
            model_name='callback',
            index=models.Index(fields=['workspace', '-id'], name='callback_history'),
        ),
        migrations.AddIndex(
            model_name='callback',
            index=models.Index(fields=['job', '-id'], name='callback_job_history'),
        ),
        migrations.AddIndex(
            model_name='callback',
            index=models.Index(condition=models.Q(('status', 'failed')), fields=['workspace', '-id'], name='callback_failures'),
        ),
        migrations.AddConstraint(
            model_name='callback',
            constraint=models.UniqueConstraint(fields=('execution', 'event'), name='callback_event_unique'),
        ),
        migrations.AddConstraint(
            model_name='callback',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['pending', 'delivered', 'failed'])), name='callback_status_known'),
        ),
        migrations.AddConstraint(
            model_name='callback',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', True), ('next_attempt_at__isnull', False), ('status', 'pending')), models.Q(models.Q(('status', 'pending'), _negated=True), ('finished_at__isnull', False), ('next_attempt_at__isnull', True)), _connector='OR'), name='callback_pending_has_instant'),
        ),
        migrations.AddConstraint(
            model_name='callback',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('lease_expires_at__isnull', True), ('lease_owner__isnull', True)), models.Q(('lease_expires_at__isnull', False), ('lease_owner__isnull', False), ('status', 'pending')), _connector='OR'), name='callback_lease_is_pending'),
        ),
        migrations.AddConstraint(
            model_name='callbackattempt',
            constraint=models.UniqueConstraint(fields=('callback', 'number'), name='callback_attempt_unique'),
        ),
        migrations.RunSQL(_UUID7, _NO_UUID7),
        migrations.RunSQL(_WITH_CALLBACKS, _WITHOUT_CALLBACKS),
    ]
