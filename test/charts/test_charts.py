"""The charts without a cluster: what they make of eight sets of values, what they refuse, and that they do not differ from the code."""

import base64
import json
import os
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


@pytest.mark.parametrize("name", SETS)
def test_what_is_rendered_is_what_was_looked_at(name):
    chart, values = set_of(name)
    # The CRD is a file of the repository already.
    made = [item for item in objects(render(chart, values)) if item["kind"] != "CustomResourceDefinition"]
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
        ("sfumato", "selector=release in (a)", "selector"),
        ("sfumato-cluster", "replicas=3", "replicas"),
        ("sfumato-cluster", "smoke.frame=3", "frame"),
        ("sfumato-cluster", "ingress.pathPrefix=//elsewhere", "pathPrefix"),
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


@pytest.mark.parametrize("access", ["direct", "proxy"])
def test_the_operator_runs_with_the_rights_and_in_the_way_that_its_own_manifests_say(access):
    chart = objects(render("sfumato", f"--set=nodeAccess={access}", "--set=rbac.aggregate=false", "--set=clusters.redisImage.repository="))
    printed = printed_manifests(f"--node-access={access}", "--name=it-sfumato")
    for kind in ("ClusterRole", "Role"):
        assert one(chart, kind)["rules"] == one(printed, kind)["rules"], kind
    pods = [one(items, "Deployment")["spec"]["template"]["spec"] for items in (chart, printed)]
    [chart_container], [printed_container] = (pod["containers"] for pod in pods)
    options = [option for option in chart_container["args"] if not option.endswith(("sfu-node:0.1.0", "sfu-web:0.1.0"))]
    assert sorted(options) == sorted(printed_container["args"])
    for field in ("env", "ports", "livenessProbe", "readinessProbe", "securityContext", "resources", "image"):
        assert chart_container[field] == printed_container[field], field
    for field in ("securityContext", "nodeSelector", "terminationGracePeriodSeconds"):
        assert pods[0][field] == pods[1][field], field


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


def test_every_value_has_a_default_that_the_schema_knows_and_a_row_in_the_readme():
    chart = CHARTS / "sfumato"
    schema = json.loads((chart / "values.schema.json").read_text())
    values = yaml.safe_load((chart / "values.yaml").read_text())
    assert set(schema["properties"]) - {"global"} == set(values)
    for name in ("sfumato", "sfumato-cluster"):
        readme = (CHARTS / name / "README.md").read_text()
        for value in yaml.safe_load((CHARTS / name / "values.yaml").read_text()):
            assert f"| `{value}" in readme, f"{name}: {value}"
