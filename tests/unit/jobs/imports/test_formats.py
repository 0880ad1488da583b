"""Files of other schedulers: HTTP calls become jobs, everything else is refused with a reason."""

import datetime
from typing import Any

import pytest

from jobs.imports import FORMATS, Item, Options, ReadError
from jobs.imports.foreign import go_schedule
from jobs.schedule import parse_schedule

NOW = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)
BASE = "https://app.test/base"


def read(kind: str, value: Any, **said: Any) -> list[Item]:
    """Return the items of a file; texts are parsed by the format."""
    parse = FORMATS[kind].parse
    return FORMATS[kind].read(parse(value) if parse and isinstance(value, str) else value, Options(**said))


def jobs(items: list[Item]) -> list[dict[str, Any]]:
    """Return their jobs, whose schedules must parse."""
    found = [dict(item.definition or {"wrong": item.problem}) for item in items]
    for job in found:
        if "schedule" in job:
            parse_schedule(job["schedule"], timezone=job["timezone"], now=NOW, anchor=NOW)
    return found


def errors_of(items: list[Item]) -> list[str]:
    assert all(item.definition is None for item in items), items
    return [item.problem or "" for item in items]


class TestVercel:
    def test_paths_become_calls_below_the_base(self) -> None:
        value = {"crons": [{"path": "/api/x?a=1", "schedule": "0 5 * * *"}, {"path": "/y", "schedule": "*/5 * * * *"}]}
        first, second = read("vercel", {**value, "version": 2}, base_url=BASE + "/")
        assert dict(first.definition or {}) == {
            "name": "app.test/base/api/x", "schedule": "0 5 * * *", "timezone": "UTC",
            "request": {"url": f"{BASE}/api/x?a=1", "method": "GET"},
        }  # fmt: skip
        assert (second.definition or {})["request"]["url"] == f"{BASE}/y"
        assert "CRON_SECRET" in first.notes[0]

    @pytest.mark.parametrize(
        ("cron", "told"),
        [
            ({"path": "x", "schedule": "0 5 * * *"}, "start with /"),
            ({"path": "/a/../b", "schedule": "0 5 * * *"}, "no . or .."),
            ({"path": "/x"}, "schedule should be text"),
            ({"path": "/x", "schedule": "0 5 * * *", "region": "fra1"}, "region can't be imported"),
            ("x", "should be an object"),
        ],
    )
    def test_a_step_without_a_call_is_reported(self, cron: Any, told: str) -> None:
        (wrong,) = errors_of(read("vercel", {"crons": [cron]}, base_url=BASE))
        assert told in wrong

    def test_without_a_base_url_it_says_what_to_send(self) -> None:
        assert "base_url" in errors_of(read("vercel", {"crons": [{"path": "/x", "schedule": "0 5 * * *"}]}))[0]

    @pytest.mark.parametrize("value", [{}, [], {"crons": {}}])
    def test_a_file_without_crons_is_refused(self, value: Any) -> None:
        with pytest.raises(ReadError):
            read("vercel", value)


GITHUB = """\
name: Nightly report
on:
  schedule:
    - cron: '0 5 * * 1-5'
    - cron: '30 5 * * 0'
  workflow_dispatch:
jobs:
  call:
    runs-on: ubuntu-latest
    steps:
      - name: Call
        run: STEP
"""


