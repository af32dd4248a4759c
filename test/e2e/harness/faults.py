"""Faults of the network between two nodes, by nftables in a table of the test's own."""

import contextlib
import os
import shutil
import subprocess
import time
import uuid

import pytest

from harness.cluster import Cluster
from harness.processes import sockets


def nft(script: str) -> str:
    program = shutil.which("nft") or "/usr/sbin/nft"
    done = subprocess.run([program, "-f", "-"], input=script, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, f"nft refused:\n{script}\n{done.stderr}"
    return done.stdout


@contextlib.contextmanager
def incoming(rules: str, why: str):
    """Has these rules (nftables) in force on packets on their way in, for the length of the block."""
    if os.geteuid() != 0:
        pytest.skip(f"{why} takes root (nftables)")
    table = f"inet sfumato_e2e_{uuid.uuid4().hex[:12]}"
    nft(f"""
        table {table} {{
            chain incoming {{
                type filter hook input priority filter;
                {rules}
            }}
        }}""")
    try:
        yield time.monotonic()
    finally:
        nft(f"delete table {table}")


def cut(cluster: Cluster, a: str, b: str):
    """Drops every RTP packet between two nodes, in both directions, for the length of the block; HTTP between them goes on.

    The pipes of a node have a port range of their own and send from the port that they listen on, so ranges cut this pair and no
    other, also links that are made during the cut. Dropped on the way in: on the way out, the sender would get an error.
    """
    for node in (a, b):
        first, last = cluster.pipe_range(node)
        ports = [port for _, port in sockets(cluster.pid(node), "udp") if first <= port <= last]
        assert ports, f"{node} has no pipe in its range {first}-{last}: what would be cut?"
    (first_a, last_a), (first_b, last_b) = cluster.pipe_range(a), cluster.pipe_range(b)
    rules = f"""
        udp sport {first_a}-{last_a} udp dport {first_b}-{last_b} drop
        udp sport {first_b}-{last_b} udp dport {first_a}-{last_a} drop"""
    return incoming(rules, "cutting a link")


def without_udp(ports: list[int]):
    """Drops every UDP packet from and to these ports, as for a client whose network is gone, for the length of the block."""
    assert ports, "no port: what would be cut?"
    these = ", ".join(str(port) for port in ports)
    return incoming(f"udp sport {{ {these} }} drop\nudp dport {{ {these} }} drop", "cutting a client off")


def narrowed(port: int, kilobytes: int):
    """Lets only so many kilobytes a second through to a client's UDP port, as a slow line does, for the length of the block."""
    rule = f"udp dport {port} limit rate over {kilobytes} kbytes/second burst {kilobytes // 4} kbytes drop"
    return incoming(rule, "narrowing a client's line")


def wait_until(moment: float) -> None:
    """Lets time pass while a fault lasts: its length is what the test is about."""
    time.sleep(max(0.0, moment - time.monotonic()))
