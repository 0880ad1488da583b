"""Security headers of every kind of answer, and that no page needs more than its policy allows."""

import os
import re
import subprocess
import sys
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from accounts.encryption import new_encryption_key
from accounts.models import Workspace
from tests.support.api_caller import Caller, caller
from tests.support.project import ROOT

pytestmark = pytest.mark.django_db
PAGES = ("/admin/", "/admin/jobs/job/", "/admin/jobs/job/add/", "/admin/runs/execution/", "/admin/accounts/apikey/add/")
STYLES = "/static/hourhand/hourhand.css"
PRODUCTION = {
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_",
    "HOURHAND_PUBLIC_URL": "https://hourhand.example",
    "HOURHAND_ALLOWED_HOSTS": "hourhand.example",
    "HOURHAND_ENCRYPTION_KEYS": new_encryption_key(),
    "HOURHAND_TRUSTED_PROXIES": "1",
}


@pytest.fixture
def superuser(workspace: Workspace) -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("boss", password="a long password"))
    return client


def directives(answer: Any) -> dict[str, str]:
    return dict(part.strip().partition(" ")[::2] for part in answer["Content-Security-Policy"].split(";"))


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/admin/",
        "/admin/login/",
        "/healthz",
        "/api/v1/jobs/",
        "/api/nope/",
        "/api/docs/",
        "/nope",
        "/static/hourhand/hourhand.css",
    ],
)
def test_every_answer_forbids_framing_sniffing_and_sharing(path: str) -> None:
    answer = Caller().get(path)
    told = directives(answer)
    assert told["frame-ancestors"] == told["base-uri"] == told["default-src"] == "'none'"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer["Referrer-Policy"] == "same-origin"
    assert "camera=()" in answer["Permissions-Policy"]


def test_answers_other_than_pages_have_the_strictest_policy(workspace: Workspace) -> None:
    answer = caller(workspace).get("/api/v1/jobs/")
    assert set(directives(answer).values()) == {"'none'"}
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", [*PAGES, "/admin/login/", "/api/docs/"])
def test_no_page_has_an_inline_script_style_or_handler(superuser: Client, path: str) -> None:
    if path == "/admin/login/":
        superuser.logout()
    answer = superuser.get(path)
    assert answer.status_code == 200
    told = directives(answer)
    assert "unsafe-inline" not in told["script-src"] + told["style-src"]
    page = answer.content.decode()
    for script in re.findall(r"<script\b[^>]*>", page):
        assert "src=" in script or "application/json" in script, script
        assert not re.search(r"src=\"(https?:)?//", script), script
    assert "<style" not in page
    assert not re.findall(r"<[^>]+\son[a-z]+\s*=", page)
    assert not re.findall(r"(?:href|src)=\"(?:https?:)?//(?!127\.0\.0\.1|testserver)[^\"]*\.(?:js|css)", page)


def test_the_api_docs_page_sets_the_csrf_cookie(superuser: Client) -> None:
    answer = superuser.get("/api/docs/")
    assert "hourhand_csrf" in answer.cookies
    assert superuser.get("/static/hourhand/api-docs.js").status_code == 200
    assert superuser.get("/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js").status_code == 200


def production(*command: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HOURHAND_")}
    environment = {**kept, **PRODUCTION}
    return subprocess.run(
        [sys.executable, "manage.py", *command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_the_deployment_check_is_clean_with_production_settings() -> None:
    told = production("check", "--deploy", "--fail-level", "WARNING")
    assert told.returncode == 0, told.stderr
    assert "no issues" in told.stdout


def test_over_https_cookies_are_secure_and_hsts_is_on() -> None:
    script = """
from django.test import Client
answer = Client().get("/admin/login/", secure=True, HTTP_HOST="hourhand.example")
print(answer["Strict-Transport-Security"], answer.cookies["hourhand_csrf"]["secure"])
plain = Client().get("/admin/login/", HTTP_HOST="hourhand.example")
print(plain.status_code, plain["Location"], Client().get("/healthz", HTTP_HOST="localhost").status_code)
"""
    told = production("shell", "-v0", "-c", script)
    assert told.stdout.split("\n")[:2] == ["max-age=31536000 True", "301 https://hourhand.example/admin/login/ 200"], (
        told.stderr
    )
