"""The charts without a cluster: what they make of nine sets of values, what they refuse, and that they do not differ from the code."""

import base64
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CHARTS = ROOT / "charts"
HELM = os.environ["SFUMATO_HELM"]
OPERATOR = os.environ["SFUMATO_OPERATOR"]
SETS = sorted(path.stem for path in (HERE / "values").glob("*.yaml"))


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([HELM, *arguments], capture_output=True, text=True, check=False, cwd=ROOT)


def render(chart: str, *options: str, release: str = "it", namespace: str = "media") -> str:
    done = helm("template", release, str(CHARTS / chart), "--namespace", namespace, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(rendered: str) -> list[dict]:
    return [item for item in yaml.safe_load_all(rendered) if item]


def refusal(chart: str, *options: str) -> str:
    done = helm("template", "it", str(CHARTS / chart), *options)
    assert done.returncode != 0, f"{options} are taken:\n{done.stdout}"
    return done.stderr


def set_of(name: str) -> tuple[str, str]:
    """The chart, and the option with the values."""
    return name.partition(".")[0], f"--values={HERE / 'values' / name}.yaml"


def is_a_file(item: dict) -> bool:
    """Whether an object is a file of the repository already: the definition, and the dashboard."""
    return item["kind"] == "CustomResourceDefinition" or "grafana_dashboard" in item["metadata"].get("labels", {})


@pytest.mark.parametrize("name", SETS)
def test_what_is_rendered_is_what_was_looked_at(name):
    chart, values = set_of(name)
    made = [item for item in objects(render(chart, values)) if not is_a_file(item)]
    made.sort(key=lambda item: (item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]))
    text = yaml.safe_dump_all(made, sort_keys=True, width=150)
    kept = HERE / "rendered" / f"{name}.yaml"
    if os.environ.get("SFUMATO_CHARTS_WRITE"):
        kept.write_text(text)
    assert kept.read_text() == text, f"{kept} is stale: SFUMATO_CHARTS_WRITE=1 writes it; look at the difference"


@pytest.mark.parametrize("chart", ["sfumato", "sfumato-cluster"])
def test_helm_finds_nothing_to_say(chart):
    done = helm("lint", "--strict", str(CHARTS / chart))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout, done.stdout
    assert "[INFO]" not in done.stdout, done.stdout


