"""The API server's audit log: who asked for what, and what came of it. Metadata only, one line a request when it is answered."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

# Of a line in bytes, without bodies.
LONGEST_LINE = 65536


@dataclass(frozen=True)
class Request:
    """One answered request. A watch counts when it begins (stage ResponseStarted) and is seen again when it ends."""

    user: str
    verb: str
    resource: str
    """`pods`, `pods/log`, `sfuclusters.sfumato.dev/status`; the path, where no resource is asked for."""
    namespace: str
    name: str
    code: int
    stage: str
    agent: str
    at: str
    """When it came, RFC 3339 with microseconds, UTC: comparable as text."""

    @classmethod
    def parse(cls, line: str) -> "Request":
        event = json.loads(line)
        ref = event.get("objectRef", {})
        resource = ".".join(part for part in (ref.get("resource"), ref.get("apiGroup")) if part)
        if ref.get("subresource"):
            resource += f"/{ref['subresource']}"
        return cls(
            user=event["user"].get("username", ""),
            verb=event["verb"],
            resource=resource or event["requestURI"].partition("?")[0],
            namespace=ref.get("namespace", ""),
            name=ref.get("name", ""),
            code=event.get("responseStatus", {}).get("code", 0),
            stage=event["stage"],
            agent=event.get("userAgent", ""),
            at=event["requestReceivedTimestamp"],
        )


class Audit:
    """What is written to the log from now on."""

    def __init__(self, log: Path):
        self._log = log
        self.restart()

    def restart(self) -> None:
        """Forgets what was written so far, a line that is half written included."""
        with self._log.open("rb") as log:
            log.seek(max(0, self._log.stat().st_size - LONGEST_LINE))
            end = log.read()
            self._offset = log.tell() - len(end) + end.rfind(b"\n") + 1

    def requests(self, user: str | None = None) -> list[Request]:
        """All since the start, of one user (`system:serviceaccount:NAMESPACE:NAME`) or of all; watches that have only begun are included once."""
        with self._log.open("rb") as log:
            log.seek(self._offset)
            text = log.read()
        # The last line may be half written.
        lines = text[: text.rfind(b"\n") + 1].decode().splitlines()
        found = [Request.parse(line) for line in lines if user is None or user in line]
        return [it for it in found if it.stage == counted_stage(it) and user in (None, it.user)]

    def refused(self, user: str | None = None) -> list[Request]:
        """Requests that were answered 401 or 403: what a role lacks."""
        return [it for it in self.requests(user) if it.code in (401, 403)]

    def counts(self, user: str | None = None) -> Counter[tuple[str, str]]:
        """How often each verb was asked of each resource."""
        return Counter((it.verb, it.resource) for it in self.requests(user))


def counted_stage(request: Request) -> str:
    """Long requests are logged when they begin and when they end; each counts once. A refused watch has no beginning."""
    return "ResponseStarted" if request.verb == "watch" and request.code == 200 else "ResponseComplete"
