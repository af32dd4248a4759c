"""The API server by HTTP on connections that are kept: what is asked ten times a second must cost nothing."""

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from api_server import News
from shared_client import SharedClient

CALL_TIMEOUT = 20
CORE = "/api/v1"
# Where objects of a kind are.
GROUPS = {
    "pods": CORE,
    "services": CORE,
    "secrets": CORE,
    "serviceaccounts": CORE,
    "persistentvolumeclaims": CORE,
    "events": CORE,
    "resourcequotas": CORE,
    "limitranges": CORE,
    "namespaces": CORE,
    "nodes": CORE,
    "statefulsets": "/apis/apps/v1",
    "deployments": "/apis/apps/v1",
    "poddisruptionbudgets": "/apis/policy/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
    "leases": "/apis/coordination.k8s.io/v1",
    "roles": "/apis/rbac.authorization.k8s.io/v1",
    "clusterroles": "/apis/rbac.authorization.k8s.io/v1",
    "clusterrolebindings": "/apis/rbac.authorization.k8s.io/v1",
    "rolebindings": "/apis/rbac.authorization.k8s.io/v1",
    "mutatingadmissionpolicies": "/apis/admissionregistration.k8s.io/v1",
    "mutatingadmissionpolicybindings": "/apis/admissionregistration.k8s.io/v1",
    "customresourcedefinitions": "/apis/apiextensions.k8s.io/v1",
    "sfuclusters": "/apis/sfumato.dev/v1alpha1",
}
PATCHES = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "apply": "application/apply-patch+yaml",
}


class Refused(RuntimeError):
    """An answer that is no success, in the API server's words."""

    def __init__(self, status: int, message: str, causes: list[dict] | None = None):
        super().__init__(f"{status}: {message}")
        self.status = status
        self.causes = causes or []
        """What is wrong with which field, one by one."""


def path(resource: str, namespace: str | None = None, name: str | None = None, sub: str | None = None) -> str:
    """`path("pods", "media", "live-0", "status")`"""
    where = f"/namespaces/{namespace}" if namespace else ""
    return "/".join(part for part in (f"{GROUPS[resource]}{where}", resource, name, sub) if part)


class ApiClient:
    def __init__(self, server: str, authority: Path, token: str):
        self._closed = threading.Event()
        self._options = {
            "base_url": server,
            "headers": {"authorization": f"Bearer {token}"},
            "trust_env": False,
        }
        self._authority = str(authority)
        # Each part of an answer may take the time of a call; those of this API server come in few parts.
        self._shared = SharedClient(self._client(httpx.Timeout(CALL_TIMEOUT)), 3 * CALL_TIMEOUT)

    def _client(self, timeout: httpx.Timeout) -> httpx.Client:
        return httpx.Client(**self._options, verify=ssl.create_default_context(cafile=self._authority), timeout=timeout)

    def __enter__(self) -> "ApiClient":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self._closed.set()
        self._shared.close()

    def text(self, path: str) -> str:
        return self._ask("GET", path).text

    def get(self, path: str, **query: str) -> Any:
        """An object, or the items of a list."""
        answer = self._ask("GET", path, params=query).json()
        return answer["items"] if answer.get("kind", "").endswith("List") else answer

    def create(self, path: str, content: dict, **query: str) -> dict:
        return self._ask("POST", path, json=content, params=query).json()

    def replace(self, path: str, content: dict) -> dict:
        return self._ask("PUT", path, json=content).json()

    def merge(self, path: str, patch: dict) -> dict:
        return self.patch("merge", path, patch)

    def patch(self, kind: str, path: str, patch: Any, **query: str) -> dict:
        return self._ask("PATCH", path, content=json.dumps(patch), headers={"content-type": PATCHES[kind]}, params=query).json()

    def delete(self, path: str, **options: Any) -> None:
        """`options` are those of a deletion: `gracePeriodSeconds=0`."""
        self._ask("DELETE", path, json={"apiVersion": "v1", "kind": "DeleteOptions", **options})

    def follow(self, path: str, tell: Callable[[News], None], **query: str) -> None:
        """Calls `tell` with what there is and whatever changes, from a thread of its own. A watch that ends is begun anew, which tells of what there
        is once more."""

        def run() -> None:
            with self._client(httpx.Timeout(CALL_TIMEOUT, read=None)) as http:
                while not self._closed.is_set():
                    with contextlib.suppress(httpx.HTTPError):
                        self._watch(http, path, tell, query)
                    self._closed.wait(0.2)

        threading.Thread(target=run, name=f"watch {path}", daemon=True).start()

    def _watch(self, http: httpx.Client, path: str, tell: Callable[[News], None], query: dict[str, str]) -> None:
        with http.stream("GET", path, params={"watch": "1", **query}) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                event = json.loads(line)
                if self._closed.is_set():
                    return
                if event["type"] in ("ADDED", "MODIFIED", "DELETED"):
                    tell(News(event["type"], event["object"], time.monotonic()))

    def _ask(self, method: str, path: str, **options) -> httpx.Response:
        try:
            with self._shared.use() as http:
                answer = http.request(method, path, **options)
        except httpx.TransportError as error:
            raise ConnectionError(f"{method} {path}: {error!r}") from error
        if answer.is_error:
            try:
                said = answer.json()
                message, causes = said["message"], said.get("details", {}).get("causes")
            except (ValueError, KeyError):
                message, causes = answer.text, None
            raise Refused(answer.status_code, message, causes)
        return answer