@pytest.mark.parametrize(
    ("chart", "option", "words"),
    [
        ("sfumato", "replica=3", "replica"),
        ("sfumato", "nodeAccess=sometimes", "nodeAccess"),
        ("sfumato", "image.digest=latest", "digest"),
        ("sfumato", "clusters.nodeImage.repo=x", "repo"),
        ("sfumato", "serviceAccount.create=false", "serviceAccount.name"),
        ("sfumato", "watchNamespaces[0]=Team", "watchNamespaces"),
        ("sfumato", "clusters.defaults.replicas=3", "replicas"),
        ("sfumato", "clusters.defaults.userIds=Root", "userIds"),
        ("sfumato", "clusters.defaults.resources.limit.cpu=1", "/clusters/defaults/resources': additional properties 'limit'"),
        ("sfumato", "clusters.defaults.web.pods.toleration=x", "/clusters/defaults/web/pods': additional properties 'toleration'"),
        ("sfumato", "clusters.redisImage.tag=", "clusters/redisImage/tag"),
        ("sfumato", "selector=release in (a)", "selector"),
        ("sfumato", "resources.limit.memory=1Gi", "/resources': additional properties 'limit'"),
        ("sfumato", "podSecurityContext.runAsUserr=1", "runAsUserr"),
        ("sfumato", "securityContext.capabilities.dropp=x", "dropp"),
        ("sfumato", "tolerations[0].ky=x", "/tolerations/0': additional properties 'ky'"),
        ("sfumato", "extraEnv[0].nam=x", "/extraEnv/0': additional properties 'nam'"),
        ("sfumato", "affinity.node.x=1", "/affinity': additional properties 'node'"),
        ("sfumato", "topologySpreadConstraints[0].maxSkw=1", "maxSkw"),
        ("sfumato", "imagePullSecrets[0].secret=x", "/imagePullSecrets/0': additional properties 'secret'"),
        ("sfumato", "podDisruptionBudget.maxUnavailable=foo", "podDisruptionBudget/maxUnavailable"),
        ("sfumato", r"commonLabels.app\.kubernetes\.io/name=x", "/commonLabels/app.kubernetes.io~1name"),
        ("sfumato", r"podLabels.app\.kubernetes\.io/instance=x", "/podLabels/app.kubernetes.io~1instance"),
        ("sfumato", r"metrics.serviceMonitor.labels.helm\.sh/chart=x", "/metrics/serviceMonitor/labels/helm.sh~1chart"),
        ("sfumato", "metrics.rules.enabled=true", "set metrics.serviceMonitor.enabled"),
        ("sfumato-cluster", "replicas=3", "replicas"),
        ("sfumato-cluster", "smoke.frame=3", "frame"),
        ("sfumato-cluster", "smoke.resources.limit.cpu=1", "/smoke/resources': additional properties 'limit'"),
        ("sfumato-cluster", "smoke.tolerations[0].ky=x", "/smoke/tolerations/0': additional properties 'ky'"),
        ("sfumato-cluster", "smoke.podSecurityContext.fsGroups=1", "fsGroups"),
        ("sfumato-cluster", "ingress.pathPrefix=/live", "pathPrefix"),
        ("sfumato-cluster", "httpRoute.pathPrefix=//elsewhere", "pathPrefix"),
        ("sfumato-cluster", "httpRoute.parentRefs[0].nme=x", "/httpRoute/parentRefs/0': additional properties 'nme'"),
        ("sfumato-cluster", "autoscaling.behavior.scaleDwn.selectPolicy=Max", "/autoscaling/behavior': additional properties 'scaleDwn'"),
        ("sfumato-cluster", "autoscaling.metrics[0].typ=Pods", "/autoscaling/metrics/0': additional properties 'typ'"),
        ("sfumato-cluster", r"commonLabels.app\.kubernetes\.io/part-of=x", "/commonLabels/app.kubernetes.io~1part-of"),
        ("sfumato-cluster", "spec.replicsa=3", "replicsa"),
        ("sfumato-cluster", "spec.replicas=33", "replicas"),
        ("sfumato-cluster", "spec.mesh.fanOut=Sometimes", "fanOut"),
        ("sfumato-cluster", "httpRoute.enabled=true", "httpRoute.parentRefs"),
        ("sfumato-cluster", "nameOverride=Live", "nameOverride"),
    ],
)
def test_a_value_that_means_nothing_is_refused_by_its_name(chart, option, words):
    assert words in refusal(chart, "--set", option)


def test_a_release_whose_name_no_operator_may_have_says_what_to_set():
    done = helm("template", "1-live", str(CHARTS / "sfumato"))
    assert done.returncode != 0
    assert "set fullnameOverride to a name" in done.stderr


def test_a_release_with_a_long_name_is_refused_and_not_cut_to_the_name_of_another():
    for release in (f"sfumato-{'a' * 33}", f"sfumato-{'a' * 32}b"):
        done = helm("template", release, str(CHARTS / "sfumato"))
        assert done.returncode != 0
        assert "which has 41 characters: set fullnameOverride to a name of at most 40" in done.stderr
    longest = f"sfumato-{'a' * 32}"
    assert one(objects(render("sfumato", release=longest)), "Deployment")["metadata"]["name"] == longest


def test_a_release_whose_name_no_cluster_may_have_says_what_to_set():
    done = helm("template", "1-live", str(CHARTS / "sfumato-cluster"))
    assert done.returncode != 0
    assert "set nameOverride to a name of at most 40" in done.stderr


@pytest.mark.parametrize("chart", ["sfumato", "sfumato-cluster"])
def test_the_icon_is_that_of_the_page(chart):
    icon = yaml.safe_load((CHARTS / chart / "Chart.yaml").read_text())["icon"]
    assert base64.b64decode(icon.removeprefix("data:image/svg+xml;base64,")) == (ROOT / "web" / "ui" / "icon.svg").read_bytes()


def named(item: dict) -> tuple[str, str, str]:
    return item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]


def test_two_releases_share_nothing_but_the_definition():
    def names(release: str, namespace: str) -> set[tuple[str, str, str]]:
        return {named(item) for item in objects(render("sfumato", release=release, namespace=namespace))}

    shared = {("CustomResourceDefinition", "", "sfuclusters.sfumato.dev")}
    assert names("one", "a") & names("two", "a") == shared
    assert names("one", "a") & names("one", "b") == shared


