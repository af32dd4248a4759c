"""Viewers whose network reaches a TURN server and nothing else of the media: Debian's coturn, with a secret that it shares with the nodes."""

import contextlib
import sqlite3
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.growth import grows
from installation import program
from media import PLAYS_WITHIN, Peers, seen_by, without_udp
from sfucluster import SfuCluster
from testcluster.fixtures import new_namespace
from testcluster.layout import OUTSIDE, OUTSIDE_ADDRESS, Host
from testcluster.machines import Machine
from testcluster.waiting import eventually

pytestmark = pytest.mark.testcluster

# On a host, as a DaemonSet in the network of its host would have it: it reaches pods, and is reached from outside.
PORT = 3478
SECRET = "north-by-north-west"

# A player that takes its ICE servers from the answer (RFC 9725 section 4.6), as players with a TURN client do.
WATCH = """async (url) => {
    const pc = new RTCPeerConnection();
    const errors = [];
    pc.addEventListener("icecandidateerror", ({ url, errorCode, errorText }) => errors.push(`${url}: ${errorCode} ${errorText}`));
    for (const kind of ["audio", "video"]) pc.addTransceiver(kind, { direction: "recvonly" });
    const video = document.createElement("video");
    video.muted = video.autoplay = true;
    document.body.append(video);
    pc.addEventListener("track", ({ track, streams }) => { if (track.kind === "video") video.srcObject = streams[0]; });
    const offer = await pc.createOffer();
    const answer = await fetch(url, { method: "POST", headers: { "Content-Type": "application/sdp" }, body: offer.sdp });
    if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`);
    const links = answer.headers.get("Link").matchAll(/<(turn[^>]*)>; rel="ice-server"; username="([^"]*)"; credential="([^"]*)"/g);
    const iceServers = [...links].map(([, urls, username, credential]) => ({ urls, username, credential }));
    pc.setConfiguration({ iceServers });
    await pc.setLocalDescription(offer);
    await pc.setRemoteDescription({ type: "answer", sdp: await answer.text() });
    window.e2e = { pc, errors };
    return iceServers;
}"""
SEEN = """async () => {
    const all = [...(await e2e.pc.getStats()).values()];
    const pair = all.find((it) => it.type === "candidate-pair" && it.nominated && it.state === "succeeded");
    const local = pair && all.find((it) => it.id === pair.localCandidateId);
    const video = all.find((it) => it.type === "inbound-rtp" && it.kind === "video");
    const { pc, errors } = e2e;
    const by = { local: local?.candidateType, relay: local?.relayProtocol };
    return { state: pc.connectionState, errors, ...by, packets: video?.packetsReceived ?? 0 };
}"""
CLOSE = "async () => { e2e.pc.close(); }"


@pytest.fixture
def coturn(layout) -> Iterator[str]:
    """On a host; answers `ADDRESS:PORT`."""
    host, address = Machine(layout, Host(1).name), Host(1).address.v4
    # It asks its database for further secrets, and refuses everybody if that has no table of them.
    database = layout.state / "turn.sqlite"
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.executescript(Path("/usr/share/coturn/schema.sql").read_text())
    secret = ("--use-auth-secret", f"--static-auth-secret={SECRET}", "--realm=sfumato")
    where = (f"--listening-ip={address}", f"--relay-ip={address}", f"--listening-port={PORT}")
    quiet = ("-n", "--no-cli", "--no-tls", "--no-dtls", "--log-file=stdout", "--pidfile=/dev/null")
    host.start("turnserver", *quiet, f"--userdb={database}", *secret, *where)
    try:
        yield f"{address}:{PORT}"
    finally:
        host.stop("turnserver")
        database.unlink()
        print(host.log("turnserver").read_text(errors="replace")[-4000:])


@pytest.fixture
def relayed(kubectl, coturn, operator) -> Iterator[SfuCluster]:
    """A cluster whose pods nobody outside of the pod network reaches; its clients are told of the TURN server."""
    with new_namespace(kubectl, "turn") as namespace:
        sfu = SfuCluster(kubectl, namespace)
        sfu.put_secret("turn", {"secret": SECRET})
        urls = [f"turn:{coturn}?transport={transport}" for transport in ("udp", "tcp")]
        server = {"urls": urls, "sharedSecretRef": {"name": "turn", "key": "secret"}, "credentialTtl": "10m"}
        sfu.apply(replicas=2, media={"iceServers": [server]}, web={"service": {"type": "NodePort"}})
        sfu.whole(2)
        yield sfu


@pytest.mark.usefixtures("chromium")
def test_a_viewer_who_reaches_a_turn_server_alone_watches_by_udp_and_by_tcp(relayed, layout, tmp_path):
    sfu = relayed
    port = sfu.get("service", f"{sfu.name}-web")["spec"]["ports"][0]["nodePort"]
    front = f"http://{Host(1).address.v4}:{port}"
    with contextlib.ExitStack() as around:
        eventually("the front door answers", lambda: urllib.request.urlopen(f"{front}/readyz", timeout=5).close() or True, within=30)
        directory = Path(program("sfu-bench")).parent
        inside = Peers(directory, tmp_path)
        around.callback(inside.stop)
        inside.publish(f"{front}/whip/relayed?node=live-0")
        grows(inside.count(f"{front}/whep/relayed?node=live-1"))

        around.enter_context(Machine(layout, OUTSIDE).network())
        outside = Peers(directory, tmp_path / "outside", OUTSIDE_ADDRESS.v4)
        (tmp_path / "outside").mkdir()
        around.callback(outside.stop)
        chromium = outside.browser(Host(1).address.v4)
        chromium.open(f"{front}/")

        def watched(by: str) -> None:
            servers = chromium.run(WATCH, f"{front}/whep/relayed?node=live-1")
            assert len({it["username"] for it in servers}) == 2, "each has a user name of its own"
            assert all(SECRET not in str(it) for it in servers)

            def plays() -> bool:
                seen = chromium.run(SEEN)
                assert seen["packets"] > 50, seen
                assert (seen["local"], seen["relay"]) == ("relay", by)
                return True

            eventually(f"video by TURN over {by}", plays, within=PLAYS_WITHIN)
            chromium.run(CLOSE)

        watched("udp")
        # So does the page, both ways.
        seen_by(chromium, front, "by-page", nodes=2)
        command = [program("sfu-smoke"), "--check-media", f"--door={front}", f"--bind={OUTSIDE_ADDRESS.v4}", "--nodes=2"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        for node in ("live-0", "live-1"):
            assert f"{node}: UDP no, TCP no, TURN yes" in done.stdout.splitlines(), done.stdout
        with without_udp(layout):
            watched("tcp")
            seen_by(chromium, front, "by-page-and-tcp", nodes=2)

        # Who knows another secret gets no relay, and the check says whose turn it is.
        sfu.put_secret("turn", {"secret": "south"})
        before = sfu.uids()
        sfu.patch(podLabels={"rolled": "yes"})
        eventually("the nodes are new", lambda: not set(before.values()) & set(sfu.uids().values()), within=120)
        sfu.whole(2)
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 1, done.stdout
        assert "live-0: UDP no, TCP no, TURN no" in done.stdout.splitlines(), done.stdout
        assert "answers, and refuses: the credentials that the node names are not those of a user (401)" in done.stdout