class TestGithub:
    def test_a_step_that_is_a_call_becomes_a_job_for_each_cron(self) -> None:
        step = "|\n          curl -fsS -H 'Authorization: Bearer ${{ secrets.TOKEN }}' https://a.test/x"
        first, second = jobs(read("github", GITHUB.replace("STEP", step)))
        headers = {"Authorization": "Bearer {{secrets.TOKEN}}"}
        assert first == {
            "name": "Nightly report", "schedule": "0 5 * * 1-5", "timezone": "UTC",
            "request": {"url": "https://a.test/x", "method": "GET", "headers": headers},
        }  # fmt: skip
        assert second["schedule"] == "30 5 * * 0"

    def test_a_command_may_go_over_several_lines(self) -> None:
        step = "|\n          curl -d a=1 \\\n            https://a.test/x"
        assert jobs(read("github", GITHUB.replace("STEP", step)))[0]["request"]["body"] == "a=1"

    @pytest.mark.parametrize(
        "workflow",
        [
            GITHUB.replace("STEP", "npm test"),
            GITHUB.replace("run: STEP", "uses: actions/checkout@v4"),
            GITHUB.replace("STEP", "curl https://a.test/x\n      - run: echo"),
            GITHUB.replace("STEP", "curl https://a.test/${{ github.sha }}"),
            GITHUB.replace("STEP", "curl https://a.test/x").replace("    runs-on", "    if: false\n    runs-on"),
            GITHUB.replace("STEP", "curl https://a.test/x") + "  other:\n    runs-on: x\n    steps: []\n",
            GITHUB.replace("STEP", "curl https://a.test/x\nenv:\n  http_proxy: x").replace("x\nenv", "x")
            + "env: {A: b}\n",
            GITHUB.replace("STEP", "|\n          curl https://a.test/x\n          curl https://a.test/y"),
        ],
    )
    def test_anything_but_a_single_call_is_refused(self, workflow: str) -> None:
        try:
            assert all(errors_of(read("github", workflow)))
        except ReadError as refused:
            assert str(refused)  # noqa: PT017

    @pytest.mark.parametrize("text", ["on: push", "a: 1", "on:\n  schedule: x", "- x", "a: 1\n---\nb: 2"])
    def test_a_file_without_a_schedule_is_refused(self, text: str) -> None:
        with pytest.raises(ReadError):
            read("github", text)


CRONJOB = """\
apiVersion: batch/v1
kind: CronJob
metadata: {name: report}
spec:
  schedule: "SCHEDULE"
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 120
  suspend: SUSPEND
  jobTemplate:
    spec:
      backoffLimit: 2
      activeDeadlineSeconds: 60
      template:
        spec:
          restartPolicy: Never
          containers:
          - name: call
            image: curlimages/curl:8.9.1
            COMMAND
"""


def cronjob(command: str, schedule: str = "0 2 * * *", suspend: str = "false") -> str:
    return CRONJOB.replace("COMMAND", command).replace("SCHEDULE", schedule).replace("SUSPEND", suspend)


class TestKubernetes:
    @pytest.mark.parametrize(
        "command",
        [
            'command: [curl, -fsS, "https://a.test/x"]',
            'args: [-fsS, "https://a.test/x"]',
            "command: [/bin/sh, -c, 'curl -fsS https://a.test/x']",
            "command: [sh]\n            args: [-c, 'timeout 90 curl https://a.test/x']",
        ],
    )
    def test_a_container_that_calls_becomes_a_job(self, command: str) -> None:
        (job,) = jobs(read("kubernetes", cronjob(command), timezone="Europe/Berlin"))
        assert job == {
            "name": "report", "schedule": "0 2 * * *", "timezone": "Europe/Berlin", "overlap": "skip",
            "misfire_grace_seconds": 120, "retry": {"max_attempts": 3},
            "request": {"url": "https://a.test/x", "method": "GET", "timeout_seconds": 60},
        }  # fmt: skip

    def test_arguments_are_those_of_the_container_without_shell_splitting(self) -> None:
        (job,) = jobs(read("kubernetes", cronjob("args: [-d, 'a b; $c > d', https://a.test/x]")))
        assert job["request"]["body"] == "a b; $c > d"

    def test_several_documents_lists_and_other_kinds(self) -> None:
        one = cronjob("args: [https://a.test/x]")
        other = "kind: Service\nmetadata: {name: x}\n"
        listed = "kind: List\nitems:\n- " + one.replace("\n", "\n  ")
        items = read("kubernetes", f"{one}---\n{other}---\n---\n{listed}\n---\n{cronjob('command: [x]')}")
        assert [item.definition is not None for item in items] == [True, True, False]
        with pytest.raises(ReadError, match="CronJob"):
            read("kubernetes", other)

    def test_a_suspended_cronjob_is_imported_disabled(self) -> None:
        (item,) = read("kubernetes", cronjob("args: [https://a.test/x]", suspend="true"))
        assert not item.enabled

    @pytest.mark.parametrize(
        ("schedule", "ours", "zone"),
        [
            ("@every 1h30m", {"every_seconds": 5400}, "UTC"),
            ("CRON_TZ=Asia/Tokyo 0 2 * * *", "0 2 * * *", "Asia/Tokyo"),
            ("0 0 */2 * 1", "0 0 1-31/2 * 1", "UTC"),
            ("0 0 1 * */2", "0 0 1 * 0-6/2", "UTC"),
            ("0 0 ? * 1", "0 0 * * 1", "UTC"),
        ],
    )
    def test_schedules_keep_their_meaning(self, schedule: str, ours: Any, zone: str) -> None:
        (job,) = jobs(read("kubernetes", cronjob("args: [https://a.test/x]", schedule)))
        assert (job["schedule"], job["timezone"]) == (ours, zone)

    @pytest.mark.parametrize(
        ("old", "new", "told"),
        [
            ("args: [https://a.test/x]", "command: [python, x.py]", "runs no programs"),
            ("args: [https://a.test/x]", "args: [$(URL)]", "$(NAME)"),
            ("args: [https://a.test/x]", "args: [-m, 5, https://a.test/x]", "in quotes"),
            ("backoffLimit: 2", "parallelism: 2", "several calls"),
            ("concurrencyPolicy: Forbid", "concurrencyPolicy: forbid", "concurrencyPolicy"),
            ("suspend: false", "suspend: yes", "true or false"),
            ("          containers:", "          initContainers: [{}]\n          containers:", "one container"),
            ("args: [https", "env: [{name: http_proxy, value: x}]\n            args: [https", "http_proxy"),
            ("args: [https", "envFrom: [{}]\n            args: [https", "envFrom"),
            ("  schedule:", "  timeZone: UTC\n  schedule:", ""),
        ],
    )
    def test_anything_but_a_single_call_is_refused(self, old: str, new: str, told: str) -> None:
        text = cronjob("args: [https://a.test/x]").replace(old, new)
        if told:
            assert told in errors_of(read("kubernetes", text))[0]
        else:
            text = text.replace('"0 2', '"TZ=UTC 0 2')
            assert "remove one" in errors_of(read("kubernetes", text))[0]


