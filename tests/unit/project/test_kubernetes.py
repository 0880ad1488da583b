"""deploy/kubernetes agrees with docker-compose.yml, and is consistent."""

import re
from typing import Any

import pytest
import yaml
from django.test import Client
from django.urls import get_resolver

from tests.support.containers import ENV, compose, image, seconds
from tests.support.documented_settings import settings_documented
from tests.support.project import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
ROLES = ("web", "beat", "worker")
APPLIED = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]


def documents(*files: str) -> list[dict[str, Any]]:
    return [one for file in files for one in yaml.safe_load_all((FOLDER / file).read_text())]


def every(kind: str, *files: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in documents(*(files or APPLIED)) if one["kind"] == kind}


def pods() -> dict[str, dict[str, Any]]:
    """The pod templates, by component."""
    workloads = [*every("Deployment").values(), *every("Job").values()]
    return {one["metadata"]["labels"]["app.kubernetes.io/component"]: one["spec"]["template"] for one in workloads}


def container(role: str) -> dict[str, Any]:
    (one,) = pods()[role]["spec"]["containers"]
    return one


def labels_within(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


def test_all_files_are_applied_or_are_examples():
    files = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert files == set(APPLIED) | {name for name in files if ".example." in name}
    assert all("namespace" not in one["metadata"] for one in documents(*files))


@pytest.mark.parametrize("role", [*ROLES, "migrate"])
def test_the_commands_are_those_of_compose(role):
    service = compose(ENV)["services"][role]
    assert container(role).get("command", image().command) == service.get("command", image().command)


@pytest.mark.parametrize("role", ROLES)
def test_replicas_and_grace_periods_are_those_of_compose(role):
    service, workload = compose(ENV)["services"][role], every("Deployment")[f"hourhand-{role}"]["spec"]
    least = 1 if role == "beat" else 0
    assert workload["replicas"] >= max(2, service.get("deploy", {}).get("replicas", least))
    assert workload["template"]["spec"]["terminationGracePeriodSeconds"] >= seconds(service["stop_grace_period"])


@pytest.mark.parametrize("role", ["beat", "worker"])
def test_liveness_checks_are_those_of_compose(role):
    words = compose(ENV)["services"][role]["healthcheck"]["test"][1:]
    for probe in ("readinessProbe", "livenessProbe"):
        assert container(role)[probe]["exec"]["command"] == words


def test_the_probes_of_web_are_answered(client: Client, db: None):
    probes = {name: container("web")[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    for probe in probes.values():
        (host,) = probe["httpHeaders"]
        assert client.get(probe["path"], headers={host["name"]: host["value"]}).status_code == 200
        assert probe["port"] in {port["name"] for port in container("web")["ports"]}
    assert probes["livenessProbe"]["path"] == "/healthz", "a database that is away is no reason to kill a web process"


@pytest.mark.parametrize("role", [*ROLES, "migrate"])
def test_nothing_runs_as_root_gains_privileges_or_writes_to_the_root_file_system(role):
    spec = pods()[role]["spec"]
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)
    assert spec["securityContext"]["runAsNonRoot"]
    user, _, group = image().user.partition(":")
    assert (spec["securityContext"]["runAsUser"], spec["securityContext"]["runAsGroup"]) == (int(user), int(group))
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for one in [*spec.get("initContainers", []), *spec["containers"]]:
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= one["resources"]["requests"].keys()
        assert "memory" in one["resources"]["limits"]
        volumes = {volume["name"] for volume in spec["volumes"]}
        assert {mount["name"] for mount in one["volumeMounts"]} <= volumes


@pytest.mark.parametrize("role", ROLES)
def test_they_wait_for_the_migrations(role):
    (waits,) = pods()[role]["spec"]["initContainers"]
    assert "manage.py migrate --check" in waits["command"][-1]


class TestSettings:
    def given(self) -> dict[str, str]:
        (config,) = every("ConfigMap").values()
        (secret,) = every("Secret", "secret.example.yaml").values()
        assert not config["data"].keys() & secret["stringData"].keys()
        return {**config["data"], **secret["stringData"]}

    def test_are_known(self):
        assert self.given().keys() <= settings_documented()

    def test_name_what_nothing_runs_without(self):
        assert {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "HOURHAND_ENCRYPTION_KEYS"} <= self.given().keys()

    def test_secrets_come_without_values(self):
        (secret,) = every("Secret", "secret.example.yaml").values()
        assert set(secret["stringData"].values()) == {""}

    @pytest.mark.parametrize("role", [*ROLES, "migrate"])
    def test_reach_every_container(self, role):
        spec = pods()[role]["spec"]
        for one in [*spec.get("initContainers", []), *spec["containers"]]:
            assert one["envFrom"] == [{"configMapRef": {"name": "hourhand"}}, {"secretRef": {"name": "hourhand"}}]
        assert "hourhand" in every("ConfigMap")
        assert "hourhand" in every("Secret", "secret.example.yaml")


class TestSelectors:
    def test_workloads_find_their_own_pods_and_no_others(self):
        for name, workload in every("Deployment").items():
            selector = workload["spec"]["selector"]["matchLabels"]
            found = [role for role, pod in pods().items() if labels_within(selector, pod["metadata"]["labels"])]
            assert [f"hourhand-{role}" for role in found] == [name]

    @pytest.mark.parametrize("kind", ["PodDisruptionBudget", "Service"])
    def test_budgets_and_services_select_what_they_are_named_after(self, kind):
        for name, one in every(kind).items():
            selector = one["spec"]["selector"].get("matchLabels", one["spec"]["selector"])
            found = [role for role, pod in pods().items() if labels_within(selector, pod["metadata"]["labels"])]
            assert [f"hourhand-{role}" for role in found] == [name]
        assert {f"hourhand-{role}" for role in ROLES} == set(every("PodDisruptionBudget"))

    def test_no_service_puts_a_setting_into_the_environment(self):
        made = {f"{name.upper().replace('-', '_')}_PORT" for name in every("Service")}
        assert not made & settings_documented()

    def test_ingress_and_autoscaling_lead_to_what_is_there(self):
        (ingress,) = every("Ingress", "ingress.example.yaml").values()
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                service = every("Service")[path["backend"]["service"]["name"]]["spec"]
                assert path["backend"]["service"]["port"]["name"] in {port["name"] for port in service["ports"]}
        (scaler,) = every("HorizontalPodAutoscaler", "worker-autoscaling.example.yaml").values()
        assert scaler["spec"]["scaleTargetRef"]["name"] in every("Deployment")

    def test_only_workers_have_egress_and_only_web_has_ingress(self):
        policies = {name: one["spec"] for name, one in every("NetworkPolicy").items()}
        everyone = policies.pop("hourhand")
        assert all(
            labels_within(everyone["podSelector"]["matchLabels"], pod["metadata"]["labels"]) for pod in pods().values()
        )
        assert {port["port"] for rule in everyone["egress"] for port in rule["ports"]} == {53, 5432, 6379}
        assert "ingress" not in everyone
        opened = {name: policy["policyTypes"] for name, policy in policies.items()}
        assert opened == {"hourhand-web": ["Ingress"], "hourhand-worker": ["Egress"]}

    def test_web_is_reached_by_the_proxy_that_it_trusts_and_by_prometheus_alone(self):
        (rule,) = every("NetworkPolicy")["hourhand-web"]["spec"]["ingress"]
        assert all("namespaceSelector" in peer for peer in rule["from"])
        assert all(peer["namespaceSelector"].get("matchLabels") for peer in rule["from"])

    def test_the_ingress_routes_every_path_except_probes_and_metrics(self):
        (ingress,) = every("Ingress", "ingress.example.yaml").values()
        (rule,) = ingress["spec"]["rules"]
        paths = {path["path"]: path["pathType"] for path in rule["http"]["paths"]}
        assert paths.pop("/") == "Exact"
        assert set(paths.values()) == {"Prefix"}
        firsts = {re.split(r"[/<]", str(one.pattern).lstrip("^"))[0] for one in get_resolver().url_patterns}
        assert {path.strip("/") for path in paths} == firsts - {"", "healthz", "readyz", "metrics"} | {"static"}

    def test_workers_reach_no_private_address_by_default(self):
        (internet, _) = every("NetworkPolicy")["hourhand-worker"]["spec"]["egress"][0]["to"]
        assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= set(internet["ipBlock"]["except"])


def test_the_guide_names_every_file():
    guide = (ROOT / "docs" / "kubernetes.md").read_text()
    assert {path.name for path in FOLDER.glob("*.yaml")} <= set(re.findall(r"`([\w.-]+\.yaml)`", guide))
