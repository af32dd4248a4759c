"""Limits count the client's address, also of clients that come through the front door, whose pods' addresses change."""

import time

import httpx
import pytest

from testcluster.waiting import eventually

pytestmark = pytest.mark.testcluster

FRONT_DOOR, NODE = 2020, 3001
SESSION = "whip/demo/none"
# A second; twice as many may come at once.
RATE = 2
# More than any allowance, at the speed at which requests go out.
MANY = 100 * RATE
# Kept open: a connection for each request would be too slow to be too much.
CLIENT = httpx.Client(trust_env=False, timeout=10)


@pytest.fixture
def slow(sfu):
    """A cluster of one node that lets each address ask twice a second."""
    sfu.apply(replicas=1, env=[{"name": "SFUMATO_MAX_REQUEST_RATE", "value": str(RATE)}])
    sfu.whole(1)
    return sfu


def urls(pod: dict, port: int, path: str) -> tuple[str, str]:
    """The same by IPv4 and by IPv6: as what who asks there is another client."""
    v4, v6 = (address["ip"] for address in pod["status"]["podIPs"])
    return f"http://{v4}:{port}/{path}", f"http://[{v6}]:{port}/{path}"


def ask(url: str, headers: dict[str, str] | None = None) -> int:
    """A request that counts, and does nothing."""
    return CLIENT.delete(url, headers=headers).status_code


def exhaust(url: str, headers: dict[str, str] | None = None) -> None:
    """Asks until it was too often."""
    answers = {ask(url, headers) for _ in range(MANY)}
    assert 429 in answers, f"{MANY} requests at once were not too many: {answers}"


def front_door_pod(cluster) -> dict:
    pods = cluster.get("pods", "--selector", f"app.kubernetes.io/instance={cluster.name},app.kubernetes.io/component=web")
    ready = [
        pod
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
        and any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
    ]
    assert len(ready) == 1, [pod["metadata"]["name"] for pod in pods]
    return ready[0]


def test_one_client_of_the_front_door_does_not_use_up_the_allowance_of_another(slow):
    began = time.monotonic()
    first = eventually("the front door is ready", lambda: front_door_pod(slow), within=60)
    counted_apart(first)
    # Another pod has another address, and is believed at once.
    slow.run("delete", "pod", first["metadata"]["name"], "--wait=false")
    second = eventually("another front door is ready", lambda: other_than(first, front_door_pod(slow)), within=60)
    counted_apart(second)
    print(f"two front doors in {time.monotonic() - began:.1f} s")


def counted_apart(front_door: dict) -> None:
    v4, v6 = urls(front_door, FRONT_DOOR, f"nodes/live-0/{SESSION}")
    eventually("it knows the node", lambda: ask(v6) == 404, within=15, every=1)
    exhaust(v4)
    assert ask(v6) == 404, "a client with another address"


def other_than(pod: dict, now: dict) -> dict | None:
    return now if now["metadata"]["uid"] != pod["metadata"]["uid"] else None


def test_a_client_that_names_other_addresses_itself_is_counted_by_its_own(slow):
    began = time.monotonic()
    v4, v6 = urls(slow.nodes()["live-0"], NODE, SESSION)
    invented = {"X-Forwarded-For": "198.51.100.1", "Sfumato-Forwarded-Proof": "0" * 64}
    exhaust(v4, invented)
    assert ask(v4, invented | {"X-Forwarded-For": "198.51.100.2"}) == 429
    assert ask(v6, invented) == 404, "a client with another address"
    print(f"took {time.monotonic() - began:.1f} s")
