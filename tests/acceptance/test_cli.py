"""The command line as users have it: its wheel, installed alone, used with every verb against a running deployment."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hourhand.exits import Exit
from tests.support.deployment import Deployment
from tests.support.installed_cli import Shell, build_wheel, install, interpreter, verbs
from tests.support.recording_receiver import Receiver
from tests.support.waiting import wait_for

APPROVAL = {
    "name": "Refund",
    "kind": "workflow",
    "workflow": {"steps": [{"id": "sign_off", "type": "approval", "message": "Refund it?"}]},
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module", params=["3.10", "3.13"])
def program(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`hourhand`, installed with this version of Python."""
    python = interpreter(request.param)
    if python is None:
        pytest.skip(f"There is no Python {request.param} on this machine.")
    return install(wheel, python, tmp_path_factory.mktemp("venv"))


@pytest.fixture
def shell(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(program, tmp_path_factory.mktemp("home"))


@pytest.fixture
def local() -> Iterator[Receiver]:
    """A developer's own server."""
    receiver = Receiver()
    yield receiver
    receiver.close()


def test_a_session_with_every_verb(shell: Shell, deployment: Deployment, receiver: Receiver, local: Receiver) -> None:
    deployment.start("beat")
    deployment.start("worker")
    _log_in(shell, deployment)
    _make_jobs(shell, receiver)
    _run_and_look(shell, receiver)
    _repeat_and_cancel(shell, receiver)
    _decide(shell)
    _follow(shell, receiver, local)
    _keep_jobs_in_files(shell, receiver)
    _fail_with_the_right_code(shell, deployment)
    assert verbs() - shell.used == set()


def _log_in(shell: Shell, deployment: Deployment) -> None:
    shell("jobs list", exits=Exit.ACCESS)
    shell(f"login {deployment.url}", stdin="hh_wrong", exits=Exit.ACCESS)
    shell(f"login {deployment.url}", stdin=f"{deployment.api_key}\n")
    assert "jobs:write" in json.loads(shell("whoami -o json"))["scopes"]
    assert "_hourhand_completion" in shell("completion bash")


def _make_jobs(shell: Shell, receiver: Receiver) -> None:
    shell("secrets set TOKEN", stdin="a secret value\n")
    assert shell.name("secrets list") == "TOKEN"
    call = ("--header", "X-Token: {{secrets.TOKEN}}", "--body", '{{input.day|default("")}}')
    shell(f"jobs create Nightly --endpoint {receiver.url}/nightly --method POST --schedule '0 2 * * *'", *call)
    assert shell.name("jobs list --search night") == "nightly"
    assert "At 02:00" in shell("jobs get nightly")
    shell("jobs edit nightly --timezone Europe/Berlin --tag billing")
    shell.typed("jobs edit nightly", "", EDITOR="sed -i s/Nightly/Report/")
    assert shell("jobs versions nightly -o name").split() == ["3", "2", "1"]
    assert "Report" in shell("jobs diff nightly")
    shell("jobs restore nightly 2")
    assert "production (paused)" in shell("jobs pause nightly --until 2h --note upgrade")
    assert "paused" not in shell("jobs resume nightly")
    assert "At 02:00 (Europe/Berlin)" in shell("schedules preview '0 2 * * *' --timezone Europe/Berlin")


def _run_and_look(shell: Shell, receiver: Receiver) -> None:
    assert "succeeded" in shell("jobs test nightly")
    execution = shell.name("""jobs run nightly --wait --timeout 60 --input '{"day": "2026-03-01"}'""")
    assert receiver.seen[-1]["body"] == b"2026-03-01"
    assert receiver.seen[-1]["headers"]["x-token"] == "a secret value"
    assert shell.name("executions list --job nightly --status succeeded --from 1h") == execution
    assert json.loads(shell(f"executions get {execution} -o json"))["input"] == {"day": "2026-03-01"}
    assert shell.name(f"executions watch {execution}") == execution
    run = shell.name(f"runs list --execution {execution}")
    assert json.loads(shell(f"runs get {run} -o json"))["response"]["body"] == "ok"
    assert "POST" in shell(f"logs {execution}")
    assert shell.name("jobs why nightly --at 2020-01-01") == "not_yet"
    assert "1 succeeded" in shell("stats --job nightly --from 1h")
    assert json.loads(shell("usage -o json"))["runs_used"] >= 1


def _repeat_and_cancel(shell: Shell, receiver: Receiver) -> None:
    broken = json.dumps({"request": {"url": f"{receiver.url}/status/500"}, "retry": {"max_attempts": 1}})
    shell("jobs create Broken -f -", stdin=broken)
    shell("jobs test broken", exits=Exit.EXECUTION_FAILED)
    shell("jobs run broken --wait", exits=Exit.EXECUTION_FAILED)
    failed = shell.name("executions list --job broken --limit 1")
    shell(f"executions watch {failed}", exits=Exit.EXECUTION_FAILED)
    shell(f"executions retry {failed} --wait", exits=Exit.EXECUTION_FAILED)
    replayed = shell.name(f"executions replay {failed} --config original", "--edit", f'{{"url": "{receiver.url}/ok"}}')
    shell(f"executions watch {replayed}")
    shell("executions retry --all --job broken", exits=Exit.USAGE)
    assert len(shell("executions retry --all --job broken --dry-run -o name").split()) == 2
    shell("executions retry --all --job broken --rate 100 --yes --wait")
    wait_for(
        lambda: len(shell("executions list --job broken --trigger retry --status failed -o name").split()) == 3,
        "the retries of the bulk operation to end",
    )
    later = [shell.name("jobs run broken --delay 3600") for _ in range(2)]
    assert "canceled" in shell(f"executions cancel {later[0]}")
    shell(f"executions cancel {later[0]}", exits=Exit.CONFLICT)
    shell("executions cancel --all --job broken --status pending --yes --wait")
    assert "canceled" in shell(f"executions get {later[1]}")


def _decide(shell: Shell) -> None:
    shell("jobs create -f -", stdin=json.dumps(APPROVAL))
    approved, rejected = (shell.name("jobs run refund") for _ in range(2))
    wait_for(lambda: len(shell("executions list --status waiting -o name").split()) == 2, "both to wait for a decision")
    shell(f"executions approve {approved} --note checked")
    shell(f"executions watch {approved}")
    shell(f"executions reject {rejected} --note unsure")
    shell(f"executions watch {rejected}", exits=Exit.EXECUTION_FAILED)
    shell(f"executions approve {rejected}", exits=Exit.CONFLICT)


def _follow(shell: Shell, receiver: Receiver, local: Receiver) -> None:
    following = shell.start("logs -f nightly --limit 0 -o name")
    listening = shell.start(f"listen nightly --forward-to {local.url} --count 1 -o jsonl")
    try:
        assert "Listening to nightly" in listening.stderr.readline()
        calls = len(receiver.seen)
        execution = shell.name("jobs run nightly --wait")
        assert listening.wait() == Exit.OK
        heard = json.loads(next(listening.lines()))
        assert (heard["status_code"], heard["body"]) == (200, "ok")
        assert "x-token" in heard["redacted"]
        assert next(following.lines()).strip() == shell.name(f"runs list --execution {execution}") == heard["run"]
        assert following.interrupt() == Exit.INTERRUPTED
        assert following.stderr.read() == "", "the stream of events is used, and lists are not"
    finally:
        following.close()
        listening.close()
    [request] = local.seen
    assert request["path"] == "/nightly"
    assert len(receiver.seen) == calls + 1


def _keep_jobs_in_files(shell: Shell, receiver: Receiver) -> None:
    file = shell.home / "jobs.json"
    file.write_text(shell("export --format json"))
    assert "0 to change, 0 to remove, 3 unchanged" in shell("plan -f jobs.json")
    jobs = json.loads(file.read_text())
    nightly = next(job for job in jobs["jobs"] if job["slug"] == "nightly")
    nightly["schedule"] = "30 4 * * *"
    file.write_text(json.dumps(jobs))
    shown = shell("plan -f jobs.json", exits=Exit.CHANGES)
    assert "~ nightly" in shown
    assert "next in production, before:" in shown
    shell("apply -f jobs.json", exits=Exit.USAGE)
    assert "Apply?" in shell.typed("apply -f jobs.json", "n\n", exits=Exit.ERROR)
    shell("apply -f jobs.json --owner billing --yes")
    shell("plan -f jobs.json --owner billing --prune")
    file.write_text(json.dumps({"jobs": [nightly]}))
    shell("plan -f jobs.json --owner billing --prune", exits=Exit.CHANGES)
    removed = shell.typed("apply -f jobs.json --owner billing --prune", "y\n")
    assert "Removed broken." in removed
    assert shell.name("jobs list") == "nightly"
    assert "1 created" in shell("import - --dry-run", stdin=f"@hourly {receiver.url}/hourly\n") + shell.stderr
    assert "1 created" in shell("import -", stdin=f"@hourly {receiver.url}/hourly\n") + shell.stderr


def _fail_with_the_right_code(shell: Shell, deployment: Deployment) -> None:
    shell("jobs get nope", exits=Exit.NOT_FOUND)
    shell("executions list --failure-reason sunspots", exits=Exit.ERROR)
    shell("jobs frobnicate", exits=Exit.USAGE)
    shell("secrets delete TOKEN --yes", exits=Exit.CONFLICT)
    shell("jobs delete nightly --no-input", exits=Exit.USAGE)
    assert "Delete nightly" in shell.typed("jobs delete nightly", "y\n")
    shell("secrets delete TOKEN --yes")
    shell("jobs list --url http://127.0.0.1:1", exits=Exit.ACCESS)
    shell(f"jobs list --url http://127.0.0.1:1 --key {deployment.api_key}", exits=Exit.AWAY)
    (shell.home / ".config" / "hourhand" / "config.toml").chmod(0o644)
    shell("jobs list", exits=Exit.ACCESS)


def test_the_library_is_in_the_same_wheel(shell: Shell, deployment: Deployment) -> None:
    """A program of a few lines, as the README has one."""
    program = (
        "import sys\n"
        "from hourhand import Client, NotFoundError, verify_webhook\n"
        "client = Client(sys.argv[1], sys.argv[2])\n"
        "client.jobs.create({'name': 'From Python', 'request': {'url': 'http://127.0.0.1:9/'}})\n"
        "print([job['slug'] for job in client.jobs.list()])\n"
        "try:\n"
        "    client.jobs.get('nope')\n"
        "except NotFoundError as error:\n"
        "    print(error.status, error.code)\n"
    )
    python = Path(shell.program).with_name("python")
    told = subprocess.run(
        [python, "-W", "error", "-c", program, deployment.url, deployment.api_key],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout == "['from-python']\n404 not_found\n"
