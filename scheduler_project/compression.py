"""Compress responses with brotli or gzip.

The size of a compressed page that echoes a request beside a secret can leak the secret (BREACH). CSRF tokens are masked
anew in each page, no page shows a secret or key twice, and Django adds random bytes to gzipped responses, so pages use
gzip. Live tails are not compressed: the compressor would hold pieces back.
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

_MIN_BYTES = 1024
_TEXTS = ("application/json", "application/problem+json", "application/javascript", "application/vnd.oai.openapi")
_BROTLI_QUALITY = 5  # a tenth of the time of the best quality, for a tenth more bytes
_RANDOM_BYTES = 100
_CACHE_BYTES = 8 * 1024 * 1024

Compress = Callable[[bytes], bytes]


class CompressionMiddleware:
    """Compress responses. It comes before WhiteNoise, and caches the compressed static files."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        self._files = _FileCache(_CACHE_BYTES)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._get_response(request)
        is_file = request.path.startswith(settings.STATIC_URL)
        if not _is_compressible(response, is_file=is_file):
            return response
        patch_vary_headers(response, ("Accept-Encoding",))
        coding = _coding(request.headers.get("Accept-Encoding", ""), response["Content-Type"])
        if coding is None or "Range" in request.headers:
            return response
        name, compress = coding
        version = (request.path, name, response.get("Last-Modified", ""), response.get("ETag", ""))
        content = (
            self._files.get_or_make(version, lambda: compress(_content(response)))
            if is_file
            else compress(_content(response))
        )
        return _replace(response, content, name)


class _FileCache:
    """An LRU cache of compressed files, limited by their total size."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._files: collections.OrderedDict[tuple[str, ...], bytes] = collections.OrderedDict()

    def get_or_make(self, version: tuple[str, ...], make: Callable[[], bytes]) -> bytes:
        with self._lock:
            if version in self._files:
                self._files.move_to_end(version)
                return self._files[version]
        content = make()
        with self._lock:
            self._files[version] = content
            while sum(map(len, self._files.values())) > self._max_bytes:
                self._files.popitem(last=False)
        return content


def _is_compressible(response: HttpResponseBase, *, is_file: bool) -> bool:
    if response.has_header("Content-Encoding") or response.status_code in {204, 206, 304}:
        return False
    media_type = response.get("Content-Type", "").partition(";")[0].strip()
    if media_type == "text/event-stream" or not (
        media_type.startswith("text/") or media_type in _TEXTS or media_type == "image/svg+xml"
    ):
        return False
    if response.streaming:
        return is_file and int(response.get("Content-Length", "0")) >= _MIN_BYTES
    return len(response.content) >= _MIN_BYTES  # type: ignore[attr-defined]


def _coding(accepted: str, content_type: str) -> tuple[str, Compress] | None:
    """Choose the best coding that the client accepts (RFC 9110, 12.5.3)."""
    weights = dict(map(_weight, accepted.lower().split(",")))
    accepts = {name: weights.get(name, weights.get("*", 0.0)) > 0 for name in ("br", "gzip")}
    if accepts["br"] and not (accepts["gzip"] and content_type.startswith("text/html")):
        return "br", lambda content: brotli.compress(content, quality=_BROTLI_QUALITY)
    if accepts["gzip"]:
        return "gzip", lambda content: compress_string(content, max_random_bytes=_RANDOM_BYTES)
    return None


def _weight(part: str) -> tuple[str, float]:
    name, _, weight = part.partition(";q=")
    try:
        return name.strip(), float(weight) if weight else 1.0
    except ValueError:
        return name.strip(), 0.0


def _content(response: HttpResponseBase) -> bytes:
    return b"".join(response) if response.streaming else response.content  # type: ignore[attr-defined]


def _replace(response: HttpResponseBase, content: bytes, coding: str) -> HttpResponse:
    """Copy a response with compressed content. A strong ETag becomes a weak one."""
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
