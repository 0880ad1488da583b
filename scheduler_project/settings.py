"""Hourhand's settings. Operators change them through the environment, which `Env` reads."""

import os
from pathlib import Path

import django_stubs_ext
from django.templatetags.static import static

from core.env import Env, kept_text
from ops.embedded.locations import embedded_urls
from scheduler_project.broker import celery_broker_url
from scheduler_project.database import database_from_url
from scheduler_project.logs import logging_from_env
from scheduler_project.outbound import outbound_policy

django_stubs_ext.monkeypatch()  # lets Django's generic classes be subscripted at run time, as their types are

BASE_DIR = Path(__file__).resolve().parent.parent
env = Env(os.environ)

# -- data and services ------------------------------------------------------------------------------------------------

DATA_DIR = env.directory("HOURHAND_DATA_DIR", BASE_DIR / "var", relative_to=BASE_DIR)
_embedded_database_url, _embedded_redis_url = embedded_urls(DATA_DIR)
DATABASES = {"default": database_from_url(env.text("DATABASE_URL", _embedded_database_url))}
REDIS_URL = env.text("REDIS_URL", _embedded_redis_url)


# Without SECRET_KEY, the key that `bin/up` generated; Django refuses an empty one on use.
SECRET_KEY = env.text("SECRET_KEY") or kept_text(DATA_DIR / "secret-key")
# Likewise; without keys no secret can be stored.
_ENCRYPTION_KEY_FILE = DATA_DIR / "encryption-key"
ENCRYPTION_KEYS = env.encryption_keys(
    "HOURHAND_ENCRYPTION_KEYS",
    [] if env.names("HOURHAND_ENCRYPTION_KEYS") else kept_text(_ENCRYPTION_KEY_FILE).split(),
    file=_ENCRYPTION_KEY_FILE,
)
DEBUG = False
ACCEPT_NEWER_DATABASE = env.flag("HOURHAND_ACCEPT_NEWER_DATABASE", default=False)
PORT = env.integer("HOURHAND_PORT", 8000, minimum=0, maximum=65535)
PUBLIC_URL = env.url("HOURHAND_PUBLIC_URL", f"http://127.0.0.1:{PORT}")
HTTPS = PUBLIC_URL.startswith("https://")
ALLOWED_HOSTS = [*env.hosts("HOURHAND_ALLOWED_HOSTS"), "localhost", "127.0.0.1", "[::1]"]  # loopback for health checks
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
API_RATE = env.rate("HOURHAND_API_RATE", "600/min")
HOOK_RATE = env.rate("HOURHAND_HOOK_RATE", "600/min")
TRUSTED_PROXIES = env.integer("HOURHAND_TRUSTED_PROXIES", 0, minimum=0, maximum=10)

# Per workspace in each web process. Each takes a socket and about 100 KiB.
EVENT_STREAMS = env.integer("HOURHAND_EVENT_STREAMS", 500, minimum=0, maximum=5000)

METRICS_TOKEN = env.token("HOURHAND_METRICS_TOKEN")
AUDIT_LOG_DAYS = env.integer("HOURHAND_AUDIT_LOG_DAYS", 730, minimum=0, maximum=36_500)

# -- the firing path ---------------------------------------------------------------------------------------------------

