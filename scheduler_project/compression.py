"""Answers compressed for whoever takes that: brotli or gzip.

What a page repeats of a request beside a secret could be guessed from the sizes of compressed answers (BREACH). CSRF
tokens are masked anew in each page, secrets and keys are in no page twice, and gzipped answers are longer by a random
number of bytes, as Django makes them: so pages are gzipped. Live tails are not compressed: pieces would wait for more.
"""

import collections
import threading
from collections.abc import Callable

import brotli
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.text import compress_string

_LEAST_BYTES = 1024
_TEXTS = ("application/json", "application/problem+json", "application/javascript", "application/vnd.oai.openapi")
_BROTLI_QUALITY = 5  # a tenth of the time of the best, for a tenth more bytes
_RANDOM_BYTES = 100
_KEPT_BYTES = 8 * 1024 * 1024

Compress = Callable[[bytes], bytes]


class CompressionMiddleware:
    """Stands before WhiteNoise, whose files it compresses once."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        self._files = _Kept(_KEPT_BYTES)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._get_response(request)
        is_file = request.path.startswith(settings.STATIC_URL)
        if not _can_be_smaller(response, is_file=is_file):
            return response
        patch_vary_headers(response, ("Accept-Encoding",))
        coding = _coding(request.headers.get("Accept-Encoding", ""), response["Content-Type"])
        if coding is None or "Range" in request.headers:
            return response
        name, compress = coding
        version = (request.path, name, response.get("Last-Modified", ""), response.get("ETag", ""))
        content = (
            self._files.made(version, lambda: compress(_content(response))) if is_file else compress(_content(response))
        )
        return _with(response, content, name)


class _Kept:
    """Compressed files, the latest used first to stay."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._files: collections.OrderedDict[tuple[str, ...], bytes] = collections.OrderedDict()

    def made(self, version: tuple[str, ...], make: Callable[[], bytes]) -> bytes:
        with self._lock:
            if version in self._files:
                self._files.move_to_end(version)
                return self._files[version]
        content = make()
        with self._lock:
            self._files[version] = content
            while sum(map(len, self._files.values())) > self._most:
                self._files.popitem(last=False)
        return content


def _can_be_smaller(response: HttpResponseBase, *, is_file: bool) -> bool:
    if response.has_header("Content-Encoding") or response.status_code in {204, 206, 304}:
        return False
    media_type = response.get("Content-Type", "").partition(";")[0].strip()
    if media_type == "text/event-stream" or not (
        media_type.startswith("text/") or media_type in _TEXTS or media_type == "image/svg+xml"
    ):
        return False
    if response.streaming:
        return is_file and int(response.get("Content-Length", "0")) >= _LEAST_BYTES
    return len(response.content) >= _LEAST_BYTES  # type: ignore[attr-defined]


def _coding(accepted: str, content_type: str) -> tuple[str, Compress] | None:
    """The best of what the client takes (RFC 9110, 12.5.3)."""
    weights = dict(map(_weighed, accepted.lower().split(",")))
    takes = {name: weights.get(name, weights.get("*", 0.0)) > 0 for name in ("br", "gzip")}
    if takes["br"] and not (takes["gzip"] and content_type.startswith("text/html")):
        return "br", lambda content: brotli.compress(content, quality=_BROTLI_QUALITY)
    if takes["gzip"]:
        return "gzip", lambda content: compress_string(content, max_random_bytes=_RANDOM_BYTES)
    return None


def _weighed(part: str) -> tuple[str, float]:
    name, _, weight = part.partition(";q=")
    try:
        return name.strip(), float(weight) if weight else 1.0
    except ValueError:
        return name.strip(), 0.0


def _content(response: HttpResponseBase) -> bytes:
    return b"".join(response) if response.streaming else response.content  # type: ignore[attr-defined]


def _with(response: HttpResponseBase, content: bytes, coding: str) -> HttpResponse:
    """The same answer with other bytes. A tag that names the very bytes becomes one that names what they say."""
    compressed = HttpResponse(content, status=response.status_code)
    for name, value in response.items():
        compressed[name] = value
    compressed.cookies = response.cookies
    compressed["Content-Encoding"] = coding
    compressed["Content-Length"] = str(len(content))
    if compressed.get("ETag", "").startswith('"'):
        compressed["ETag"] = f"W/{compressed['ETag']}"
    compressed._resource_closers.append(response.close)  # type: ignore[attr-defined]
    return compressed
