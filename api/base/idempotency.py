"""`Idempotency-Key`: a POST that is sent again with the same key is done once and answered as it was at first."""

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
_KEY_FORM = re.compile(r"[\x21-\x7e]{1,255}")
_SERVER_ERROR = 500
#: Refusals that say "not now" and nothing of the request itself.
_FOR_NOW = frozenset({402, 429})


class IdempotencyConflict(APIException):
    """The key can't be used for this request, or not yet: then `wait` says for how many seconds."""

    status_code = 409

    def __init__(self, detail: str, code: str, wait: int | None = None) -> None:
        self.wait = wait
        super().__init__(detail, code)


class Idempotent(APIView):
    """A view whose POST heeds the header. `now` and `access` have to be there before `heed_idempotency_key`."""

    #: For a POST that waits for what another process does with its rows, which one transaction would hide. If this
    #: process dies between the change and its answer, the change is made and the answer forgotten.
    waits_for_others = False
    now: datetime.datetime
    access: Any

    def heed_idempotency_key(self, request: Request) -> None:
        """Let the POST that follows be done once for its key."""
        key = request.headers.get(HEADER)
        if request.method != "POST" or key is None or not hasattr(self, "post"):
            return
        if not _KEY_FORM.fullmatch(key):
            detail = ErrorDetail("Should be 1 to 255 visible ASCII characters.", code="invalid_idempotency_key")
            raise ValidationError({HEADER: [detail]})
        # DRF looks for the method that answers after `initial`, on the view of this one request.
        vars(self)["post"] = functools.partial(self._answer_once, key, self.post)

    def _answer_once(
        self, key: str, post: Callable[..., Response], request: Request, *args: Any, **path: Any
    ) -> HttpResponseBase:
        place = _Place(self.access.workspace.pk, caller_of(request) or "", key, _fingerprint(request))
        with place.locked(in_one_transaction=not self.waits_for_others):
            kept = place.kept(self.now)
            if kept is not None:
                return kept
            response = self._answer(post, request, *args, **path)
            if response.status_code < _SERVER_ERROR and response.status_code not in _FOR_NOW:
                place.keep(response, self.now)
            elif not self.waits_for_others:
                transaction.set_rollback(True)
            return response

    def _answer(self, post: Callable[..., Response], request: Request, *args: Any, **path: Any) -> Response:
        """What the view answers, errors included, rendered. What it did before an error is undone."""
        try:
            if self.waits_for_others:
                response = post(request, *args, **path)
            else:
                with transaction.atomic():
                    response = post(request, *args, **path)
        except Exception as error:
            response = self.handle_exception(error)
        return super().finalize_response(request, response, *args, **path).render()


class _Place:
    """Where the answer to one key of one caller is kept, under a lock of its own."""

    def __init__(self, workspace_id: Any, caller: str, key: str, fingerprint: str) -> None:
        self._where = {
            "workspace_id": workspace_id,
            "caller": caller,
            "key_digest": hashlib.sha256(key.encode()).digest(),
        }
        self._fingerprint = fingerprint
        sealed_with = salted_hmac("hourhand.idempotency.body", f"{workspace_id}:{caller}:{key}", algorithm="sha256")
        self._seal = Fernet(base64.urlsafe_b64encode(sealed_with.digest()))
        name = hashlib.sha256(f"{workspace_id}:{caller}:{key}".encode()).digest()
        self._lock = int.from_bytes(name[:8], signed=True)

    @contextmanager
    def locked(self, *, in_one_transaction: bool) -> Iterator[None]:
        """Hold the key; raises IdempotencyConflict while another request does."""
        if in_one_transaction:
            with transaction.atomic():
                self._take("SELECT pg_try_advisory_xact_lock(%s)")
                yield
            return
        self._take("SELECT pg_try_advisory_lock(%s)")
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [self._lock])

    def _take(self, statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, [self._lock])
            if not cursor.fetchone()[0]:
                raise IdempotencyConflict(
                    f"A request with this {HEADER} is being worked on.", "idempotency_key_in_use", wait=1
                )

    def kept(self, now: datetime.datetime) -> HttpResponse | None:
        """The answer that the key had; None if it is new. Raises IdempotencyConflict if it was for something else."""
        found = KeptAnswer.objects.filter(**self._where).first()
        if found is None:
            return None
        if found.created_at <= now - KEPT_FOR:
            found.delete()
            return None
        if found.fingerprint != self._fingerprint:
            raise IdempotencyConflict(f"This {HEADER} was used for another request.", "idempotency_key_reused")
        try:
            body = self._seal.decrypt(bytes(found.body))
        except InvalidToken as error:
            raise IdempotencyConflict(
                "The request was done, but its answer can no longer be read.", "idempotent_answer_lost"
            ) from error
        answer = HttpResponse(body, status=found.status, content_type=found.content_type)
        if found.location:
            answer["Location"] = found.location
        answer[REPLAYED_HEADER] = "true"
        return answer

    def keep(self, response: Response, now: datetime.datetime) -> None:
        KeptAnswer.objects.create(
            **self._where,
            fingerprint=self._fingerprint,
            status=response.status_code,
            content_type=response.headers.get("Content-Type", "application/json"),
            location=response.headers.get("Location", ""),
            body=self._seal.encrypt(response.content),
            created_at=now,
        )


def _fingerprint(request: Request) -> str:
    """What was asked: method, path, query and the body's JSON, whatever its spaces and the order of its names."""
    body = json.dumps(request.data, sort_keys=True)
    asked = json.dumps([request.method, request.get_full_path(), body])
    return salted_hmac("hourhand.idempotency.fingerprint", asked, algorithm="sha256").hexdigest()
