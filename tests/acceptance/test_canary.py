"""Secret values are used in every part of a request, repeated by an endpoint, and must appear nowhere else."""

import base64
import contextlib
import html
import json
import os
import re
import secrets
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from scheduler_project.celery import app
from tests.support.deployment import Deployment, installed
from tests.support.deployment_databases import Template
from tests.support.project import ROOT
from tests.support.waiting import wait_for

pytestmark = pytest.mark.edges
#: Two parts that no escaping changes, around characters that each format escapes differently.
FIRST, SECOND = f"canary{secrets.token_hex(8)}", f"bird{secrets.token_hex(8)}"
CANARY = f'{FIRST}/+"\\é &{SECOND}'
#: A secret that is not a valid header value, so the request fails with an error.
BROKEN_FIRST, BROKEN_SECOND = f"chick{secrets.token_hex(8)}", f"egg{secrets.token_hex(8)}"
BROKEN = f"{BROKEN_FIRST}\n{BROKEN_SECOND}"
PARTS = (FIRST, SECOND, BROKEN_FIRST, BROKEN_SECOND)
MOST_PAGES = 120
SLOW_SECONDS = 60.0
QUESTIONS = ("active", "reserved", "scheduled", "revoked", "stats", "conf", "registered", "active_queues", "report")


def needles() -> list[bytes]:
    """Return the parts as text, in hexadecimal, and in base64 at each offset."""
    found = []
    for part in PARTS:
        raw = part.encode()
        found += [raw, raw.hex().encode()]
        for offset in range(3):
            found.append(base64.b64encode(b"\0" * offset + raw)[4:-4])
    return found


NEEDLES = needles()


def sightings(where: str, text: str | bytes) -> list[str]:
    """Return the excerpts of `text` that show a part of a secret, labeled with `where`."""
    raw = (text.encode(errors="surrogatepass") if isinstance(text, str) else text).lower()
    places = [raw.find(needle.lower()) for needle in NEEDLES]
    return [f"{where}: {raw[max(0, place - 60) : place + 60]!r}" for place in places if place >= 0]


