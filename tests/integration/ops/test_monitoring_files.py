"""The Grafana dashboard and the alert rules query existing metrics only."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from django.db import connection
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from runs.models import PruningRound
from runs.monitoring import heartbeats
from tests.support.project import ROOT
from tests.support.promql import MalformedError, parse_query

DOCS = ROOT / "docs"
SCRAPED = {"job", "instance"}  # labels that Prometheus adds
Told = dict[str, dict[str, set[str]]]


@pytest.fixture
def told(transactional_db: None, client: Client) -> Told:
    """Return every series of an installation with activity: by name, its labels with their values."""
    now = timezone.now()
    PruningRound.objects.create(started_at=now, finished_at=now)
    with connection.cursor() as cursor:
        heartbeats.report(cursor, heartbeats.Process.beat(), heartbeats.BeatReport(tick_ms=1.0, sends_chores=True))
        news = heartbeats.WorkerReport(in_flight=0, waiting=0, capacity=1, draining=False)
        heartbeats.report(cursor, heartbeats.Process.worker("worker@here"), news)
    found: Told = {}
    for family in text_string_to_metric_families(client.get("/metrics").content.decode()):
        for sample in family.samples:
            labels = found.setdefault(sample.name, defaultdict(set))
            for label, value in sample.labels.items():
                labels[label].add(value)
    return found


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((DOCS / "monitoring/grafana-dashboard.json").read_text())
    return loaded


def rules() -> list[dict[str, Any]]:
    loaded = yaml.safe_load((DOCS / "monitoring/alerts.yml").read_text())
    return [rule for group in loaded["groups"] for rule in group["rules"]]


def queries() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ()))


def test_every_query_uses_existing_series_labels_and_values(told: Told):
    for query in queries():
        asked = parse_query(query)
        for name, wanted in asked.series:
            assert name in told, query
            labels = {**told[name], **{key: {"$job"} for key in SCRAPED}}
            for label, values in wanted.items():
                assert set(values) <= labels.get(label, set()), query
            assert asked.grouped_by <= set(labels), query


def test_histograms_are_queried_by_bucket_and_counters_by_rate():
    for query in queries():
        for name, _ in parse_query(query).series:
            counts = name.endswith(("_total", "_bucket", "_sum", "_count"))
            assert bool(re.search(rf"(rate|increase)\({name}\b", query)) == counts, query


@pytest.mark.parametrize(
    "query", ["max(", "max(a))", "rate", "sum by (a", 'max(a{b="c)', "rate(a[five])", "max(a{b:c})", "1 + 1", "a ~ b"]
)
def test_a_broken_query_is_noticed(query: str):
    with pytest.raises((MalformedError, ValueError)):
        parse_query(query)


def test_the_documentation_lists_exactly_the_metrics(told: Told):
    text = (DOCS / "monitoring.md").read_text()
    table = text[text.index("| metric |") : text.index("## Grafana dashboard")]
    documented = set(re.findall(r"`(hourhand_\w+)(?:\{[^}]*\})?`", table))
    bare = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in told}
    assert documented == {name for name in bare if name.startswith("hourhand_")}


def test_panels_have_unique_ids_descriptions_and_the_chosen_datasource():
    board = dashboard()
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert [variable["name"] for variable in board["templating"]["list"]] == ["datasource", "job"]
    for panel in panels:
        if panel["type"] != "row":
            assert panel["title"]
            assert panel["description"]
            asked = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
            assert all(one == {"type": "prometheus", "uid": "${datasource}"} for one in asked)


def test_panels_do_not_overlap():
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        places = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not places & taken
        taken |= places


def test_every_alert_has_a_severity_a_summary_and_an_action():
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[mh]", rule.get("for", "1m"))
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert set(rule["annotations"]) == {"summary", "action"}
        assert rule["annotations"]["summary"].endswith((".", "!"))
