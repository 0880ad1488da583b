"""Workspaces with their plans and usage, environments, members, keys, secrets, and the audit log."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models
from django.utils import timezone

from accounts.actors import ActorKind
from accounts.names import SECRET_NAME_PATTERN
from accounts.querysets import ApiKeyQuerySet, SecretQuerySet, SigningSecretQuerySet, WorkspaceQuerySet
from accounts.quota import OveragePolicy
from core.ids import uuid7


class Plan(models.Model):
    """The limits that the operator sets for workspaces; null is no limit. `accounts.quota` computes a month of it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=200, unique=True)
    runs_included = models.PositiveIntegerField(null=True, blank=True)
    overage_cents_per_thousand = models.PositiveIntegerField(default=0)
    # If set, no run beyond the included ones starts, whatever the workspace's own policy.
    stops_at_limit = models.BooleanField(default=False, db_default=False)
    min_interval_seconds = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    max_timeout_seconds = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    max_active_jobs = models.PositiveIntegerField(null=True, blank=True)
    keep_last = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    keep_days = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.name

    @property
    def audit_label(self) -> str:
        return self.name


class Workspace(models.Model):
    """The tenant: nothing crosses it. Without a `plan` it has no limits; only the policy `capped` has a budget."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    slug = models.SlugField(max_length=100, unique=True)
    name = models.CharField(max_length=200)
    plan = models.ForeignKey(Plan, null=True, blank=True, on_delete=models.PROTECT, related_name="workspaces")
    overage_policy = models.CharField(
        max_length=10,
        choices=[(policy.value, policy.value.replace("_", " ")) for policy in OveragePolicy],
        default=OveragePolicy.ALLOW.value,
        db_default=OveragePolicy.ALLOW.value,
    )
    overage_budget_cents = models.PositiveIntegerField(null=True, blank=True)
    # Request headers, in lower case, whose values history shows besides the harmless ones.
    redact_allow_headers = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = WorkspaceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(overage_policy="capped", overage_budget_cents__isnull=False)
                | models.Q(overage_policy__in=["allow", "hard_stop"], overage_budget_cents__isnull=True),
                name="workspace_budget_is_of_capped",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def audit_label(self) -> str:
        return self.slug


class Usage(models.Model):
    """How many runs of a workspace started in a month of UTC; `month` is its first day. See `accounts.usage`.

    The plan's terms are those of the month's last run, so that a later change of plan does not change the report.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="usage", db_index=False)
    month = models.DateField()
    runs_used = models.PositiveBigIntegerField()
    runs_included = models.PositiveIntegerField(null=True)
    overage_cents_per_thousand = models.PositiveIntegerField()

    class Meta:
        verbose_name_plural = "usage"
        constraints = [
            # Serves every claim, and "the usage of this workspace in this month".
            models.UniqueConstraint(fields=["workspace", "month"], name="usage_month_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"


class Environment(models.Model):
    """Where a job runs, such as `production`: each has its own overrides, secrets and history."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="environments", db_index=False)
    slug = models.SlugField(max_length=100)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["slug"]
        constraints = [
            # Also serves "the environments of this workspace".
            models.UniqueConstraint(fields=["workspace", "slug"], name="environment_slug_unique"),
        ]

    def __str__(self) -> str:
        return self.slug

    @property
    def audit_label(self) -> str:
        return self.slug


class Role(models.TextChoices):
    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


class Membership(models.Model):
    """A person's membership of a workspace; without a `user`, an invitation that is not accepted yet."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="memberships", db_index=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=20, choices=Role.choices, default=Role.MEMBER)
    # As the workspace entered them: they prove nothing about any account.
    invited_username = models.CharField(max_length=150, blank=True, default="", db_default="")
    invited_email = models.CharField(max_length=254, blank=True, default="", db_default="")
    # The SHA-256 of the link's token, as for API keys.
    invitation_digest = models.CharField(max_length=64, blank=True, default="", db_default="", editable=False)
    invitation_expires_at = models.DateTimeField(null=True, blank=True, editable=False)
    invitation_tries = models.PositiveSmallIntegerField(default=0, db_default=0, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = "member"
        constraints = [
            models.UniqueConstraint(fields=["workspace", "user"], name="membership_unique"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="membership_role_known"),
            models.CheckConstraint(
                condition=models.Q(user__isnull=False) | ~models.Q(invited_username=""), name="membership_of_somebody"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.username} in {self.workspace}"

    @property
    def audit_label(self) -> str:
        return self.username

    @property
    def username(self) -> str:
        """The account's username; of an open invitation the suggested one, or the address."""
        return self.user.get_username() if self.user is not None else self.invited_username

    @property
    def email(self) -> str:
        """The invited address; of a member who joined without an invitation, the account's."""
        return self.invited_email if self.user is None or self.invited_username else self.user.email

    @property
    def state(self) -> str:
        """`invited`, `active`, or `disabled` if the account may not sign in to the dashboard."""
        if self.user is None:
            return "invited"
        return "active" if self.user.is_active and self.user.is_staff else "disabled"


class Scope(models.TextChoices):
    """What an API key may do."""

    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    EXECUTIONS_READ = "executions:read"
    EXECUTIONS_WRITE = "executions:write"
    AGENTS = "agents"
    ADMIN = "admin"


class ApiKey(models.Model):
    """A key of the REST API, stored as its SHA-256: a slow hash would add nothing to 256 random bits."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=200)
    prefix = models.CharField(max_length=16, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = ArrayField(models.CharField(max_length=32, choices=Scope.choices))
    # A bound key has access to `environments` only, and to nothing once they are deleted.
    is_bound = models.BooleanField(default=False)
    environments = models.ManyToManyField(Environment, blank=True, related_name="api_keys")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"
        constraints = [
            models.CheckConstraint(condition=models.Q(scopes__contained_by=Scope.values), name="api_key_scopes_known"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @property
    def audit_label(self) -> str:
        return str(self)


class SigningSecret(models.Model):
    """A secret that signs a workspace's requests, encrypted. The schema allows two: the newest and a retiring one.

    The retiring one signs beside the newest until `retires_at`; the next rotation deletes its row.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Its index serves "the live secrets of these workspaces", which each worker reads every few seconds.
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="signing_secrets")
    prefix = models.CharField(max_length=16, editable=False)
    value = models.BinaryField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    retires_at = models.DateTimeField(null=True, blank=True)

    objects = SigningSecretQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace"], condition=models.Q(retires_at__isnull=True), name="signing_secret_one_newest"
            ),
            models.UniqueConstraint(
                fields=["workspace"], condition=models.Q(retires_at__isnull=False), name="signing_secret_one_retiring"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prefix}…"

    @property
    def audit_label(self) -> str:
        return str(self)


class Secret(models.Model):
    """A write-only value that requests use by name. One of an environment takes precedence over the workspace's."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="secrets", db_index=False)
    environment = models.ForeignKey(
        Environment, null=True, blank=True, on_delete=models.CASCADE, related_name="secrets", db_index=False
    )
    name = models.CharField(max_length=64)
    encrypted = models.BinaryField(editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = SecretQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "name"],
                condition=models.Q(environment__isnull=True),
                name="secret_unique_in_workspace",
            ),
            # Also serves "the secrets of this workspace", as the workers read them.
            models.UniqueConstraint(fields=["workspace", "environment", "name"], name="secret_unique_in_environment"),
            models.CheckConstraint(condition=models.Q(name__regex=f"^{SECRET_NAME_PATTERN}$"), name="secret_name_form"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def audit_label(self) -> str:
        return f"{self.name} ({self.environment.slug})" if self.environment else self.name


class InstallationSecret(models.Model):
    """Random bytes that the installation derives tokens from, kept encrypted: `accounts.tokens`."""

    name = models.CharField(max_length=40, primary_key=True)
    encrypted = models.BinaryField(editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.name


class AuditEntry(models.Model):
    """One change: its actor, its target and the difference. Labels are those at the time of the change."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="audit_entries", db_index=False)
    at = models.DateTimeField()
    actor_kind = models.CharField(max_length=10, choices=ActorKind.choices)
    actor_id = models.CharField(max_length=64, blank=True)
    actor_label = models.CharField(max_length=254)
    action = models.CharField(max_length=64)
    target_kind = models.CharField(max_length=32)
    target_id = models.CharField(max_length=64)
    target_label = models.CharField(max_length=254)
    changes = models.JSONField(default=dict)

    class Meta:
        verbose_name_plural = "audit log"
        constraints = [
            models.CheckConstraint(condition=models.Q(actor_kind__in=ActorKind.values), name="audit_actor_kind_known"),
        ]
        indexes = [
            # The log of a workspace, newest first, optionally between two instants.
            models.Index(fields=["workspace", "-at", "-id"], name="audit_log"),
            # The changes of one person or key.
            models.Index(fields=["workspace", "actor_id", "-at", "-id"], name="audit_of_actor"),
            # One kind of change.
            models.Index(fields=["workspace", "action", "-at", "-id"], name="audit_of_action"),
            # The changes of one target, by id or by label.
            models.Index(fields=["workspace", "target_id", "-at", "-id"], name="audit_of_target"),
            models.Index(fields=["workspace", "target_label", "-at", "-id"], name="audit_of_label"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.target_label}"
