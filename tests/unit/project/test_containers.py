"""docker-compose.yml, the Dockerfile and the settings are consistent."""

import json
import os
import re
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from ops import processes
from tests.support.containers import ENV, MissingVariableError, compose, image, interpolated, seconds
from tests.support.documented_settings import settings_documented
from tests.support.project import ROOT

OWN = ("migrate", "web", "beat", "worker")
#: Settings without a meaning in a container, with the reason.
ELSEWHERE = {
    "HOURHAND_PORT": "the image's; compose's own says where it is published",
    "HOURHAND_HOST": "bin/up's",
    "HOURHAND_BEATS": "bin/up's; here it is deploy.replicas",
    "HOURHAND_WORKERS": "bin/up's; here it is --scale worker=N",
    "HOURHAND_DATA_DIR": "the image's",
    "HOURHAND_SHUTDOWN_GRACE_SECONDS": "stop_grace_period depends on it, so both are changed in the file",
}


@pytest.fixture
def services() -> dict[str, Any]:
    return compose(ENV)["services"]


class TestInterpolation:
    @pytest.mark.parametrize(
        ("text", "becomes"),
        [
            ("${A}", "a"),
            ("${B:-x}", "x"),
            ("${EMPTY:-x}", "x"),
            ("${B:-http://127.0.0.1:${C:-8000}}", "http://127.0.0.1:8000"),
            ("${B:-}", ""),
            ("worker@$$HOSTNAME", "worker@$HOSTNAME"),
        ],
    )
    def test_is_that_of_compose(self, text, becomes):
        assert interpolated({"k": [text]}, {"A": "a", "EMPTY": ""}) == {"k": [becomes]}

    @pytest.mark.parametrize("name", ["POSTGRES_PASSWORD", "SECRET_KEY", "HOURHAND_ENCRYPTION_KEYS"])
    def test_every_secret_is_demanded(self, name):
        with pytest.raises(MissingVariableError, match=f"{name}: set {name}"):
            compose({**ENV, name: ""})


class TestCompose:
    def test_every_setting_that_an_operator_may_change_is_passed_on(self, services):
        passed = set(services["web"]["environment"]) | set(ELSEWHERE)
        assert settings_documented() - passed == set()
        assert set(services["web"]["environment"]) - settings_documented() - {"PGPASSWORD"} == set()

    def test_no_password_is_written_into_the_file(self):
        text = (ROOT / "docker-compose.yml").read_text()
        values = re.findall(r"^ +\w*(?:PASSWORD|SECRET|KEYS?|TOKEN)\w*: (.*)$", text, re.MULTILINE)
        assert len(values) == 5
        assert all(value.startswith("${") for value in values)

    @pytest.mark.parametrize("name", OWN)
    def test_our_containers_run_without_privileges(self, services, name):
        service = services[name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service
        assert image().user == "10001:10001"

    def test_services_wait_for_their_dependencies(self, services):
        assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
        for name in ("web", "beat", "worker"):
            assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
        for name, service in services.items():
            assert name == "migrate" or service.get("healthcheck", {}).get("test") or name == "web"

    def test_only_web_is_published_and_on_loopback_only(self, services):
        assert {name: service["ports"] for name, service in services.items() if "ports" in service} == {
            "web": ["127.0.0.1:8000:8000"]
        }

    def test_a_worker_has_the_supervisors_grace_period(self, services):
        own = next(iter(processes.workers({}, 1)))
        assert seconds(services["worker"]["stop_grace_period"]) >= own.stop_seconds

    def test_no_container_fills_the_disk_or_the_memory(self, services):
        for service in services.values():
            assert service["logging"]["options"].keys() == {"max-size", "max-file"}
            assert re.fullmatch(r"[0-9]+[mg]", service["mem_limit"])

    def test_a_volume_that_is_used_is_declared(self, services):
        used = {mount.split(":")[0] for service in services.values() for mount in service.get("volumes", [])}
        assert used == set(compose(ENV)["volumes"])


def test_docker_reads_the_file_as_we_do(services, tmp_path):
    client = Path(sysconfig.get_path("scripts")) / "docker-compose"  # needs no daemon to read a file
    # Ignore a .env file in the folder.
    command = [str(client), "--env-file", "/dev/null", "--project-directory", str(tmp_path)]
    command += ["--file", str(ROOT / "docker-compose.yml"), "config", "--format", "json"]
    said = subprocess.run(command, env={**os.environ, **ENV}, capture_output=True, text=True, check=True).stdout
    read = json.loads(said.replace("$$", "$"))["services"]
    assert read.keys() == services.keys()
    for name, service in services.items():
        assert read[name].get("environment", {}) == service.get("environment", {})
        assert read[name].get("command") == service.get("command")
        assert (read[name].get("healthcheck") or {}).get("test") == service.get("healthcheck", {}).get("test")


class TestSettingsOfBinUp:
    """Image and compose differ from `bin/up` only in addresses and logs."""

    def test_web(self):
        command = image().command
        ours = list(processes.web({}, _Listener()).argv[3:])
        drop = ("--bind", "--worker-tmp-dir")
        assert without(command[1:], drop) == without(ours, drop)

    def test_beat_and_worker(self, services):
        def normal(words: list[str]) -> list[str]:
            return without(" ".join(words).replace("=", " ").split(), ("--hostname",))

        (beat,), (worker,) = processes.beats({}, 1), processes.workers({}, 1)
        assert normal(services["beat"]["command"]) == normal(list(beat.argv[2:]))
        assert normal(services["worker"]["command"]) == normal(list(worker.argv[2:]))


class _Listener:
    def fileno(self) -> int:
        return 0

    def getsockname(self) -> tuple[str, int]:
        return ("127.0.0.1", 8000)


def without(words: list[str], options: tuple[str, ...]) -> list[str]:
    """Return the words without these options and their values."""
    dropped = {place + offset for place, word in enumerate(words) if word in options for offset in (0, 1)}
    return [word for place, word in enumerate(words) if place not in dropped]


class TestImage:
    text = (ROOT / "Dockerfile").read_text()

    def test_installs_wheels_of_known_hashes_only(self):
        assert "--require-hashes" in self.text
        assert "--only-binary :all:" in self.text

    def test_takes_no_secret_while_it_is_built(self):
        assert not re.search(r"^(ARG|ENV).*(PASSWORD|SECRET|TOKEN|KEY)", self.text, re.MULTILINE)
        assert "--mount=type=secret" not in self.text

    def test_contains_the_code_and_nothing_else(self):
        copied = set(re.findall(r"^COPY (?!--from)(.+) \S+$", self.text, re.MULTILINE))
        copied = {name for line in copied for name in line.split()}
        ignored = (ROOT / ".dockerignore").read_text().split()
        assert ignored[0] == "*"
        assert {line[1:] for line in ignored if line.startswith("!")} == copied
        packages = {path.parent.name for path in ROOT.glob("*/apps.py")} | {"scheduler_project", "workers"}
        assert packages <= copied
        assert all((ROOT / name).exists() for name in copied)
