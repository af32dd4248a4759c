"""The operator works with exactly the rights that its manifests give it. What it may not do, and the manifests for some namespaces: test/stories."""


def told(requests) -> list[str]:
    return [f"{r.verb} {r.resource} {r.namespace}/{r.name}: {r.code}" for r in requests]


def hosts_read(requests) -> list:
    return [request for request in requests if request.resource.partition("/")[0] == "nodes"]


def test_nothing_that_the_operator_asks_is_refused(trio, operator, audit):
    trio.run("scale", "sfu/live", "--replicas=4")
    trio.whole(4)
    trio.patch(mesh={"fanOut": "Eager"}, replicas=2)
    trio.run("delete", "pod/live-0", "--wait=false")
    trio.whole(2, within=180)
    # In the namespaces of earlier tests, which are on their way out, nothing may be created by anybody.
    refused = [request for request in audit.refused(operator.user) if request.namespace in ("", operator.namespace, trio.namespace)]
    assert not refused, told(refused)
    assert not hosts_read(audit.requests(operator.user)), "no Kubernetes node is ever read"