OUTBOUND_POLICY = outbound_policy(
    allow=env.text("HOURHAND_OUTBOUND_ALLOW"), ports=env.text("HOURHAND_OUTBOUND_PORTS", "80,443")
)
MAX_IN_FLIGHT = env.integer("HOURHAND_MAX_IN_FLIGHT", 1000, minimum=1, maximum=10_000)
# One slow host leaves a quarter of the capacity to others, one workspace a tenth: fast ones need no more.
MAX_PER_HOST = env.integer("HOURHAND_MAX_PER_HOST", max(1, MAX_IN_FLIGHT * 3 // 4), minimum=1, maximum=10_000)
MAX_PER_WORKSPACE = env.integer(
    "HOURHAND_MAX_PER_WORKSPACE", max(1, MAX_IN_FLIGHT * 9 // 10), minimum=1, maximum=10_000
)
LEASE_SECONDS = env.integer("HOURHAND_LEASE_SECONDS", 60, minimum=3, maximum=3600)
# How long a connection may be idle. Longer than most load balancers' timeouts (AWS and nginx 60 s, but Google 600 s):
# the side that closes first may do so just as the other sends a request.
KEEP_ALIVE_SECONDS = env.integer("HOURHAND_KEEP_ALIVE_SECONDS", 90, minimum=1, maximum=3600)
SHUTDOWN_GRACE_SECONDS = env.integer("HOURHAND_SHUTDOWN_GRACE_SECONDS", 20, minimum=0, maximum=600)

# -- Django ------------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "dashboard",  # before the theme, to override some of its templates
    "core",
    "unfold",
    "django.contrib.admin.apps.SimpleAdminConfig",  # loaded with the URLs, so not in beats and workers
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "accounts",
    "jobs",
    "runs",
    "workers",
    "ops",
]
MIDDLEWARE = [
    "scheduler_project.headers.SecurityHeadersMiddleware",
    "scheduler_project.compression.CompressionMiddleware",
    "api.base.slashes.SlashlessPathsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "dashboard.login.LoginThrottleMiddleware",
]
ROOT_URLCONF = "scheduler_project.urls"
WSGI_APPLICATION = "scheduler_project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True  # static files directly from the packages, without collectstatic
WHITENOISE_AUTOREFRESH = False
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000  # the form of a workflow with 55 steps
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024  # a job's body may have 1 MiB, and JSON escapes it
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_NAME = "hourhand_session"
CSRF_COOKIE_NAME = "hourhand_csrf"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
# HSTS for this host only: whether its subdomains support https, and whether to preload it, is the operator's decision.
SECURE_HSTS_SECONDS = env.integer("HOURHAND_HSTS_SECONDS", 31_536_000 if HTTPS else 0, minimum=0, maximum=63_072_000)
SECURE_SSL_REDIRECT = env.flag("HOURHAND_HTTPS_REDIRECT", default=HTTPS)
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]  # probes come from behind the proxy
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
X_FRAME_OPTIONS = "DENY"
LOGGING = logging_from_env(env)

# -- Celery: messages are wake-up calls that carry ids; Postgres holds the truth ---------------------------------------

CELERY_BROKER_URL = celery_broker_url(REDIS_URL)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # How long enqueuing and the clock wait for a hanging Redis. Reads block for at most a second.
    "socket_timeout": 3,
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    # Publishing does not retry: a row that could not be enqueued stays pending, and the clock requeues it.
    "max_retries": 0,
    "interval_start": 0,
    "interval_step": 0,
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_STORE_ERRORS_EVEN_IF_IGNORED = False
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = False
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_DEFAULT_QUEUE = "chores"
CELERY_TASK_ROUTES = {"workers.deliver": {"queue": "deliveries"}}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_BEAT_SCHEDULER = "workers.beat.scheduler:FiringScheduler"
CELERY_TIMEZONE = "UTC"
DJANGO_CELERY_BEAT_TZ_AWARE = True

# -- API and dashboard -------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "api.accounts.authentication.ApiKeyAuthentication",
        "api.accounts.authentication.DashboardSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["api.accounts.permissions.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["api.base.JsonBodyParser"],
    "DEFAULT_PAGINATION_CLASS": "api.base.KeysetPagination",
    "DEFAULT_SCHEMA_CLASS": "api.base.openapi.HourhandSchema",
    "EXCEPTION_HANDLER": "api.base.problem_response",
    "DATETIME_FORMAT": "%Y-%m-%dT%H:%M:%S.%fZ",
    "UNAUTHENTICATED_USER": None,
    "COERCE_DECIMAL_TO_STRING": False,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Hourhand API",
    "DESCRIPTION": "Jobs, executions and runs: call endpoints on time and read what happened.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "SORT_OPERATIONS": False,
    "PREPROCESSING_HOOKS": ["api.base.openapi.sort_endpoints"],
    "ENUM_NAME_OVERRIDES": {
        "BulkKindEnum": "runs.states.BulkKind",
        "BulkStateEnum": "runs.states.BulkState",
        "CallbackStatusEnum": "runs.states.CallbackStatus",
        "ExecutionStatusEnum": "runs.states.OCCURRING_STATUSES",
        "RunStatusEnum": "runs.states.OCCURRING_RUN_STATUSES",
        "HttpStepTypeEnum": ["http"],
        "JobKindEnum": "jobs.definition.reading.KINDS",
        "MemberStateEnum": "api.accounts.members.STATES",
        "ScheduleTypeEnum": "jobs.models.ScheduleType",
        "FormFieldTypeEnum": "jobs.validation.approval.FIELD_TYPES",
    },
}
UNFOLD = {
    "SITE_TITLE": "Hourhand",
    "SITE_HEADER": "Hourhand",
    "SITE_SUBHEADER": "Calls on time, with proof",
    "SITE_SYMBOL": "schedule",
    "SITE_URL": "/admin/",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("hourhand/favicon.svg")}
    ],
    "SHOW_VIEW_ON_SITE": False,
    "LOGIN": {"form": "dashboard.login.LoginForm"},
    "DASHBOARD_CALLBACK": "dashboard.base.overview.dashboard",
    "STYLES": [
        lambda _request: static("hourhand/colors.css"),
        lambda _request: static("hourhand/hourhand.css"),
        lambda _request: static("hourhand/charts.css"),
        lambda _request: static("hourhand/accounts.css"),
        lambda _request: static("hourhand/workflows.css"),
    ],
    "SCRIPTS": [
        lambda _request: static("hourhand/strict.js"),
        lambda _request: static("hourhand/reachable.js"),
    ],
    "COLORS": lambda _request: {},  # in hourhand/colors.css instead, since the theme would repeat them in every page
    "SIDEBAR": {"navigation": "dashboard.base.navigation.sidebar"},
}
