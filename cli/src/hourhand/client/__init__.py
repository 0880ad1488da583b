"""The REST API as a library."""

from hourhand.client.connection import Client
from hourhand.client.errors import (
    AccessDeniedError,
    ApiError,
    ClientError,
    ConflictError,
    FieldError,
    NotFoundError,
    RateLimitedError,
    ServerAwayError,
    UnavailableError,
    WaitTimeoutError,
)

__all__ = [
    "AccessDeniedError",
    "ApiError",
    "Client",
    "ClientError",
    "ConflictError",
    "FieldError",
    "NotFoundError",
    "RateLimitedError",
    "ServerAwayError",
    "UnavailableError",
    "WaitTimeoutError",
]