class Echo:
    """An endpoint that repeats the request in its response, in several encodings."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.enough = threading.Event()
        echo = self

        class Endpoint(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                token = (self.headers["X-Token"] or "").encode("latin-1")
                echo.seen.append({"path": self.path, "token": token.decode(), "body": body})
                if self.path.startswith("/slow"):
                    echo.enough.wait(SLOW_SECONDS)
                both = b"user:" + token
                answer = [
                    self.requestline.encode("latin-1"),
                    body,
                    token,
                    base64.b64encode(token),
                    base64.b64encode(both),
                ]
                answer += [urllib.parse.unquote_to_bytes(self.path), html.escape(token.decode()).encode()]
                answer += [json.dumps({"token": token.decode()}).encode(), urllib.parse.quote(token).encode()]
                whole = b"\n".join(answer)
                self.send_response(500 if self.path.startswith("/broken") else 200)
                self.send_header("X-Echo", token.decode("latin-1"))
                self.send_header("X-Basic", base64.b64encode(both).decode())
                self.send_header("Location", self.path)
                self.send_header("Content-Length", str(len(whole)))
                self.end_headers()
                self.wfile.write(whole)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """Ignore aborted callers."""

        self._server = Server(("127.0.0.1", 0), Endpoint)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Wire:
    """Records every Redis command, and on demand all contents of Redis."""

    url: str
    commands: list[str] = field(default_factory=list)
    contents: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._client = redis.Redis.from_url(self.url, socket_timeout=None)  # it may be silent for long
        self._monitor = self._client.monitor().__enter__()
        threading.Thread(target=self._listen, daemon=True).start()

    def record_contents(self) -> None:
        """Record the contents of each key."""
        client = self._client
        read = {
            b"string": client.get,
            b"list": lambda key: client.lrange(key, 0, -1),
            b"hash": client.hgetall,
            b"set": client.smembers,
            b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
            b"none": lambda _key: None,  # deleted meanwhile
        }
        for key in client.keys("*"):
            with contextlib.suppress(redis.ResponseError):  # replaced meanwhile by a key of another type
                self.contents.append(f"{key!r} {read[client.type(key)](key)!r}")

    def texts(self) -> list[str]:
        """Return everything recorded, and the decoded base64 bodies of messages."""
        noted = self.contents + self.commands
        bodies = {body for text in noted for body in re.findall(r'"body": ?"([A-Za-z0-9+/]+=*)"', text)}
        return [*noted, *(base64.b64decode(body).decode() for body in bodies)]

    def _listen(self) -> None:
        with contextlib.suppress(redis.RedisError, OSError, ValueError):
            for told in self._monitor.listen():
                self.commands.append(told["command"])


@dataclass
class Planted:
    """A deployment in which the secrets have been used in every way."""

    deployment: Deployment
    wire: Wire
    echo: Echo
    inspected: list[str] = field(default_factory=list)
    tried: dict[str, dict[str, Any]] = field(default_factory=dict)
    began: float = field(default_factory=time.time)


def jobs(url: str) -> dict[str, dict[str, Any]]:
    """Return jobs with the secret in every field and with different outcomes."""

    def request(path: str) -> dict[str, Any]:
        return {
            "url": f"{url}{path}/{{{{secrets.CANARY}}}}?token={{{{secrets.CANARY}}}}",
            "method": "POST",
            "headers": {"X-Token": "{{secrets.CANARY}}", "User-Agent": "agent {{secrets.CANARY}}"},
            "body": {"token": "{{secrets.CANARY}}", "deep": [{"in": "a {{secrets.CANARY}} z"}]},
        }

    def asserting(assertion: dict[str, str]) -> dict[str, Any]:
        return {"request": request("/echo"), "success": {"assertions": [assertion]}, "retry": {"max_attempts": 1}}

    return {
        "echoing": {"request": request("/echo")},
        "broken": {"request": request("/broken"), "retry": {"max_attempts": 2, "delay_ms": 10}},
        "header-asserting": asserting({"type": "header_equals", "name": "X-Echo", "value": "other"}),
        "body-asserting": asserting({"type": "body_contains", "value": "other"}),
        "refused": {
            "request": {**request("/x"), "url": "http://127.0.0.1:9/{{secrets.CANARY}}"},
            "retry": {"max_attempts": 1},
        },
        "unsendable": {"request": {**request("/x"), "headers": {"X-Token": "{{secrets.BROKEN}}"}}},
        "multiline": {"request": {**request("/echo"), "body": "{{secrets.BROKEN}}", "headers": {"X-Token": "a"}}},
        "canceled": {"request": request("/slow")},
        "lost": {"request": request("/slow"), "retry": {"max_attempts": 1}},
    }


@pytest.fixture(scope="module")
def planted(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    with (
        contextlib.closing(Echo()) as echo,
        installed(template, tmp_path_factory.mktemp("deployment")) as deployment,
    ):
        deployment.environment["HOURHAND_LOG_LEVEL"] = "DEBUG"
        made = Planted(deployment, Wire(deployment.redis_url), echo)
        deployment.call("POST", "/secrets/", json={"name": "CANARY", "value": CANARY})
        deployment.call("POST", "/secrets/", json={"name": "BROKEN", "value": BROKEN})
        for slug, fields in jobs(echo.url).items():
            deployment.make_job(slug, **fields)
        use(made)
        yield made


def use(planted: Planted) -> None:
    """Run every job, and inspect Redis and Celery before, during and after."""
    deployment, wire = planted.deployment, planted.wire
    ran = {slug: deployment.call("POST", f"/jobs/{slug}/run/", json={"input": {"n": 1}})["id"] for slug in jobs("")}
    wire.record_contents()  # the messages are queued: no worker runs yet
    deployment.start("beat")
    deployment.start("worker")
    wait_for(lambda: sum(one["path"].startswith("/slow") for one in planted.echo.seen) == 2, "the slow ones")
    wire.record_contents()
    for slug, fields in jobs(planted.echo.url).items():
        if slug not in {"canceled", "lost"}:
            changes = {"name": "Unsaved", "request": fields["request"]}
            planted.tried[slug] = deployment.call("POST", f"/jobs/{slug}/test/", json=changes)
    planted.inspected.append(celery(deployment, "inspect", "deliveries"))
    for question in QUESTIONS:
        planted.inspected.append(str(app.control.broadcast(question, reply=True, timeout=5, limit=1)))
    deployment.call("POST", f"/executions/{ran['canceled']}/cancel/", json={})
    deployment.kill("worker")
    planted.echo.enough.set()
    wire.record_contents()
    deployment.call("POST", f"/executions/{ran['echoing']}/replay/", json={"config": "original"})
    deployment.start("worker")
    wait_for(lambda: deployment.unfinished() == 0, "everything to end")
    wire.record_contents()


def celery(deployment: Deployment, *command: str) -> str:
    given = [sys.executable, "-m", "celery", "-A", "scheduler_project", *command, "--timeout", "2"]
    told = subprocess.run(given, cwd=ROOT, env=deployment.environment, capture_output=True, text=True, check=False)
    return told.stdout + told.stderr


# -- the search itself works -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", range(3))
def test_the_search_finds_the_secret_in_every_encoding(offset: int) -> None:
    around = "a" * offset + CANARY + "z"
    raw = around.encode()
    for text in (around, json.dumps(around), urllib.parse.quote(around), html.escape(around), raw.hex(), raw.upper()):
        assert sightings("here", text)
    assert sightings("here", base64.b64encode(raw))
    assert not sightings("here", "nothing")


def test_the_endpoint_received_the_value(planted: Planted) -> None:
    (seen,) = [one for one in planted.echo.seen if one["path"].startswith("/slow")][:1]
    path, _, query = seen["path"].removeprefix("/slow/").partition("?token=")
    assert urllib.parse.unquote(path) == urllib.parse.unquote(query) == seen["token"] == CANARY
    assert json.loads(seen["body"]) == {"token": CANARY, "deep": [{"in": f"a {CANARY} z"}]}
    assert any(one["body"] == BROKEN.encode() for one in planted.echo.seen)


def test_each_job_had_its_intended_outcome(planted: Planted) -> None:
    ends = planted.deployment.rows(
        "SELECT DISTINCT job.slug, run.status, run.failure_reason FROM runs_run AS run JOIN jobs_job AS job"
        " ON job.id = job_id ORDER BY 1"
    )
    assert ends == [
        ("body-asserting", "failed", "assertion_failed"),
        ("broken", "failed", "http_server_error"),
        ("canceled", "canceled", ""),
        ("echoing", "succeeded", ""),
        ("header-asserting", "failed", "assertion_failed"),
        ("lost", "failed", "worker_lost"),
        ("multiline", "succeeded", ""),
        ("refused", "failed", "connection_error"),
        ("unsendable", "failed", "template_error"),
    ]
    shown = "".join(
        row[0]
        for row in planted.deployment.rows(
            "SELECT request_url || response_body FROM runs_run WHERE response_body IS NOT NULL"
        )
    )
    assert shown.count("[redacted]") > 50


# -- the secret is absent ----------------------------------------------------------------------------------------------


def test_no_table_shows_the_secret(planted: Planted) -> None:
    found = []
    tables = [row[0] for row in planted.deployment.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    assert {"runs_run", "runs_execution", "jobs_jobversion", "accounts_secret"} <= set(tables)
    for table in tables:
        for (row,) in planted.deployment.rows(f'SELECT "{table}"::text FROM "{table}"'):  # noqa: S608 - of the catalogue
            found += sightings(table, row)
    assert found == []


def test_redis_and_its_commands_do_not_show_the_secret(planted: Planted) -> None:
    texts = planted.wire.texts()
    (execution,) = planted.deployment.rows("SELECT id::text FROM runs_execution WHERE status = 'canceled'")[0]
    for known in ("workers.deliver", "cancel_execution", "test_call", "hourhand:test-call:", execution):
        assert any(known in text for text in texts), known
    assert any("deliveries" in text for text in planted.wire.contents)
    assert [one for text in texts for one in sightings("redis", text)] == []


def test_celery_inspect_does_not_show_the_secret(planted: Planted) -> None:
    assert "127.0.0.1" in planted.inspected[0], planted.inspected[0]
    assert all("worker@" in text for text in planted.inspected), planted.inspected
    assert [one for text in planted.inspected for one in sightings("inspect", text)] == []


def test_no_log_shows_the_secret(planted: Planted) -> None:
    """These are the logs of our processes, at DEBUG, and of PostgreSQL and Valkey."""
    logs = {name: planted.deployment.log(name) for name in ("web", "beat", "worker")}
    assert all(logs.values())
    for path in Path(os.environ["HOURHAND_DATA_DIR"], "log").glob("*"):
        logs[path.name] = path.read_text(errors="replace")
    assert [one for name, text in logs.items() for one in sightings(name, text)] == []


def test_no_file_shows_the_secret(planted: Planted) -> None:
    """The write-ahead log and Valkey's append-only file also contain deleted rows and keys."""
    found, names = [], set()
    for directory in (Path(os.environ["HOURHAND_DATA_DIR"]), planted.deployment.directory):
        for path in directory.rglob("*"):
            with contextlib.suppress(FileNotFoundError):  # gone meanwhile
                if path.is_file() and path.stat().st_mtime >= planted.began - 1:
                    names.add(str(path.relative_to(directory)))
                    found += sightings(str(path), path.read_bytes())
    assert any("pg_wal/" in name for name in names)
    assert any("appendonly" in name for name in names)
    assert found == []


