"""What is asked of the API server, and what is not."""

import time

from testcluster.waiting import eventually

# Longer than the operator waits before it looks again at a cluster that is not as desired.
WATCHED = 7


def asked(story) -> list[str]:
    """Requests but for those by which an operator keeps its Lease, and what it waits for."""
    requests = [r for r in story.asked() if r.verb != "watch" and not r.resource.startswith("leases")]
    return [f"{r.verb} {r.resource} {r.name}: {r.code}" for r in requests]


def test_nothing_is_asked_when_nothing_happens(live, story):
    live.up()

    def rests() -> bool:
        """Whether what the start leads to is over: events are written aside."""
        story.audit.restart()
        time.sleep(1)
        return not asked(story)

    eventually("the start is over", rests, within=20)
    # What is shown is that nothing happens in this time.
    time.sleep(WATCHED)
    assert asked(story) == []


def test_a_status_is_written_when_something_changes_and_counts_only_now_and_then(live, story):
    live.up()
    story.audit.restart()
    for number in range(1, 31):
        story.kubelet.change("live-1", viewers=number)
        time.sleep(0.05)
    written = [line for line in asked(story) if "/status" in line]
    assert len(written) <= 1, written
    story.kubelet.change("live-1", reasons=["manual"])
    eventually("a drain is written at once", lambda: live.draining() == {"live-1"}, within=5)
    assert next(node["viewers"] for node in live.status()["nodes"] if node["name"] == "live-1") == 30
