"""Where a real worker's calls can go: in a network where every address answers and the name server lies."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from jobs.egress import AddressRefusal
from tests.support import island as islands
from tests.support.deployment import Deployment, installed
from tests.support.deployment_databases import Template
from tests.support.island import PUBLIC, Answers, Island
from tests.support.waiting import wait_for

EACH = 3
HERE, NOT_HERE = PUBLIC[0], "93.184.215.15"
NOT_PUBLIC = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1",  # noqa: S104
    "169.254.169.254", "192.0.0.192", "168.63.129.16", "224.0.0.1", "255.255.255.255", "::1", "::", "::ffff:127.0.0.1",
    "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::80ff:fffe", "fe80::1",
    "fd00::1", "ff02::1",
]  # fmt: skip
#: Names that change their address, and names with several. A call may reach the public one, or be blocked.
CHANGING: dict[str, Answers] = {
    **{f"public-first-{number}.example": {"A": [[HERE], ["127.0.0.1"]]} for number in range(5)},
    **{f"private-first-{number}.example": {"A": [["127.0.0.1"], [HERE]]} for number in range(5)},
    "mixed.example": {"A": [[HERE, "127.0.0.1"]]},
    "mixed-other-way-round.example": {"A": [["127.0.0.1", HERE]]},
    "mixed-families.example": {"A": [[HERE]], "AAAA": [["::1"]]},
    "mixed-families-turning.example": {"A": [[HERE], ["127.0.0.1"]], "AAAA": [[PUBLIC[1]], ["::1"]]},
}
#: The only public address does not answer; the next one must not be tried.
FALLING_BACK: dict[str, Answers] = {
    "fallback.example": {"A": [[NOT_HERE, "127.0.0.1"]]},
    "fallback-other-way-round.example": {"A": [["127.0.0.1", NOT_HERE]]},
    "fallback-families.example": {"A": [[NOT_HERE]], "AAAA": [["::1"]]},
}
SPELLINGS = [
    "http://127.0.0.1/", "http://127.0.0.1:80/", "http://127.0.0.1:443/", "https://127.0.0.1/", "http://127.1.2.3/",
    "http://127.1/", "http://127.0.1/", "http://2130706433/", "http://0x7f000001/", "http://0x7f.0.0.1/",
    "http://0x7f.1/", "http://017700000001/", "http://0177.0.0.1/", "http://0177.0.0.01/", "http://00000177.0.0.1/",
    "http://4294967297/", "http://127.0.0.1./", "http://127.0.0.1../", "http://0/", "http://0.0.0.0/", "http://0x0/",
    "http://[::]/", "http://[::1]/", "http://[0:0:0:0:0:0:0:1]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/", "http://[::ffff:0:127.0.0.1]/", "http://[64:ff9b::127.0.0.1]/",
    "http://[64:ff9b:1::7f00:1]/", "http://[2002:7f00:1::]/", "http://[::1%25lo]/", "http://[::1%lo]/",
    "http://[fe80::1%25lo]/", "http://\u2460\u2461\u2466.0.0.1/", "http://127\u30020.0.1/",
    "http://\uff11\uff12\uff17.0.0.1/", "http://localhost/", "http://LOCALHOST/", "http://localhost./",
    "http://l\u24deca\u24dbhost/", "http://ip6-localhost/", "http://x@127.0.0.1/", "http://x:y@127.0.0.1/",
    f"http://{HERE}@127.0.0.1/", f"http://{HERE}:80@127.0.0.1/", f"http://127.0.0.1\\@{HERE}/",
    f"http://{HERE}\\@127.0.0.1/", "http://127.0.0.1#x/", "http://127.0.0.1?x",
    "http://127.0.0.1%00.public.example/", "http://127.0.0.1%2e/", "http://%31%32%37.0.0.1/", "http:127.0.0.1/",
    "http:/127.0.0.1/", "http:///127.0.0.1/", "//127.0.0.1/", "127.0.0.1", "\thttp://127.0.0.1/",
    "http://127.0.0.1\t/", "http://127.0.0.1\n/", "HtTp://127.0.0.1/", "http://127.0.0.1:080/", "http://127.0.0.1:0x50/",
    "http://127.0.0.1:8080/", "ftp://127.0.0.1:80/", "gopher://127.0.0.1:80/_GET", "file:///etc/hostname",
    "dict://127.0.0.1:80/x", "unix:///run/x.sock", "http://private.example/", "http://127.0.0.1.wild.example/",
    "http://PRIVATE.example./",
]  # fmt: skip
ZONE: dict[str, Answers] = {
    "public.example": {"A": [[HERE]]},
    "later.example": {"A": [[HERE]]},
    "private.example": {"A": [["127.0.0.1"]], "AAAA": [["::1"]]},
    "127.0.0.1.wild.example": {"A": [["127.0.0.1"]]},
    **{f"private-{index}.example": {"AAAA" if ":" in ip else "A": [[ip]]} for index, ip in enumerate(NOT_PUBLIC)},
    **CHANGING,
    **FALLING_BACK,
}

pytestmark = [
    pytest.mark.edges,
    pytest.mark.skipif(
        not islands.can_be_made(),
        reason="no namespaces on this machine; tests/integration/workers/delivery/test_rebinding.py covers the guard",
    ),
]


@dataclass
class Colony:
    """A deployment whose worker runs on the island."""

    deployment: Deployment
    island: Island
    count: int = 0

    def start_worker(self, **outbound: str) -> None:
        """Start a worker with an empty DNS cache and these outbound settings."""
        if "worker" in self.deployment.processes:
            self.deployment.kill("worker", 15)
        if outbound:
            self.deployment.kill("beat", 15)
            self.deployment.environment |= outbound
            self.deployment.manage("settings_changed")
            self.deployment.start("beat")
        self.deployment.start("worker", within=self.island.within)

    def call(self, *urls: str, each: int = 1) -> list[list[dict[str, Any]]]:
        """Make the worker call these URLs, bypassing validation, and return the runs of each."""
        slugs = []
        for url in urls:
            self.count += 1
            slugs.append(f"call-{self.count}")
            harmless = {"url": "http://public.example/", "method": "GET", "timeout_seconds": 5}
            self.deployment.make_job(slugs[-1], request=harmless, retry={"max_attempts": 1})
            self.deployment.rows(
                "UPDATE jobs_jobversion SET config = jsonb_set(config, '{request,url}', to_jsonb(%s::text))"
                " WHERE job_id = (SELECT id FROM jobs_job WHERE slug = %s)",
                url,
                slugs[-1],
            )
            self.deployment.make_pending(slugs[-1], each, enqueued=False)
        wait_for(lambda: self.deployment.unfinished() == 0, "everything to end")
        return [self.deployment.call("GET", f"/runs/?job={slug}")["results"] for slug in slugs]


@pytest.fixture(scope="module")
def colony(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Colony]:
    with (
        contextlib.closing(Island(tmp_path_factory.mktemp("island"))) as island,
        installed(template, tmp_path_factory.mktemp("deployment"), outbound={}) as deployment,
    ):
        island.zone(ZONE)
        made = Colony(deployment, island)
        deployment.start("beat")
        made.start_worker()
        yield made


def reached(runs: Sequence[dict[str, Any]]) -> list[str | None]:
    """Return the remote address of each succeeded run, and None for a blocked one. Fails on any other outcome."""
    ends = []
    for run in runs:
        if run["failure_reason"] == "ssrf_blocked":
            assert (run["response"], run["timings"]["connect_ms"]) == (None, None)
            ends.append(None)
        else:
            assert run["status"] == "succeeded", run["error"]
            ends.append(run["response"]["remote_ip"])
    return ends


def public_only(colony: Colony) -> bool:
    """Return whether all connections so far went to public addresses."""
    return {ip for ip, _ in colony.island.connections()} <= set(PUBLIC)


def test_a_public_address_is_reached(colony: Colony) -> None:
    """Without this, the other tests would pass for a worker that reaches nothing."""
    urls = ["http://public.example/", "http://public.example:443/", f"http://{HERE}/", f"http://{HERE}#@127.0.0.1:80/"]
    assert [reached(runs) for runs in colony.call(*urls)] == [[HERE]] * len(urls)
    assert (HERE, 443) in colony.island.connections()


def test_a_name_that_resolves_to_a_non_public_address_is_blocked(colony: Colony) -> None:
    names = [f"private-{index}.example" for index in range(len(NOT_PUBLIC))]
    ends = colony.call(*(f"http://{name}/" for name in names))
    for name, ip, (run,) in zip(names, NOT_PUBLIC, ends, strict=True):
        assert run["failure_reason"] == "ssrf_blocked", (ip, run["error"])
        assert run["error"].startswith(f"blocked: {name} resolves to ")
        assert any(run["error"].endswith(refusal.description) for refusal in AddressRefusal)
        assert reached([run]) == [None]
    assert public_only(colony)
    assert colony.island.asked() >= set(names)


def test_a_name_that_changes_is_checked_at_connection_time(colony: Colony) -> None:
    ends = colony.call(*(f"http://{name}/" for name in CHANGING), each=EACH)
    for name, runs in zip(CHANGING, ends, strict=True):
        assert len(runs) == EACH
        assert set(reached(runs)) <= {None, *PUBLIC}, name
    assert public_only(colony)
    assert any(None in reached(runs) for runs in ends)
    assert any(HERE in reached(runs) for runs in ends)


def test_a_silent_public_address_has_no_non_public_fallback(colony: Colony) -> None:
    for (run,) in colony.call(*(f"http://{name}/" for name in FALLING_BACK)):
        assert run["failure_reason"] in {"ssrf_blocked", "connection_error"}
        assert run["response"] is None
    assert public_only(colony)


def test_a_name_that_was_public_when_saved_is_checked_again(colony: Colony) -> None:
    url = "http://later.example/"
    colony.deployment.make_job("later", request={"url": url, "method": "GET"}, retry={"max_attempts": 1})
    assert reached(colony.call(url)[0]) == [HERE]
    colony.island.zone({**ZONE, "later.example": {"A": [["127.0.0.1"]]}})
    colony.start_worker()
    assert reached(colony.call(url)[0]) == [None]
    assert public_only(colony)


def test_no_url_spelling_reaches_a_non_public_address(colony: Colony) -> None:
    for url, (run,) in zip(SPELLINGS, colony.call(*SPELLINGS), strict=True):
        assert run["status"] == "failed", url
        assert run["failure_reason"] in {"invalid_url", "ssrf_blocked", "dns_error"}, (url, run["error"])
        assert run["response"] is None
    assert public_only(colony)


def test_only_host_names_among_the_spellings_are_saved_and_calls_to_them_are_blocked(colony: Colony) -> None:
    names = {url for url in SPELLINGS if "localhost" in url.lower() or "private" in url.lower() or "wild" in url}
    refused = set()
    for index, url in enumerate(SPELLINGS):
        try:
            colony.deployment.make_job(
                f"saved-{index}", request={"url": url, "method": "GET"}, retry={"max_attempts": 1}
            )
        except AssertionError:
            refused.add(url)
        else:
            colony.deployment.make_pending(f"saved-{index}", 1, enqueued=False)
    assert set(SPELLINGS) - refused <= names
    wait_for(lambda: colony.deployment.unfinished() == 0, "everything to end")
    assert colony.deployment.rows(
        "SELECT count(*) FROM runs_run AS run JOIN jobs_job AS job ON job.id = job_id"
        " WHERE job.slug LIKE 'saved-%%' AND run.status = 'succeeded'"
    ) == [(0,)]
    assert public_only(colony)


def test_an_allow_list_opens_exactly_its_entries(colony: Colony) -> None:
    """Allow one network, one host, one more port. Must run last: the worker then reaches non-public addresses."""
    opened = {
        "http://127.0.9.1/": ("127.0.9.1", 80),
        "http://127.0.9.255:8080/": ("127.0.9.255", 8080),
        "http://in-network.example/": ("127.0.9.7", 80),
        "http://inner.example/": ("127.0.0.7", 80),
        "http://INNER.example.:8080/": ("127.0.0.7", 8080),
        "http://public.example/": (HERE, 80),
    }
    closed = [
        "http://127.0.8.255/", "http://127.0.10.0/", "http://127.0.0.1/", "http://127.0.0.7/", "http://[::1]/",
        "http://[::ffff:127.0.9.1]/", "http://[64:ff9b::7f00:901]/", "http://localhost/", "http://other.example/",
        "http://sub.inner.example/", "http://inner.example.evil.example/", "http://127.0.9.1:8081/",
        "http://inner.example:8081/", "http://public.example:8081/", "http://2130708737/", "http://half.example/",
    ]  # fmt: skip
    colony.island.zone(
        {
            **ZONE,
            "in-network.example": {"A": [["127.0.9.7"]]},
            "inner.example": {"A": [["127.0.0.7"]]},
            "other.example": {"A": [["127.0.0.7"]]},
            "sub.inner.example": {"A": [["127.0.0.7"]]},
            "inner.example.evil.example": {"A": [["127.0.0.7"]]},
            "half.example": {"A": [["127.0.0.7", "127.0.10.1"]]},
        }
    )
    colony.start_worker(HOURHAND_OUTBOUND_ALLOW="127.0.9.0/24, inner.example", HOURHAND_OUTBOUND_PORTS="80,443,8080")
    before = len(colony.island.connections())
    for url, (run,) in zip(closed, colony.call(*closed), strict=True):
        assert run["failure_reason"] in {"invalid_url", "ssrf_blocked"}, (url, run["error"])
    assert colony.island.connections()[before:] == []
    for (url, (ip, _)), runs in zip(opened.items(), colony.call(*opened), strict=True):
        assert reached(runs) == [ip], url
    assert set(colony.island.connections()[before:]) == set(opened.values())
