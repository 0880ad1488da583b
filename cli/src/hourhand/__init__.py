"""Hourhand from Python: a client of the REST API, and the verification of its signed requests."""

from hourhand.client import Client
from hourhand.client.errors import (
    AccessDeniedError,
    ApiError,
    ClientError,
    ConflictError,
    NotFoundError,
    RateLimitedError,
    ServerAwayError,
    UnavailableError,
    WaitTimeoutError,
)
from hourhand.webhooks import WebhookVerificationError, verify_webhook

__version__ = "0.1.0"

__all__ = [
    "AccessDeniedError",
    "ApiError",
    "Client",
    "ClientError",
    "ConflictError",
    "NotFoundError",
    "RateLimitedError",
    "ServerAwayError",
    "UnavailableError",
    "WaitTimeoutError",
    "WebhookVerificationError",
    "verify_webhook",
]
