"""`Idempotency-Key`: a POST repeated with the same key is processed once and gets the first response again."""

import base64
import datetime
import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.db import connection, transaction
from django.http import HttpResponse, HttpResponseBase
from django.utils.crypto import salted_hmac
from rest_framework.exceptions import APIException, ErrorDetail, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.base.throttling import caller_of
from core.models import KEPT_FOR, KeptAnswer

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotent-Replayed"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_SERVER_ERROR = 500
#: Temporary refusals, whose responses are not stored.
_TEMPORARY = frozenset({402, 429})


class IdempotencyConflict(APIException):
    """The key can't be used for this request, or only after `wait` seconds."""

    status_code = 409

    def __init__(self, detail: str, code: str, wait: int | None = None) -> None:
        self.wait = wait
        super().__init__(detail, code)


class Idempotent(APIView):
    """A view whose POST supports the header. Set `now` and `access` before `apply_idempotency_key`."""

    #: For a POST that waits for another process to use its rows, which a transaction would hide. If this process dies
    #: before the response is stored, the change is made and the response lost.
    waits_for_others = False
    now: datetime.datetime
    access: Any

    def apply_idempotency_key(self, request: Request) -> None:
        """Process the POST once for its key."""
        key = request.headers.get(HEADER)
        if request.method != "POST" or key is None or not hasattr(self, "post"):
            return
        if not _KEY.fullmatch(key):
            detail = ErrorDetail("Must be 1 to 255 visible ASCII characters.", code="invalid_idempotency_key")
            raise ValidationError({HEADER: [detail]})
        # DRF looks up the handler after `initial`, on this request's view.
        vars(self)["post"] = functools.partial(self._process_once, key, self.post)

    def _process_once(
        self, key: str, post: Callable[..., Response], request: Request, *args: Any, **path: Any
    ) -> HttpResponseBase:
        stored = _StoredResponse(self.access.workspace.pk, caller_of(request) or "", key, _fingerprint(request))
        with stored.locked(in_one_transaction=not self.waits_for_others):
            first_response = stored.read(self.now)
            if first_response is not None:
                return first_response
            response = self._process(post, request, *args, **path)
            if response.status_code < _SERVER_ERROR and response.status_code not in _TEMPORARY:
                stored.write(response, self.now)
            elif not self.waits_for_others:
                transaction.set_rollback(True)
            return response

    def _process(self, post: Callable[..., Response], request: Request, *args: Any, **path: Any) -> Response:
        """The rendered response, also for an error, whose changes are rolled back."""
        try:
            if self.waits_for_others:
                response = post(request, *args, **path)
            else:
                with transaction.atomic():
                    response = post(request, *args, **path)
        except Exception as error:
            response = self.handle_exception(error)
        return super().finalize_response(request, response, *args, **path).render()


class _StoredResponse:
    """The stored response for one key of one caller, under a lock of its own."""

    def __init__(self, workspace_id: Any, caller: str, key: str, fingerprint: str) -> None:
        self._identity = {
            "workspace_id": workspace_id,
            "caller": caller,
            "key_digest": hashlib.sha256(key.encode()).digest(),
        }
        self._fingerprint = fingerprint
        derived = salted_hmac("hourhand.idempotency.body", f"{workspace_id}:{caller}:{key}", algorithm="sha256")
        self._cipher = Fernet(base64.urlsafe_b64encode(derived.digest()))
        name = hashlib.sha256(f"{workspace_id}:{caller}:{key}".encode()).digest()
        self._lock = int.from_bytes(name[:8], signed=True)

    @contextmanager
    def locked(self, *, in_one_transaction: bool) -> Iterator[None]:
        """Lock the key. Raises IdempotencyConflict if another request has it."""
        if in_one_transaction:
            with transaction.atomic():
                self._lock_with("SELECT pg_try_advisory_xact_lock(%s)")
                yield
            return
        self._lock_with("SELECT pg_try_advisory_lock(%s)")
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [self._lock])

    def _lock_with(self, statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, [self._lock])
            if not cursor.fetchone()[0]:
                raise IdempotencyConflict(
                    f"A request with this {HEADER} is in progress.", "idempotency_key_in_use", wait=1
                )

    def read(self, now: datetime.datetime) -> HttpResponse | None:
        """The stored response; None for a new key. Raises IdempotencyConflict if it was for another request."""
        row = KeptAnswer.objects.filter(**self._identity).first()
        if row is None:
            return None
        if row.created_at <= now - KEPT_FOR:
            row.delete()
            return None
        if row.fingerprint != self._fingerprint:
            raise IdempotencyConflict(f"This {HEADER} was used for another request.", "idempotency_key_reused")
        try:
            body = self._cipher.decrypt(bytes(row.body))
        except InvalidToken as error:
            raise IdempotencyConflict(
                "The request was processed, but its response can no longer be decrypted.", "idempotent_answer_lost"
            ) from error
        response = HttpResponse(body, status=row.status, content_type=row.content_type)
        if row.location:
            response["Location"] = row.location
        response[REPLAYED_HEADER] = "true"
        return response

    def write(self, response: Response, now: datetime.datetime) -> None:
        KeptAnswer.objects.create(
            **self._identity,
            fingerprint=self._fingerprint,
            status=response.status_code,
            content_type=response.headers.get("Content-Type", "application/json"),
            location=response.headers.get("Location", ""),
            body=self._cipher.encrypt(response.content),
            created_at=now,
        )


def _fingerprint(request: Request) -> str:
    """A digest of method, path, query and the body's JSON, regardless of whitespace and key order."""
    body = json.dumps(request.data, sort_keys=True)
    content = json.dumps([request.method, request.get_full_path(), body])
    return salted_hmac("hourhand.idempotency.fingerprint", content, algorithm="sha256").hexdigest()
