"""What kubectl itself shows: columns, the category, and what `explain` says of a field."""

import re
import subprocess

import pytest

from testcluster.layout import binary
from testcluster.waiting import eventually


@pytest.fixture
def kubectl(plane, story, tmp_path):
    """Runs kubectl in the story's namespace, and returns what it prints. What it caches of an API server is kept by address only."""

    def run(*arguments: str) -> str:
        command = [binary("kubectl"), f"--kubeconfig={plane.folder / 'kubeconfig'}", f"--cache-dir={tmp_path / 'cache'}"]
        command += [f"--namespace={story.namespace}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    return run


def table(text: str) -> dict[str, str]:
    """The columns of the only row."""
    head, row = text.splitlines()
    starts = [match.start() for match in re.finditer(r"\S+", head)]
    ends = [*starts[1:], None]
    return {head[a:b].strip(): row[a:b].strip() for a, b in zip(starts, ends, strict=True)}


def words(text: str) -> str:
    return " ".join(text.split())


def test_wide_columns_show_viewers_load_version_and_redis(live, kubectl):
    live.up()
    eventually("the release is known", lambda: live.status()["version"] != "", within=5)
    narrow, wide = table(kubectl("get", "sfu", "live")), table(kubectl("get", "sfu", "live", "--output=wide"))
    assert list(narrow) == ["NAME", "READY", "NODES", "MESH", "STREAMS", "AGE"]
    assert list(wide) == ["NAME", "READY", "NODES", "MESH", "STREAMS", "VIEWERS", "LOAD", "VERSION", "REDIS", "AGE"]
    assert (wide["NODES"], wide["VIEWERS"], wide["LOAD"], wide["REDIS"]) == ("3/3", "0", "0%", "True"), wide
    assert wide["VERSION"] == live.status()["version"]


def test_a_category_finds_every_cluster_and_all_finds_none(live, kubectl):
    live.create()
    assert "sfucluster.sfumato.dev/live" in kubectl("get", "sfumato", "--output=name").splitlines()
    assert "sfucluster" not in kubectl("get", "all", "--output=name"), "`all` is for what Kubernetes itself brings"


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("spec.replicas", "Default: 3. From 1 to 32."),
        ("spec.paused", "Default: false."),
        ("spec.drain.deadline", "Default: `5m`. Must be a duration with its unit between 1s and 24h, such as `5m`."),
        ("spec.mesh.fanOut", "ENUM: OnDemand Eager"),
        ("spec.mesh.fanOut", "Default: `OnDemand`."),
        ("spec.resources.limits", "Each must be a quantity of 0 or more, such as `500m` or `2` of cpu, and `512Mi` or `2Gi` of memory."),
        ("spec.media.iceServers.urls", "From 1 to 8 entries. Each must be a URL of a STUN or TURN server"),
    ],
)
def test_explain_says_default_bounds_and_form(kubectl, field, said):
    text = words(kubectl("explain", f"sfu.{field}"))
    assert said in text, text


def test_explain_names_every_type_of_condition(live, kubectl):
    live.create()
    seen = set()

    def settled() -> bool:
        now = {condition["type"] for condition in live.status().get("conditions", [])}
        seen.update(now)
        return live.condition("Ready").get("status") == "True"

    eventually("live is ready", settled, within=30)
    text = kubectl("explain", "sfu.status.conditions")
    assert len(seen) > 7, seen
    assert not [kind for kind in {*seen, "Reconciling", "Stalled"} if f"`{kind}`" not in text], text