def test_no_api_response_shows_the_secret(planted: Planted) -> None:
    deployment = planted.deployment
    ids = {
        "job": list(jobs("")),
        "execution": [row[0] for row in deployment.rows("SELECT id::text FROM runs_execution")],
        "run": [row[0] for row in deployment.rows("SELECT id::text FROM runs_run")],
        "secret": [row[0] for row in deployment.rows("SELECT id::text FROM accounts_secret")],
        "number": ["1"],
    }
    schema = requests.get(f"{deployment.url}/api/schema/?format=json", timeout=30).json()
    found, answered = [], set()
    for path in [path for path, verbs in schema["paths"].items() if "get" in verbs]:
        for concrete in filled_in(path, ids):
            # The live tail never ends; its rows are those of the list of executions.
            endless = path == "/api/v1/events/"
            headers = {"Authorization": f"Bearer {deployment.api_key}"}
            with requests.get(f"{deployment.url}{concrete}", headers=headers, timeout=30, stream=endless) as answer:
                found += sightings(concrete, next(answer.iter_content(1000)) if endless else answer.content)
            if answer.ok:
                answered.add(path)
    wanted = {"/jobs/{job}/", "/jobs/{job}/versions/", "/executions/", "/executions/{execution}/", "/runs/",
              "/runs/{run}/", "/secrets/", "/secrets/{secret}/"}  # fmt: skip
    assert {f"/api/v1{path}" for path in wanted} <= answered
    assert found == []