def test_the_definition_is_kept_unless_somebody_wants_it_gone():
    def policy(*options: str) -> str | None:
        [crd] = [item for item in objects(render("sfumato", *options)) if item["kind"] == "CustomResourceDefinition"]
        return crd["metadata"].get("annotations", {}).get("helm.sh/resource-policy")

    assert (policy(), policy("--set=crds.keep=false")) == ("keep", None)


def printed_manifests(*options: str) -> list[dict]:
    done = subprocess.run([OPERATOR, "manifests", "--namespace=media", *options], capture_output=True, text=True, check=True)
    return objects(done.stdout)


def one(items: list[dict], kind: str) -> dict:
    [found] = [item for item in items if item["kind"] == kind]
    return found


def test_kubernetes_nodes_are_read_only_where_that_is_asked_for_and_with_the_right_that_the_manifests_give():
    def roles(items: list[dict]) -> dict[str, list[dict]]:
        return {item["metadata"]["name"]: item["rules"] for item in items if item["kind"] == "ClusterRole"}

    namespaces = "--set=watchNamespaces={media}"
    assert roles(objects(render("sfumato", namespaces, "--set=rbac.aggregate=false"))) == {}
    [(name, rules)] = roles(objects(render("sfumato", namespaces, "--set=rbac.aggregate=false", "--set=rbac.kubernetesNodes=true"))).items()
    assert name.endswith(":kubernetes-nodes"), name
    [printed] = roles(printed_manifests("--watch-namespaces=media", "--kubernetes-nodes")).values()
    assert rules == printed == [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}]


@pytest.mark.parametrize("access", ["direct", "proxy"])
def test_the_operator_runs_with_the_rights_and_in_the_way_that_its_own_manifests_say(access):
    chart = objects(render("sfumato", f"--set=nodeAccess={access}", "--set=rbac.aggregate=false"))
    printed = printed_manifests(f"--node-access={access}", "--name=it-sfumato")
    for kind in ("ClusterRole", "Role"):
        assert one(chart, kind)["rules"] == one(printed, kind)["rules"], kind
    pods = [one(items, "Deployment")["spec"]["template"]["spec"] for items in (chart, printed)]
    [chart_container], [printed_container] = (pod["containers"] for pod in pods)
    # Where the chart names an image, the operator has it as its default.
    assert [option for option in chart_container["args"] if option not in DEFAULT_IMAGES] == printed_container["args"]
    assert set(chart_container["args"]) >= DEFAULT_IMAGES
    for field in ("env", "ports", "livenessProbe", "readinessProbe", "securityContext", "resources", "image"):
        assert chart_container[field] == printed_container[field], field
    for field in ("securityContext", "nodeSelector", "terminationGracePeriodSeconds"):
        assert pods[0][field] == pods[1][field], field


def default_images() -> set[str]:
    """Options of `sfu-operator run` for images, each with its default."""
    told = subprocess.run([OPERATOR, "run", "--help"], capture_output=True, text=True, check=True).stdout
    return {f"--{name}-image={image}" for name, image in re.findall(r"--(node|web|redis)-image <IMAGE>.*?\[default: (\S+)\]", told, re.DOTALL)}


DEFAULT_IMAGES = default_images()
REGISTRY = "registry.example.com/mirror"


def test_a_registry_is_that_of_every_image_and_of_redis_too():
    deployment = one(objects(render("sfumato", f"--set=registry={REGISTRY}")), "Deployment")
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    images = [container["image"], *(option.partition("=")[2] for option in container["args"] if "-image=" in option)]
    bare = {"sfumato/sfu-operator:0.1.0", *(option.partition("=")[2] for option in DEFAULT_IMAGES)}
    assert sorted(images) == sorted(f"{REGISTRY}/{image}" for image in bare)


def test_redis_is_pinned_to_one_release_everywhere():
    [redis] = [option.partition("=")[2] for option in DEFAULT_IMAGES if option.startswith("--redis-image=")]
    for file in ("scripts/kind.sh", "docs/kubernetes.md", "examples/kustomize/kustomization.yaml"):
        assert set(re.findall(r"\bredis:[0-9][0-9.]*[0-9]", (ROOT / file).read_text())) == {redis}, file


def test_an_application_of_argo_cd_leaves_alone_what_it_says_that_others_set():
    applications = objects((ROOT / "examples" / "argocd" / "applications.yaml").read_text())
    shared = [item["spec"] for item in applications if "ignoreDifferences" in item["spec"]]
    assert shared
    for spec in shared:
        assert "RespectIgnoreDifferences=true" in spec["syncPolicy"]["syncOptions"], "a sync would apply them"


