"""`manage.py up` with everything that it starts."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg2
import requests

from ops.embedded.locations import embedded_urls
from tests.support.project import ROOT
from tests.support.waiting import wait_for


class Installation:
    """`manage.py up` on a data directory, with the API key of its first start."""

    def __init__(self, directory: Path, **settings: str) -> None:
        """`settings` are environment variables; without DATABASE_URL and REDIS_URL the services are embedded."""
        self.directory = directory
        ours = {name: value for name, value in os.environ.items() if not name.startswith("HOURHAND_")}
        for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY"):
            ours.pop(name, None)
        self.environment = {
            **ours,
            "HOURHAND_DATA_DIR": str(directory),
            "HOURHAND_PORT": "0",
            "HOURHAND_WORKERS": "1",
            "HOURHAND_OUTBOUND_ALLOW": "127.0.0.0/8",
            "HOURHAND_OUTBOUND_PORTS": "*",
            **settings,
        }
        self.database_url = settings.get("DATABASE_URL") or embedded_urls(directory)[0]

    def start(self) -> None:
        self.launch()
        wait_for(lambda: requests.get(f"{self.url()}/readyz", timeout=5).ok, "it to be ready")

    def launch(self) -> None:
        """Start it without waiting."""
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up"], cwd=ROOT, env=self.environment, stdout=output, stderr=output
            )

    @property
    def output(self) -> Path:
        """The file with its output."""
        return self.directory.parent / "output"

    def url(self) -> str:
        path = self.directory / "run" / "url"
        return path.read_text().strip() if path.exists() else "http://127.0.0.1:9"

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        key = json.loads((self.directory / "first-run.json").read_text())["api_key"]
        return requests.request(
            method, f"{self.url()}/api/v1{path}", headers={"Authorization": f"Bearer {key}"}, timeout=10, **options
        )

    def call(self, method: str, path: str, **options: Any) -> Any:
        answer = self.ask(method, path, **options)
        assert answer.ok, answer.text
        return answer.json()

    def problems(self) -> list[str]:
        """Run `manage.py doctor` and return the problems."""
        asked = [sys.executable, "manage.py", "doctor", "--json"]
        told = subprocess.run(asked, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        found = [one["says"] for one in json.loads(told.stdout)["findings"] if one["verdict"] == "problem"]
        assert told.returncode == bool(found), told.stderr
        return found

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        link = psycopg2.connect(self.database_url)
        try:
            with link.cursor() as cursor:
                cursor.execute(query)
                return cursor.fetchall()
        finally:
            link.close()
