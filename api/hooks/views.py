"""The URLs of inbound webhooks and of waiting workflows. Whatever is sent there is answered alike.

Senders learn nothing of a job, and opening a URL decides nothing: mail scanners and previews open every link.

No view of Django REST framework: a request is judged by its raw bytes, and has neither key nor session.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from accounts.encryption import EncryptionKeyError
from api.base.problems import CONTENT_TYPE, problem
from api.hooks.payload import MAX_BODY_BYTES, input_of
from core.limits.buckets import buckets
from runs.inbound import InboundRequest
from runs.webhooks.receive import receive
from runs.workflows.resume import approval_of, resume

log = structlog.get_logger(__name__)

_RETRY_SECONDS = 30
#: Slack asks for a text back before it sends anything.
_HANDSHAKE = "url_verification"


@csrf_exempt
@never_cache
def webhook(request: HttpRequest, token: str) -> HttpResponse:
    """Answer 202, whatever the request brings; 429 to a flood of one URL; 503 while nothing can be kept."""
    if request.method != "POST":
        return _problem(405, "method_not_allowed", "Send the webhook with POST.", Allow="POST")
    return _kept(token, lambda: _receive(request, token))


@csrf_exempt
@never_cache
def resume_step(request: HttpRequest, token: str) -> HttpResponse:
    """Answer a POST as a webhook's. GET shows a page that is the same for all tokens but those of approvals."""
    if request.method == "POST":
        response = _kept(token, lambda: _resume(request, token))
    elif request.method in {"GET", "HEAD"}:
        response = _kept(token, lambda: _page_of(token))
    else:
        response = _problem(405, "method_not_allowed", "Send the request with POST.", Allow="GET, HEAD, POST")
    response["Referrer-Policy"] = "no-referrer"  # the path is the secret
    response["X-Robots-Tag"] = "noindex"
    return response


def _kept(token: str, respond: Callable[[], HttpResponse]) -> HttpResponse:
    try:
        if (wait_seconds := _flooded(token)) is not None:
            return _problem(429, "rate_limited", "Too many requests to this URL.", **_retry_after(wait_seconds))
        return respond()
    except (DatabaseError, InterfaceError, EncryptionKeyError) as error:
        log.error("webhook_not_kept", error=type(error).__name__)
        return _problem(503, "unavailable", "The request can't be kept just now.", **_retry_after(_RETRY_SECONDS))


def _receive(request: HttpRequest, token: str) -> HttpResponse:
    inbound = _inbound(request)
    is_signed = receive(token, inbound, now=timezone.now())
    challenge = _challenge(inbound) if is_signed else None
    return _accepted() if challenge is None else JsonResponse({"challenge": challenge})


def _resume(request: HttpRequest, token: str) -> HttpResponse:
    resume(token, _inbound(request))
    if "text/html" in request.headers.get("Accept", ""):
        return HttpResponse(render_to_string("hooks/resumed.html", {"title": "Request received"}), status=202)
    return _accepted()


def _page_of(token: str) -> HttpResponse:
    """The page with the button that resumes a step. An approval is decided in the dashboard, by people who sign in."""
    approval = approval_of(token)
    if approval is None:
        return HttpResponse(render_to_string("hooks/resume.html", {"title": "Continue a workflow"}))
    return HttpResponseRedirect(reverse("admin:approval", args=[approval.execution_id, approval.step]))


def _accepted() -> HttpResponse:
    return JsonResponse({"status": "accepted"}, status=202)


def _flooded(token: str) -> int | None:
    """Take from the bucket of this URL, known or not. Returns the seconds to wait if it is empty."""
    if settings.HOOK_RATE is None:
        return None
    verdict = buckets().take(f"hook:{hashlib.sha256(token.encode()).hexdigest()}", settings.HOOK_RATE)
    return None if verdict is None or verdict.allowed else verdict.retry_seconds


def _inbound(request: HttpRequest) -> InboundRequest:
    headers = {name.lower(): value for name, value in request.headers.items()}
    query = {name: str(value) for name, value in request.GET.items()}
    raw = request.read(MAX_BODY_BYTES + 1)
    if len(raw) > MAX_BODY_BYTES:
        return InboundRequest(headers, query, None, body_bytes=_length(headers, len(raw)))
    value, problem_of_body = input_of(headers, raw)
    return InboundRequest(headers, query, raw, len(raw), value, problem_of_body)


def _length(headers: dict[str, str], least: int) -> int:
    """The length of a body as its sender gives it, at least what was read."""
    given = headers.get("content-length", "")
    return max(least, int(given)) if given.isascii() and given.isdigit() else least


def _challenge(inbound: InboundRequest) -> str | None:
    """The text that Slack wants back when it makes sure of a URL."""
    fields = inbound.input if isinstance(inbound.input, dict) else {}
    challenge = fields.get("challenge")
    return challenge if fields.get("type") == _HANDSHAKE and isinstance(challenge, str) else None


def _retry_after(seconds: int) -> dict[str, str]:
    return {"Retry-After": str(seconds)}


def _problem(status: int, code: str, detail: str, **headers: str) -> HttpResponse:
    body: dict[str, Any] = problem(status, code, detail)
    return HttpResponse(json.dumps(body), status=status, content_type=CONTENT_TYPE, headers=headers)