def filled_in(path: str, ids: dict[str, list[str]]) -> list[str]:
    """Return a schema path with all combinations of ids filled in, or nothing if a parameter is unknown."""
    paths = [path]
    for name in re.findall(r"{(\w+)}", path):
        paths = [one.replace(f"{{{name}}}", value) for one in paths for value in ids.get(name, [])]
    return paths


def test_no_test_call_shows_the_secret(planted: Planted) -> None:
    told = {slug: (run["status"], run["failure_reason"]) for slug, run in planted.tried.items()}
    assert told == {
        "body-asserting": ("failed", "assertion_failed"),
        "broken": ("failed", "http_server_error"),
        "echoing": ("succeeded", None),
        "header-asserting": ("failed", "assertion_failed"),
        "multiline": ("succeeded", None),
        "refused": ("failed", "connection_error"),
        "unsendable": ("failed", "template_error"),
    }
    assert sightings("answers", json.dumps(planted.tried)) == []
    assert sightings("answers", json.dumps(planted.tried, ensure_ascii=False)) == []
    assert json.dumps(planted.tried["echoing"]).count("[redacted]") > 5


def test_no_dashboard_page_shows_the_secret(planted: Planted) -> None:
    """Follow every link from the start page."""
    deployment = planted.deployment
    person = requests.Session()
    login = f"{deployment.url}/admin/login/"
    person.get(login, timeout=30)
    told = json.loads((deployment.directory / "first-run.json").read_text())
    form = {"username": told["admin_username"], "password": told["admin_password"], "next": "/admin/"}
    form["csrfmiddlewaretoken"] = person.cookies["hourhand_csrf"]
    assert person.post(login, data=form, headers={"Referer": login}, timeout=30).url.endswith("/admin/")

    ahead, been, found = ["/admin/"], set[str](), []
    while ahead and len(been) < MOST_PAGES:
        path = ahead.pop(0)
        if path in been:
            continue
        been.add(path)
        page = person.get(f"{deployment.url}{path}", timeout=30)
        found += sightings(path, page.content)
        ahead += [
            html.unescape(link) for link in re.findall(r'href="(/admin/[^"#]*)"', page.text) if "logout" not in link
        ]
    for kind in ("runs/run", "runs/execution", "jobs/job", "accounts/secret"):
        assert any(re.match(rf"/admin/{kind}/[0-9a-f-]{{36}}/", path) for path in been), kind
    assert found == []
