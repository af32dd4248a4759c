"""What the operator applies comes back, whatever is edited or deleted; what others add stays."""

import json

from testcluster.waiting import eventually

# The operator is told of every change but those of Secrets, which it looks at once a minute.
BACK = 20
SECRET_BACK = 150

# Fields that we apply, one or more of every kind of child: object, and what is done to it.
EDITS = [
    ("serviceaccount/live-nodes", {"automountServiceAccountToken": True}),
    ("service/live-nodes", {"spec": {"publishNotReadyAddresses": False}}),
    ("service/live-web", {"spec": {"ports": [{"name": "http", "port": 2020, "targetPort": 9}]}}),
    ("service/live-redis", {"spec": {"selector": {"app.kubernetes.io/component": "other"}}}),
    ("networkpolicy/live", {"spec": {"ingress": []}}),
    ("networkpolicy/live-redis", {"spec": {"policyTypes": ["Ingress", "Egress"]}}),
    ("poddisruptionbudget/live", {"spec": {"maxUnavailable": 2}}),
    ("deployment/live-web", {"spec": {"replicas": 2}}),
    ("deployment/live-web", {"spec": {"template": {"spec": {"automountServiceAccountToken": True}}}}),
    ("statefulset/live-redis", {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 99}}}}),
    ("statefulset/live", {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 99}}}}),
    ("statefulset/live", {"spec": {"updateStrategy": {"type": "RollingUpdate"}}}),
    ("statefulset/live", {"metadata": {"labels": {"app.kubernetes.io/component": "other"}}}),
]
# Deleting the object around its pods, where it has some: they run on, and the new object takes them over.
DELETIONS = sorted({name for name, _ in EDITS})


def said(cluster, name: str) -> dict:
    """What an object says, without what changes by itself."""
    live = cluster.get(name)
    metadata = {key: live["metadata"].get(key) for key in ("labels", "ownerReferences")}
    rest = {key: value for key, value in live.items() if key not in ("metadata", "status")}
    for drawn in ("clusterIP", "clusterIPs"):
        rest.get("spec", {}).pop(drawn, None)
    return {"metadata": metadata, **rest}


def test_every_field_that_is_edited_by_hand_comes_back(trio):
    uids = trio.uids()
    for name, edit in EDITS:
        before = said(trio, name)
        trio.run("patch", name, "--type=merge", "--patch", json.dumps(edit))
        eventually(f"{name} is as before {edit}", lambda b=before, n=name: said(trio, n) == b, within=BACK)
    assert trio.uids() == uids, "no pod was replaced for it"


def test_every_child_that_is_deleted_comes_back_and_its_pods_run_on(trio):
    uids = trio.uids()
    for name in DELETIONS:
        before, uid = said(trio, name), trio.get(name)["metadata"]["uid"]
        trio.run("delete", name, "--cascade=orphan", "--wait=false")

        def is_back(before=before, uid=uid, name=name):
            return trio.get(name)["metadata"]["uid"] != uid and said(trio, name) == before

        eventually(f"{name} is back", is_back, within=BACK)
    trio.whole(3)
    assert trio.uids() == uids


def test_keys_that_are_taken_out_of_the_admin_secret_come_back_and_additions_stay(trio):
    before = trio.get("secret", "live-admin")["data"]
    assert {"token", "ca.crt", "tls.crt", "tls.key"} <= set(before)
    trio.run("patch", "secret", "live-admin", "--type=merge", "--patch", json.dumps({"data": {"mine": "eA=="}}))
    gone = dict.fromkeys(set(before), None)
    trio.run("patch", "secret", "live-admin", "--type=merge", "--patch", json.dumps({"data": gone}))

    def data():
        return trio.get("secret", "live-admin")["data"]

    eventually("every key is back as it was", lambda: data() == before | {"mine": "eA=="}, within=SECRET_BACK, every=1)
    trio.whole(3)
