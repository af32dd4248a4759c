"""An attack by who can write to Redis: claims that cannot be."""

import itertools
import json
import uuid

from harness.attacks.scene import Scene
from harness.waiting import eventually

# Highest generation that a claim may have.
MOST = 2**53
REFRESHED_WITHIN = 10


def unending_generations(scene: Scene) -> None:
    """Has what is no claim stand under the name of a stream that plays, and under one that newcomers will want."""
    [own] = scene.cluster.redis("KEYS", f"sfumato:*:stream:{scene.stream}")
    true = scene.cluster.redis("GET", own)
    # In the right of somebody else, so that it would win.
    other = json.loads(true) | {"publication": str(uuid.uuid4()), "node": "sfu-9"}
    values = [json.dumps(other | {"generation": generation}) for generation in (2**64 - 1, MOST + 1, -1, 1e300)]
    values += ["[" * 50_000, "", json.dumps(other | {"generation": 2**64 - 1, "more": "x" * 500_000})]
    for value in itertools.cycle(values):
        for name in (own, own.removesuffix(scene.stream) + scene.newcomers):
            scene.cluster.redis("SET", name, value, "PX", "10000")
        if value == values[-1]:
            scene.under_way.set()
        if scene.over.wait(0.2):
            break

    eventually("the name is claimed as before", lambda: scene.cluster.redis("GET", own) == true, within=REFRESHED_WITHIN)
