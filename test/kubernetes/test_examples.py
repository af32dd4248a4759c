"""What we show people works: every file in examples/, and what the documents say."""

import json
import re
from pathlib import Path

import httpx
import pytest

from redis_pod import RedisPod
from sfucluster import SfuCluster

ROOT = Path(__file__).parents[2]
# Five nodes on a busy machine, and their images.
WHOLE = 180


def example(name: str, *changes: tuple[str, str]) -> str:
    text = (ROOT / "examples" / name).read_text()
    for old, new in changes:
        assert old in text, f"{name} has no {old!r} any more: change this test as well"
        text = text.replace(old, new)
    return text


def apply(cluster: SfuCluster, text: str) -> None:
    cluster.run("apply", "--filename", "-", input=text)


def test_every_example_has_a_test_here():
    # Those of other tools are tried by test/stories/test_definitions.py: they need Argo CD, Flux, or a network that carries out policies.
    elsewhere = {"argocd", "flux", "kustomize", "default-deny.yaml"}
    assert {file.name for file in (ROOT / "examples").iterdir()} == {"three-nodes.yaml", "external-redis.yaml", "placed.yaml"} | elsewhere


def test_three_nodes(sfu):
    apply(sfu, example("three-nodes.yaml"))
    sfu.whole(3, within=WHOLE)


def test_external_redis(sfu, tmp_path):
    redis = RedisPod(sfu, tmp_path, tls=False)
    redis.start()
    sfu.put_secret("redis", {"url": redis.url})
    apply(sfu, example("external-redis.yaml"))
    sfu.whole(3, within=WHOLE)
    sfu.reaches_redis()


@pytest.fixture
def media_hosts(kubectl):
    """Every host is for media, and there are two racks."""
    hosts = [host["metadata"]["name"] for host in kubectl.get("nodes")]
    for index, host in enumerate(hosts):
        kubectl.run("label", "node", host, "example.com/media=true", f"example.com/rack=rack-{index % 2}", "--overwrite")
    yield
    for host in hosts:
        kubectl.run("label", "node", host, "example.com/media-", "example.com/rack-")


def test_placed(sfu, media_hosts):
    sfu.name = "studio"
    # A test cluster's hosts share the cores of one computer.
    small = ("requests: { cpu: 2, memory: 512Mi }", "requests: { cpu: 10m, memory: 16Mi }")
    apply(sfu, example("placed.yaml", small))
    sfu.whole(5, within=WHOLE)
    sfu.reaches_redis()
    hosts = {pod["spec"]["nodeName"] for pod in sfu.nodes().values()}
    assert len(hosts) > 1, "they are spread"
    service = sfu.get("service", "studio-web")["spec"]
    assert (service["type"], service["ports"][0]["port"]) == ("LoadBalancer", 80)
    claims = sfu.get("persistentvolumeclaims")
    assert [claim["status"]["phase"] for claim in claims] == ["Bound"]


def blocks(document: str, language: str, word: str) -> list[str]:
    """Blocks of code of one language in a document of docs/, those with a word in them."""
    text = (ROOT / "docs" / document).read_text()
    return [block for block in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL) if word in block]


def test_the_autoscaler_of_the_documents_is_accepted_and_its_metric_is_there(sfu):
    sfu.apply(replicas=1)
    sfu.whole(1)
    (manifest,) = blocks("kubernetes.md", "yaml", "kind: HorizontalPodAutoscaler")
    answer = sfu.run("apply", "--dry-run=server", "--output=json", "--filename", "-", input=manifest)
    scaler = json.loads(answer)["spec"]
    metric = scaler["metrics"][0]["pods"]["metric"]["name"]
    (rule,) = blocks("kubernetes.md", "yaml", "seriesQuery")
    assert f"as: {metric}" in rule, "the adapter's rule makes the metric that the autoscaler reads"
    series = re.search(r"seriesQuery: '?(\w+)", rule)
    pod = sfu.nodes()["live-0"]["status"]["podIP"]
    told = httpx.get(f"http://{pod}:5001/metrics", trust_env=False, timeout=5).text
    assert series, rule
    assert f"\n{series[1]}{{" in told, told[-1000:]

    target = scaler["scaleTargetRef"]
    scale = json.loads(sfu.run("get", "sfu", target["name"], "--subresource=scale", "--output=json"))
    assert scale["spec"]["replicas"] == 1
    counted = sfu.get("pods", "--selector", scale["status"]["selector"])
    assert [pod["metadata"]["name"] for pod in counted] == ["live-0"], "its selector finds the nodes and nothing else"