# What the chart and `sfu-operator manifests` say of the operator's pods: values, options, and what both make of them.
SAID_TWICE = {
    "nothing": ({}, []),
    "places": (
        {
            "nodeSelector": {"pool": "system"},
            "tolerations": [
                {"key": "dedicated", "operator": "Equal", "value": "system", "effect": "NoSchedule"},
                {"key": "spot", "operator": "Exists"},
            ],
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields": []}]}}},
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
            "priorityClassName": "high",
        },
        [
            "--node-selector=pool=system",
            "--toleration=dedicated=system:NoSchedule",
            "--toleration=spot",
            "--affinity={nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchFields: []}]}}}",
            '--topology-spread={"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}',
            "--priority-class=high",
        ],
    ),
    "resources": (
        {"resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "2", "memory": "1Gi"}}},
        ["--request=cpu=100m", "--limit=cpu=2", "--limit=memory=1Gi"],
    ),
    "words": (
        {"commonLabels": {"team": "media"}, "podLabels": {"stage": "live"}, "podAnnotations": {"note": "x"}},
        ["--label=team=media", "--pod-label=stage=live", "--pod-annotation=note=x"],
    ),
    "images": (
        {"image": {"pullPolicy": "Always"}, "imagePullSecrets": [{"name": "registry"}]},
        ["--image-pull-policy=Always", "--image-pull-secret=registry"],
    ),
}
# Those of Helm, and of what tells installations apart.
LABELS_OF_EACH = {
    "helm.sh/chart",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/name",
}


def own_labels(item: dict) -> dict:
    return {key: value for key, value in item["metadata"].get("labels", {}).items() if key not in LABELS_OF_EACH}


@pytest.mark.parametrize("what", SAID_TWICE)
def test_what_the_chart_says_of_the_operators_pods_its_own_manifests_say_as_well(what, tmp_path):
    values, options = SAID_TWICE[what]
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    chart, printed = objects(render("sfumato", f"--values={file}")), printed_manifests("--name=it-sfumato", *options)
    pods = []
    for items in (chart, printed):
        template = one(items, "Deployment")["spec"]["template"]
        [container] = template["spec"].pop("containers")
        # As Kubernetes takes it for any tag but `latest`.
        container.setdefault("imagePullPolicy", "IfNotPresent")
        spec = {key: value for key, value in template["spec"].items() if key != "serviceAccountName"}
        if what != "places":
            [term] = spec["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
            term["podAffinityTerm"].pop("labelSelector")
        said = {key: container[key] for key in ("resources", "imagePullPolicy", "securityContext")}
        pods.append((spec, said, own_labels(template), template["metadata"].get("annotations")))
    assert pods[0] == pods[1]
    for kind in ("ServiceAccount", "Role", "RoleBinding", "ClusterRoleBinding", "Deployment"):
        assert own_labels(one(chart, kind)) == own_labels(one(printed, kind)), kind


def args_of(*options: str) -> list[str]:
    return one(objects(render("sfumato", *options)), "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]


def test_the_defaults_for_clusters_reach_the_operator_as_json():
    given = {"imagePullSecrets": [{"name": "registry"}], "web": {"resources": {"limits": {"memory": "64Mi"}}}}
    [option] = [arg for arg in args_of("--set-json", f"clusters.defaults={json.dumps(given)}") if arg.startswith("--cluster-defaults=")]
    assert json.loads(option.partition("=")[2]) == given
    assert not [arg for arg in args_of() if arg.startswith(("--cluster-defaults", "--selector"))]


def test_what_may_be_given_to_all_clusters_is_what_the_operator_takes():
    refused = subprocess.run([OPERATOR, "run", '--cluster-defaults={"replicas": 3}'], capture_output=True, text=True, check=False)
    [taken] = re.findall(r"these can: (.*)", refused.stderr)

    def fields(schema: dict, above: str = "") -> set[str]:
        below = schema.get("properties", {})
        return set().union(*(fields(value, f"{above}.{name}") for name, value in below.items())) if below else {above.removeprefix(".")}

    schema = json.loads((CHARTS / "sfumato" / "values.schema.json").read_text())
    assert fields(schema["properties"]["clusters"]["properties"]["defaults"]) == set(taken.split(", "))


def documented_metrics() -> set[str]:
    text = "".join((ROOT / "docs" / name).read_text() for name in ("metrics.md", "kubernetes.md"))
    return set(re.findall(r"`(sfu_[a-z_]+)`", text))


def metrics_in(expressions: list[str]) -> set[str]:
    found = {name for expression in expressions for name in re.findall(r"\bsfu_[a-z_]+", expression)}
    assert found
    return found


def test_alerts_go_by_metrics_that_there_are_and_by_those_of_this_release():
    made = objects(render("sfumato", "--set=metrics.serviceMonitor.enabled=true,metrics.rules.enabled=true,watchNamespaces={a,b}"))
    [group] = one(made, "PrometheusRule")["spec"]["groups"]
    expressions = [rule["expr"] for rule in group["rules"]]
    assert metrics_in(expressions) <= documented_metrics()
    [service] = [item for item in made if item["kind"] == "Service"]
    own = f'{{namespace="media",job="{service["metadata"]["name"]}"'
    for rule in group["rules"]:
        labels = re.findall(r"sfu_operator_\w+({[^}]*)", rule["expr"])
        assert all(found.startswith(own) for found in labels), rule["expr"]
        assert labels or '{namespace=~"a|b"}' in rule["expr"], rule["expr"]
        assert {"summary", "description"} == set(rule["annotations"])
    assert not [item for item in objects(render("sfumato")) if item["kind"] in ("PrometheusRule", "ConfigMap")], "off by default"


def test_the_dashboard_shows_metrics_that_there_are_and_is_one_of_each_release():
    def dashboard(release: str) -> dict:
        item = one(objects(render("sfumato", "--set=metrics.dashboards.enabled=true", release=release)), "ConfigMap")
        assert item["metadata"]["labels"]["grafana_dashboard"] == "1"
        [text] = item["data"].values()
        return json.loads(text)

    it = dashboard("it")
    panels = it["panels"]
    assert metrics_in([target["expr"] for panel in panels for target in panel["targets"]]) <= documented_metrics()
    places = [(panel["id"], (panel["gridPos"]["x"], panel["gridPos"]["y"])) for panel in panels]
    assert all(len(set(each)) == len(panels) for each in zip(*places, strict=True)), places
    assert it["uid"] != dashboard("other")["uid"]
    assert len(it["uid"]) <= 40, "Grafana takes no more"


def smoke_pod(*options: str) -> dict | None:
    pods = [item for item in objects(render("sfumato-cluster", *options)) if item["kind"] == "Pod"]
    return pods[0] if pods else None


def test_helm_test_has_a_token_where_tokens_are_asked_for_and_waits_for_all_nodes():
    def args(*options: str) -> list[str]:
        return smoke_pod(*options)["spec"]["containers"][0]["args"]

    signed = args("--set-json", 'spec.auth={"mode":"Jwt","secretRef":{"name":"tokens","key":"secret"},"issuer":"us"}')
    assert {"--secret-file=/run/secrets/sfu-smoke/secret", "--issuer=us", "--nodes=3"} <= set(signed)
    keys = ["--set-json", 'spec.auth={"mode":"Jwt","jwksSecretRef":{"name":"keys","key":"jwks"}}']
    assert "--token-file=/run/secrets/sfu-smoke/token" in args(*keys, "--set=smoke.tokenSecret.name=mine")
    assert "--nodes=2" in args("--set=autoscaling.enabled=true,autoscaling.minReplicas=2")
    assert smoke_pod("--set=spec.web.replicas=0") is None, "without a front door there is nobody to ask"


def test_helm_test_asks_a_front_door_with_a_certificate_by_https():
    def door(*options: str) -> str:
        return smoke_pod(*options)["spec"]["containers"][0]["args"][0]

    assert door() == "--door=http://it-web:2020"
    assert door("--set=spec.web.tls.secretName=door,spec.web.service.port=443") == "--door=https://it-web:443"


def test_every_value_has_a_default_that_the_schema_knows_and_a_row_in_the_readme():
    for name in ("sfumato", "sfumato-cluster"):
        schema = json.loads((CHARTS / name / "values.schema.json").read_text())
        values = yaml.safe_load((CHARTS / name / "values.yaml").read_text())
        assert set(schema["properties"]) - {"global"} == set(values)
        readme = (CHARTS / name / "README.md").read_text()
        for value in yaml.safe_load((CHARTS / name / "values.yaml").read_text()):
            assert f"| `{value}" in readme, f"{name}: {value}"