class TestAppEngine:
    @pytest.mark.parametrize(
        ("words", "schedule"),
        [
            ("every 12 hours", {"every_seconds": 43200}),
            ("every 5 minutes", {"every_seconds": 300}),
            ("every 2 mins", {"every_seconds": 120}),
            ("every 30 minutes synchronized", "*/30 * * * *"),
            ("every 6 hours synchronized", "0 */6 * * *"),
            ("every day 00:00", "0 0 * * *"),
            ("every monday 09:00", "0 9 * * 1"),
            ("every mon,wed,friday 9:05", "5 9 * * 1,3,5"),
            ("1st monday of sep,oct,nov 17:00", "0 17 * 9,10,11 1#1"),
            ("2nd,third mon,thu of march 17:00", "0 17 * 3 1#2,1#3,4#2,4#3"),
            ("1 of jan,april,july,oct 00:00", "0 0 1 1,4,7,10 *"),
            ("1,15 of month 04:30", "30 4 1,15 * *"),
            ("every thu of jan 10:00", "0 10 * 1 4"),
        ],
    )
    def test_schedule_words_become_the_same_times(self, words: str, schedule: Any) -> None:
        text = f"cron:\n- url: /tasks/x\n  schedule: {words}\n  timezone: Europe/Berlin\n"
        (job,) = jobs(read("app_engine", text, base_url=BASE))
        assert (job["schedule"], job["timezone"], job["request"]["url"]) == (
            schedule,
            "Europe/Berlin",
            f"{BASE}/tasks/x",
        )

    @pytest.mark.parametrize(
        "entry",
        [
            "{url: /x, schedule: every 5 minutes from 10:00 to 14:00}",
            "{url: /x, schedule: every 7 minutes synchronized}",
            "{url: /x, schedule: every 0 minutes}",
            "{url: /x, schedule: every blue moon 10:00}",
            "{url: /x, schedule: every day 00:00, target: worker}",
            "{url: /x, schedule: every day 00:00, login: admin}",
            "{url: /x, schedule: every day 00:00, retry_parameters: {min_backoff_seconds: 3}}",
            "{schedule: every day 00:00}",
            "{url: /x}",
        ],
    )
    def test_options_that_can_not_be_imported_are_reported(self, entry: str) -> None:
        assert errors_of(read("app_engine", f"cron:\n- {entry}\n", base_url=BASE))[0]

    def test_a_description_is_the_name_and_retries_are_attempts(self) -> None:
        entry = "{url: /x, schedule: every day 00:00, description: Nightly, retry_parameters: {job_retry_limit: 4}}"
        (job,) = jobs(read("app_engine", f"cron:\n- {entry}\n", base_url=BASE, timezone="Asia/Tokyo"))
        assert (job["name"], job["retry"], job["timezone"]) == ("Nightly", {"max_attempts": 5}, "Asia/Tokyo")


