"""Probes: what is asked all the time has to say yes each time."""

import contextlib
from collections.abc import Iterator, Sequence

import httpx

from harness.waiting import PATIENCE, meanwhile


@contextlib.contextmanager
def always_answer(urls: Sequence[str]) -> Iterator[None]:
    """In the block, each of these is asked all the time, on a connection of its own as kubelets do, and has to answer 200."""
    answers = []

    def ask(over):
        fresh = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(trust_env=False, timeout=5 * PATIENCE, limits=fresh) as http:
            # Each is asked once at least.
            while not answers or not over.wait(0.25):
                for url in urls:
                    try:
                        answers.append((url, http.get(url).status_code))
                    except httpx.HTTPError as error:
                        answers.append((url, repr(error)))

    with meanwhile(ask):
        yield
    assert len(answers) >= len(urls)
    bad = [answer for answer in answers if answer[1] != 200]
    assert not bad, f"{len(bad)} of {len(answers)} probes failed: {bad[:10]}"
