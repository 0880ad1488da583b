"""The jobs and incidents of a fictional shop, from which the seeded history is generated. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class CallFailure:
    """How a call fails. A `status` of None means no response."""

    reason: str
    error: str
    status: int | None = None
    body: str | None = None
    #: Duration in milliseconds; 0: that of a successful call.
    took_ms: int = 0


DOWN = CallFailure(
    "http_server_error", "HTTP 503", 503,
    '{"error":{"code":"upstream_unavailable","message":"The ledger does not answer. Try again in a minute.",'
    '"retryable":true},"request_id":"req_7f3c2a91"}',
)  # fmt: skip
BROKEN = CallFailure(
    "http_server_error", "HTTP 500", 500, '{"error":{"code":"internal","message":"NoneType has no attribute total"}}'
)
SLOW = CallFailure("timeout", "timed out after 30 s", took_ms=30_000)
REFUSED = CallFailure(
    "connection_error", "could not connect to search.shop.example port 443: Connection refused", took_ms=3
)
EXPIRED = CallFailure("ssl_error", "SSL certificate problem: certificate has expired", took_ms=41)
INCOMPLETE = CallFailure(
    "assertion_failed", "json_path_equals: $.complete is false, not true", 200, '{"complete":false,"rates":31}'
)


@dataclass(frozen=True, slots=True)
class Breakdown:
    """A period in which every attempt fails, in days before now."""

    since: float
    until: float
    failing: CallFailure


@dataclass(frozen=True, slots=True)
class Story:
    """A job and its month. `flaky` is the share of attempts that fail at random."""

    slug: str
    name: str
    schedule: Any
    url: str
    answer: str
    description: str = ""
    tags: tuple[str, ...] = ()
    timezone: str = "UTC"
    method: str = "POST"
    body: str | None = None
    took_ms: int = 180
    flaky: float = 0.002
    environments: tuple[str, ...] = ("production",)
    breakdowns: tuple[Breakdown, ...] = ()
    #: Other fields of the job definition.
    definition: Mapping[str, Any] = field(default_factory=dict)
    #: Days before now, and the note.
    paused: tuple[float, str] | None = None
    #: The share of occurrences that overlap with the previous execution.
    overlapping: float = 0.0
    #: Whether an execution is running now.
    running: bool = False


_REQUEST_BODY = '{"at":"{{timestamp}}","environment":"{{environment}}","batch":500}'
STORIES = (
    Story(
        "sync-orders", "Sync orders", "*/5 * * * *", "https://api.shop.example/orders/sync", '{"ok":true,"synced":128}',
        "New and changed orders, from the shop to the warehouse.", ("orders", "critical"), body=_REQUEST_BODY,
        environments=("production", "staging"), flaky=0.012, breakdowns=(Breakdown(9.42, 9.29, DOWN),),
    ),
    Story(
        "export-invoices", "Export invoices", "20 * * * *", "https://billing.shop.example/exports",
        '{"exported":42,"total":"18204.10","currency":"EUR"}', "What was billed in the last hour, for accounting.",
        ("billing",), "Europe/Berlin", body='{"from":"{{scheduled_for}}","format":"datev"}', took_ms=640,
        breakdowns=(Breakdown(0.24, 0, DOWN), Breakdown(16.1, 15.9, BROKEN)),
    ),
    Story(
        "charge-subscriptions", "Charge subscriptions", "0 6 * * *", "https://billing.shop.example/subscriptions/charge",
        '{"charged":311,"declined":4}', "Once a day, before anybody is awake.", ("billing", "critical"),
        "Europe/Berlin", took_ms=14_200, flaky=0.05,
    ),
    Story(
        "nightly-report", "Nightly report", "30 2 * * *", "https://reports.shop.example/nightly", '{"pages":14}',
        "In the night of a change of the clocks it runs once.", ("reports",), "Europe/Berlin", took_ms=22_000,
        breakdowns=(Breakdown(3.2, 0, SLOW), Breakdown(21.3, 20.7, SLOW)),
        definition={"retry": {"max_attempts": 2, "delay_ms": 60_000, "backoff": "fixed"}},
    ),
    Story(
        "refresh-search", "Refresh the search index", "every 15 minutes", "https://search.shop.example/refresh",
        '{"documents":88211,"changed":102}', tags=("search",), took_ms=8_300, overlapping=0.02,
        breakdowns=(Breakdown(5.51, 5.47, REFUSED),), definition={"overlap": "skip"},
    ),
    Story(
        "exchange-rates", "Exchange rates", "5 * * * *", "https://rates.shop.example/daily",
        '{"complete":true,"rates":34}', tags=("billing",), method="GET", took_ms=95,
        breakdowns=(Breakdown(12.3, 12.1, INCOMPLETE),),
        definition={"success": {"assertions": [{"type": "json_path_equals", "path": "$.complete", "value": True}]}},
    ),
    Story(
        "warm-cache", "Warm the cache", "*/10 * * * *", "https://www.shop.example/internal/warm", '{"warmed":512}',
        tags=("web",), method="GET", took_ms=420, flaky=0.09,
    ),
    Story(
        "weekly-digest", "Weekly digest", "every monday at 8am", "https://mail.shop.example/digests", '{"queued":5120}',
        "To everybody who asked for it.", ("mail",), "America/New_York", took_ms=3_100,
    ),
    Story(
        "purge-uploads", "Purge forgotten uploads", "@daily", "https://files.shop.example/purge", '{"purged":77}',
        tags=("files",), method="DELETE", took_ms=1_900,
        paused=(2.3, "The files move to new disks until Thursday. Ask Ida before resuming."),
    ),
    Story(
        "check-certificates", "Check certificates", "15 */6 * * *", "https://partners.shop.example/health",
        '{"status":"up"}', tags=("web",), method="GET", took_ms=130, breakdowns=(Breakdown(7.6, 6.4, EXPIRED),),
    ),
    Story(
        "recommendations", "Rebuild recommendations", "every 4 hours", "https://ml.shop.example/recommendations",
        '{"models":3}', tags=("search",), took_ms=96_000, running=True,
        definition={"request": {"timeout_seconds": 300}, "overlap": "skip"},
    ),
)  # fmt: skip
#: Periods without a beat, and with an overloaded machine; in days before now.
BEAT_DOWN = (11.31, 11.27)
BUSY = (4.22, 4.15)