@pytest.mark.parametrize(
    "text",
    [
        "nightly:\n  cron: '0 5 * * *'\n  class: HardWorker\n",
        '{"nightly": {"cron": "0 5 * * *", "klass": "HardWorker", "args": [1]}}',
        "- {name: nightly, cron: 0 5 * * *, class: HardWorker}",
    ],
)
def test_sidekiq_classes_are_reported_with_what_they_need(text: str) -> None:
    (wrong,) = errors_of(read("sidekiq", text))
    assert all(word in wrong for word in ("nightly", "HardWorker", "route", "0 5 * * *"))


class TestDkron:
    JOB = {
        "name": "report", "schedule": "0 30 2 * * *", "timezone": "Europe/Berlin", "retries": 2, "concurrency": "forbid",  # noqa: E501
        "owner": "me", "tags": {"a": "b:1"}, "executor": "http",
        "executor_config": {
            "method": "POST", "url": "https://a.test/x", "headers": '["A: b"]', "body": "c", "timeout": "20",
            "expectCode": "200, 204", "expectBody": "ok", "tlsNoVerifyPeer": "true", "debug": "true",
        },
    }  # fmt: skip

    def test_an_http_executor_becomes_a_job(self) -> None:
        (item,) = read("dkron", self.JOB)
        assert jobs([item]) == [
            {
                "name": "report", "schedule": "0 30 2 * * *", "timezone": "Europe/Berlin", "overlap": "skip",
                "request": {
                    "url": "https://a.test/x", "method": "POST", "headers": {"A": "b"}, "body": "c", "timeout_seconds": 20,  # noqa: E501
                    "tls_verify": False,
                },
                "retry": {"max_attempts": 3},
                "success": {"statuses": ["200", "204"], "assertions": [{"type": "body_contains", "value": "ok"}]},
            }
        ]  # fmt: skip
        assert "tags is left out." in item.notes

    @pytest.mark.parametrize(
        ("change", "schedule"),
        [
            ({"schedule": "@every 10s"}, {"every_seconds": 10}),
            ({"schedule": "@at 2030-01-02T15:04:00Z"}, "2030-01-02T15:04:00Z"),
            ({"schedule": "@manually"}, None),
            ({"schedule": "@minutely"}, "* * * * *"),
            ({"schedule": "@daily"}, "@daily"),
            (
                {"executor": "shell", "executor_config": {"shell": "true", "command": "curl a.test", "timeout": "9s"}},
                "0 30 2 * * *",
            ),
        ],
    )
    def test_schedules_and_shell_executors(self, change: dict[str, Any], schedule: Any) -> None:
        (job,) = jobs(read("dkron", [{**self.JOB, **change}]))
        assert job["schedule"] == schedule

    @pytest.mark.parametrize(
        "change",
        [
            {"executor": "kafka"},
            {"executor": "shell", "executor_config": {"command": "/opt/x.sh"}},
            {"executor": "shell", "executor_config": {"command": "curl a.test", "env": "A=b"}},
            {"parent_job": "other"},
            {"ephemeral": True},
            {"executor_config": {"method": "GET", "url": "https://a.test/", "expectBody": "a.*b"}},
            {"executor_config": {"method": "GET", "url": "https://a.test/", "tlsCertificateFile": "x"}},
            {"executor_config": {"method": "GET", "url": "https://a.test/", "headers": "A: b"}},
            {"concurrency": "maybe"},
            {"retries": "2"},
            {"surprise": 1},
        ],
    )
    def test_options_that_can_not_be_imported_are_reported(self, change: dict[str, Any]) -> None:
        assert errors_of(read("dkron", {**self.JOB, **change}))[0]

    def test_a_disabled_job_is_imported_disabled(self) -> None:
        assert not read("dkron", {**self.JOB, "disabled": True})[0].enabled


def test_a_step_in_a_day_field_is_no_star() -> None:
    """robfig/cron: `*/2` in a day field does not count as `*`, so that either day field is enough."""
    schedule, _ = go_schedule("0 0 */10 * 1")
    planned = parse_schedule(schedule, timezone="UTC", now=NOW, anchor=NOW)
    assert planned is not None
    days, at = [], NOW
    for _ in range(8):
        at = planned.next_after(at) or at
        days.append((at.day, at.isoweekday()))
    assert all(day in (1, 11, 21, 31) or weekday == 1 for day, weekday in days)
    assert {weekday == 1 for _, weekday in days} == {True, False}
