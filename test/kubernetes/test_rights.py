"""The operator works with exactly the rights that its manifests give it."""

import subprocess


def test_nothing_that_the_operator_asks_is_refused(trio, operator, audit):
    trio.run("scale", "sfu/live", "--replicas=4")
    trio.whole(4)
    trio.patch(mesh={"fanOut": "Eager"}, replicas=2)
    trio.run("delete", "pod/live-0", "--wait=false")
    trio.whole(2, within=180)
    # In the namespaces of earlier tests, which are on their way out, nothing may be created by anybody.
    refused = [request for request in audit.refused(operator.user) if request.namespace in ("", operator.namespace, trio.namespace)]
    assert not refused, [f"{r.verb} {r.resource} {r.namespace}/{r.name}: {r.code}" for r in refused]


def test_the_operator_cannot_list_secrets(kubectl, operator):
    answer = kubectl.command("auth", "can-i", "list", "secrets", "--all-namespaces", f"--as={operator.user}")
    assert subprocess.run(answer, capture_output=True, text=True, check=False).stdout.strip() == "no"
