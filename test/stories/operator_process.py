"""The operator as a process of this computer, with the rights that its manifests give it in one namespace."""

import re
import subprocess
from pathlib import Path

import httpx
import yaml

from api_client import ApiClient, path
from installation import program
from process import Process
from testcluster.waiting import eventually

STARTED = 20
DEFINED_WITHIN = 20
# As environment variables: an option of a story wins.
IMAGES = {f"SFUMATO_{name}_IMAGE": f"stories/{name.lower()}:1" for name in ("NODE", "WEB", "REDIS")}
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
# What a namespace needs of the manifests: the definition is there already, and the Deployment is a process here.
RIGHTS = {"ServiceAccount": "serviceaccounts", "Role": "roles", "RoleBinding": "rolebindings"}


def manifests(*kinds: str, options: tuple[str, ...] = ()) -> list[dict]:
    """Those of these kinds. The others are not parsed: the definition is long."""
    printed = subprocess.run([program("sfu-operator"), "manifests", *options], capture_output=True, text=True, check=True).stdout
    wanted = re.compile(rf"^kind: ({'|'.join(kinds)})$", re.M)
    return [yaml.load(document, yaml.CSafeLoader) for document in printed.split("---\n") if wanted.search(document)]


def define(api: ApiClient) -> None:
    """The definition of SfuCluster, as it is installed."""
    (definition,) = manifests("CustomResourceDefinition")
    api.create(path("customresourcedefinitions"), definition)
    # Until then there is no such path.
    eventually("SfuClusters can be made", lambda: api.get(path("sfuclusters")) == [], within=DEFINED_WITHIN, every=0.05)


def give_rights(api: ApiClient, namespace: str, *others: str) -> None:
    """Those of an operator that runs in this namespace and looks after it, and after others."""
    for manifest in manifests(*RIGHTS, options=(f"--namespace={namespace}", f"--watch-namespaces={','.join((namespace, *others))}")):
        metadata = manifest["metadata"]
        where = path(RIGHTS[manifest["kind"]], metadata["namespace"], metadata["name"])
        api.patch("apply", where, manifest, fieldManager="installer")

    in_force(api, f"system:serviceaccount:{namespace}:sfu-operator", namespace, *others)


def in_force(api: ApiClient, user: str, *namespaces: str) -> None:
    """Waits until the API server knows the rights of this user: it follows Roles and bindings as everybody does. Without namespaces: in all."""
    for namespace in namespaces or ("",):
        allowed = lambda where=namespace: may(api, user, "list", "sfuclusters", where, "sfumato.dev")  # noqa: E731
        eventually(f"{user} may work in {namespace or 'all namespaces'}", allowed, within=STARTED, every=0.02)


def may(api: ApiClient, user: str, verb: str, resource: str, namespace: str = "", group: str = "") -> bool:
    resource, _, subresource = resource.partition("/")
    attributes = {"verb": verb, "resource": resource, "subresource": subresource, "group": group, "namespace": namespace}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {"user": user, "resourceAttributes": attributes}}
    return api.create(REVIEWS, review)["status"]["allowed"]


def draw_token(api: ApiClient, namespace: str) -> str:
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    return api.create(path("serviceaccounts", namespace, "sfu-operator", "token"), request)["status"]["token"]


class Operator:
    """It writes its log below `folder`."""

    def __init__(self, identity: str, namespace: str, address: str, folder: Path, kubeconfig: str, *options: str):
        self.identity = identity
        # Plain HTTP: without this, httpx would read all certificates of the system.
        self._health = httpx.Client(base_url=f"http://{address}:8080", timeout=5, trust_env=False, verify=False)
        credentials = folder / f"{identity}.kubeconfig"
        credentials.write_text(kubeconfig)
        command = [str(program("sfu-operator")), "run", f"--namespace={namespace}", f"--listen={address}:8080", *options]
        usual = {"SFUMATO_IDENTITY": identity, "SFUMATO_WATCH_NAMESPACES": namespace, "SFUMATO_LOG_FORMAT": "json", **IMAGES}
        self.process = Process(command, folder / f"{identity}.log", KUBECONFIG=str(credentials), **usual)

    def ready(self) -> "Operator":
        """Waits until it works, or waits for its turn."""
        eventually(f"{self.identity} is ready", lambda: self._asked("/readyz") == "ready\n", within=STARTED, every=0.05)
        return self

    def waits_for(self) -> str:
        """What its readiness says that it waits for."""
        answer = self._health.get("/readyz")
        return answer.text if answer.status_code == 503 else ""

    def metric(self, name: str) -> float:
        lines = self._asked("/metrics").splitlines()
        return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} "))

    def log(self) -> str:
        return self.process.log.read_text()

    def _asked(self, path: str) -> str:
        try:
            return self._health.get(path).raise_for_status().text
        except httpx.HTTPError as error:
            raise ConnectionError(repr(error)) from error
