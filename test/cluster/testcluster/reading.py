"""Reads from the API server over a kept connection, in the words of `kubectl get`: a kubectl for each poll of a waiting test costs 65 ms of processor
time. Needs httpx, which the tests' environment has; bringing clusters up and down goes without."""

import argparse
import base64
import json
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from .kubectl import CALL_TIMEOUT, Kubectl, KubectlError

# All resources of the server in two answers, with the names that kubectl knows them by.
DISCOVERY = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
# What of a kubeconfig is understood here. Whoever has more in it (a program that fetches credentials, a proxy) reads by kubectl.
CLUSTER_FIELDS = {"server", "certificate-authority-data"}
USER_FIELDS = {"token", "client-certificate-data", "client-key-data"}


class NotHere(Exception):
    """What only kubectl itself can do; the message says what that is."""


class Words(argparse.ArgumentParser):
    """The arguments of `kubectl get` that are known here."""

    def __init__(self):
        super().__init__(add_help=False, allow_abbrev=False)
        self.add_argument("what", nargs="+")
        self.add_argument("--namespace", "-n")
        self.add_argument("--all-namespaces", "-A", action="store_true")
        self.add_argument("--selector", "-l", default="")
        self.add_argument("--field-selector", default="")

    def error(self, message: str) -> None:
        raise NotHere(message)


@dataclass(frozen=True)
class Wanted:
    """What a `kubectl get` asks for."""

    types: list[str]
    name: str | None
    namespace: str | None
    all_namespaces: bool
    query: dict[str, str]

    @classmethod
    def parse(cls, arguments: tuple[str, ...]) -> "Wanted":
        words = Words().parse_args(arguments)
        first, *names = words.what
        types, slash, name = first.partition("/")
        if slash:
            names = [name, *names]
        query = {key: value for key, value in (("labelSelector", words.selector), ("fieldSelector", words.field_selector)) if value}
        if len(names) > 1 or (names and (query or words.all_namespaces or "," in types)):
            raise NotHere("several names, or a name beside something else")
        return cls(types.split(","), names[0] if names else None, words.namespace, words.all_namespaces, query)


@dataclass(frozen=True)
class Resource:
    """One kind of objects, as the server tells."""

    prefix: str
    plural: str
    namespaced: bool

    def path(self, wanted: Wanted, default_namespace: str) -> str:
        within = f"/namespaces/{wanted.namespace or default_namespace}" if self.namespaced and not wanted.all_namespaces else ""
        return f"{self.prefix}{within}/{self.plural}{f'/{wanted.name}' if wanted.name else ''}"


def resources(core: dict, groups: dict) -> dict[str, Resource]:
    """By every name that kubectl takes: plural, singular and short, bare or with the group. Of two groups with one name the first counts."""
    full: dict[str, Resource] = {}
    short: dict[str, Resource] = {}
    for group in core["items"] + groups["items"]:
        name = group["metadata"].get("name", "")
        for version in group["versions"]:
            prefix = f"/apis/{name}/{version['version']}" if name else f"/api/{version['version']}"
            for told in version.get("resources", []):
                it = Resource(prefix, told["resource"], told["scope"] == "Namespaced")
                for known, words in ((full, [told["resource"], told.get("singularResource")]), (short, told.get("shortNames", []))):
                    for word in filter(None, words):
                        known.setdefault(word, it)
                        known.setdefault(f"{word}.{name}", it)
    return short | full


class Reader:
    """For one kubeconfig. Raises `NotHere` where it holds more than is understood here."""

    def __init__(self, kubectl: Kubectl):
        config = json.loads(kubectl.run("config", "view", "--raw", "--minify", "--flatten", "--output=json"))
        cluster, user = config["clusters"][0]["cluster"], (config["users"] or [{}])[0].get("user", {})
        if more := (set(cluster) - CLUSTER_FIELDS) | (set(user) - USER_FIELDS):
            raise NotHere(f"the kubeconfig has {', '.join(sorted(more))}")
        self._namespace = config["contexts"][0]["context"].get("namespace", "default")
        self._http = httpx.Client(
            base_url=cluster["server"],
            verify=trust(cluster, user),
            headers={"Authorization": f"Bearer {user['token']}"} if "token" in user else {},
            timeout=CALL_TIMEOUT,
            limits=httpx.Limits(keepalive_expiry=60),
        )
        self._resources: dict[str, Resource] = {}

    def get(self, wanted: Wanted) -> Any:
        """An object, or the items of all lists, as `kubectl get --output json` shows them."""
        found = [self._read(self._resource(word).path(wanted, self._namespace), wanted.query) for word in wanted.types]
        if wanted.name:
            return shown(found[0])
        return [shown(item) for answer in found for item in items(answer)]

    def _resource(self, word: str) -> Resource:
        if word not in self._resources:
            # A definition may have come since.
            self._resources = resources(self._read("/api", {}, DISCOVERY), self._read("/apis", {}, DISCOVERY))
        if word not in self._resources:
            raise KubectlError(f'the server doesn\'t have a resource type "{word}"')
        return self._resources[word]

    def _read(self, path: str, query: dict[str, str], headers: dict[str, str] | None = None) -> dict:
        request = self._http.build_request("GET", path, params=query, headers=headers)
        try:
            try:
                answer = self._http.send(request)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                # The kept connection was of a server that has ended since. kubectl makes a new one each time.
                answer = self._http.send(request)
        except httpx.TransportError as error:
            raise KubectlError(f"GET {path}: {type(error).__name__}: {error}") from error
        if answer.is_success:
            return answer.json()
        raise KubectlError(f"GET {path}: {refusal(answer)}")


def trust(cluster: dict, user: dict) -> ssl.SSLContext:
    """The cluster's authority, and the user's certificate where there is one."""
    authority = cluster.get("certificate-authority-data")
    context = ssl.create_default_context(cadata=base64.b64decode(authority).decode() if authority else None)
    if "client-certificate-data" in user:
        # Python takes certificates from files alone.
        with tempfile.NamedTemporaryFile() as pem:
            pem.write(base64.b64decode(user["client-certificate-data"]) + b"\n" + base64.b64decode(user["client-key-data"]))
            pem.flush()
            context.load_cert_chain(pem.name)
    return context


def items(answer: dict) -> Iterator[dict]:
    """Of a list, each with its kind, which the API server tells once for all and kubectl tells of each."""
    kind = {"apiVersion": answer["apiVersion"], "kind": answer["kind"].removesuffix("List")}
    for item in answer["items"]:
        yield kind | item


def shown(item: dict) -> dict:
    """Without what kubectl shows only when it is asked to."""
    item["metadata"].pop("managedFields", None)
    return item


def refusal(answer: httpx.Response) -> str:
    """In kubectl's words."""
    try:
        status = answer.json()
        return f"Error from server ({status['reason']}): {status['message']}"
    except (ValueError, KeyError):
        return f"Error from server: {answer.status_code} {answer.text[:500]}"
