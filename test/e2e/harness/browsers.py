"""Chromium (DevTools protocol) and Firefox (WebDriver BiDi) without drivers: both are JSON over one websocket."""

import base64
import contextlib
import itertools
import json
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from websockets.sync.client import connect

from harness.processes import Child
from harness.waiting import PATIENCE, eventually

CHROMIUM_FLAGS = """
--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --no-default-browser-check --disable-background-networking
--disable-component-update --disable-sync --disable-extensions --disable-default-apps --disable-breakpad --disable-dev-shm-usage
--disable-features=Translate,OptimizationHints,MediaRouter,InterestFeedContentSuggestions,AutofillServerCommunication
--disable-background-timer-throttling --disable-backgrounding-occluded-windows --disable-renderer-backgrounding
--autoplay-policy=no-user-gesture-required --use-fake-ui-for-media-stream --use-fake-device-for-media-stream
--allow-loopback-in-peer-connection --mute-audio --metrics-recording-only --password-store=basic --window-size=1280,900
""".split()

# Everything that is not this machine is sent to a closed port: no test may depend on, or talk to, the world outside.
FIREFOX_PREFS = {
    "media.peerconnection.ice.loopback": True,
    "media.peerconnection.ice.obfuscate_host_addresses": False,
    "media.navigator.permission.disabled": True,
    "media.navigator.streams.fake": True,
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    "media.gmp-manager.updateEnabled": False,
    "media.gmp-provider.enabled": False,
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "network.proxy.no_proxies_on": "127.0.0.1",
    "network.proxy.allow_hijacking_localhost": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.prefetch-next": False,
    "app.normandy.enabled": False,
    "app.update.auto": False,
    "app.update.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.newtabpage.enabled": False,
    "browser.region.update.enabled": False,
    "browser.safebrowsing.downloads.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.search.update": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage": "about:blank",
    "browser.startup.page": 0,
    "browser.tabs.remote.force-paint": False,
    "datareporting.healthreport.uploadEnabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "dom.min_background_timeout_value": 4,
    "dom.timeout.enable_budget_timer_throttling": False,
    "extensions.getAddons.cache.enabled": False,
    "extensions.update.enabled": False,
    "messaging-system.rsexperimentloader.enabled": False,
    "remote.active-protocols": 1,
    "services.settings.server": "http://127.0.0.1:9/v1",
    "startup.homepage_welcome_url": "about:blank",
    "toolkit.telemetry.enabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
    "toolkit.telemetry.server": "http://127.0.0.1:9",
    "toolkit.telemetry.unified": False,
}


class BrowserError(AssertionError):
    """A script in a page threw, or the browser refused a command."""


class JsonSocket:
    """Calls with ids over a websocket; events in between are dropped."""

    def __init__(self, url: str):
        self._open = contextlib.ExitStack()
        self._socket = self._open.enter_context(
            connect(url, max_size=None, ping_interval=None, open_timeout=20 * PATIENCE, compression=None, proxy=None)
        )
        self._ids = itertools.count(1)

    def call(self, method: str, params: dict, within: float) -> dict:
        call_id = next(self._ids)
        self._socket.send(json.dumps({"id": call_id, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=within * PATIENCE))
            if message.get("id") == call_id:
                if message.get("error"):
                    raise BrowserError(f"{method}: {message['error']} {message.get('message', '')}")
                return message["result"]

    def close(self) -> None:
        self._open.close()


class Browser:
    """One browser with one tab and a profile of its own."""

    name: str
    program: str

    def __init__(self, log: Path):
        program = shutil.which(self.program)
        assert program, f"{self.program} is not installed: see README.md for the Debian packages"
        self.profile = Path(tempfile.mkdtemp(prefix=f"sfumato-e2e-{self.name}-"))
        self.child = Child(
            self.name, self._command(program), log, env={"HOME": str(self.profile), "XDG_CONFIG_HOME": str(self.profile)}
        )
        try:
            self.socket = JsonSocket(self._socket_url())
            self._prepare()
        except BaseException:
            self.stop()
            raise

    def run(self, function: str, *args, within: float = 30):
        """Calls a JavaScript function (its source) with JSON arguments in the page, awaits it, returns its JSON result."""
        call = f"({function})({','.join(json.dumps(a) for a in args)})"
        result = self._evaluate(f"(async () => JSON.stringify(await {call} ?? null))()", within)
        return json.loads(result)

    def working(self) -> bool:
        try:
            return self.child.running() and self.run("() => 1 + 1", within=10) == 2
        except Exception:
            return False

    def stop(self) -> None:
        if hasattr(self, "socket"):
            self.socket.close()
        self.child.stop(within=5)
        shutil.rmtree(self.profile, ignore_errors=True)

    def screenshot(self, path: Path) -> None:
        raise NotImplementedError

    def open(self, url: str) -> None:
        raise NotImplementedError

    def _command(self, program: str) -> list[str]:
        raise NotImplementedError

    def _socket_url(self) -> str:
        raise NotImplementedError

    def _prepare(self) -> None:
        raise NotImplementedError

    def _evaluate(self, expression: str, within: float) -> str:
        raise NotImplementedError


class Chromium(Browser):
    """`host` is where its pages and its media by TCP come from, with `*` for any characters; it connects to nothing else by TCP."""

    name = "chromium"
    program = "chromium"

    def __init__(self, log: Path, host: str = "127.0.0.1"):
        self.host = host
        super().__init__(log)

    def _command(self, program):
        return [
            program,
            *CHROMIUM_FLAGS,
            f"--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE {self.host}",
            "--remote-debugging-port=0",
            f"--user-data-dir={self.profile}",
            "--enable-logging=stderr",
            "about:blank",
        ]

    def _socket_url(self):
        active = self.profile / "DevToolsActivePort"
        port = eventually("Chromium says its DevTools port", lambda: active.read_text().splitlines()[0], within=30)

        def page():
            targets = httpx.get(f"http://127.0.0.1:{port}/json/list", trust_env=False).json()
            return next((t["webSocketDebuggerUrl"] for t in targets if t["type"] == "page"), None)

        return eventually("Chromium has a tab", page, within=20)

    def _prepare(self):
        self.socket.call("Page.enable", {}, 10)

    def open(self, url):
        self.run("() => { window.e2eOld = true; }")
        result = self.socket.call("Page.navigate", {"url": url}, 30)
        assert not result.get("errorText"), f"{url}: {result['errorText']}"
        eventually(
            f"{url} has loaded",
            lambda: self.run("() => !window.e2eOld && document.readyState === 'complete'", within=10),
            within=20,
            every=0.02,
        )

    def _evaluate(self, expression, within):
        params = {"expression": expression, "awaitPromise": True, "returnByValue": True, "userGesture": True}
        result = self.socket.call("Runtime.evaluate", params, within)
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description") or details["text"])
        return result["result"]["value"]

    def screenshot(self, path):
        path.write_bytes(base64.b64decode(self.socket.call("Page.captureScreenshot", {"format": "png"}, 20)["data"]))


class Firefox(Browser):
    name = "firefox"
    program = "firefox-esr"

    def _command(self, program):
        lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in FIREFOX_PREFS.items()]
        (self.profile / "user.js").write_text("\n".join(lines) + "\n")
        return [
            program,
            "--headless",
            "--no-remote",
            "--profile",
            str(self.profile),
            "--remote-debugging-port=0",
            "--remote-allow-system-access",
            "about:blank",
        ]

    def _socket_url(self):
        active = self.profile / "WebDriverBiDiServer.json"
        server = eventually(
            "Firefox says its BiDi port", lambda: json.loads(active.read_text()), within=45, errors=(OSError, ValueError)
        )
        return f"ws://{server['ws_host']}:{server['ws_port']}/session"

    def _prepare(self):
        self.socket.call("session.new", {"capabilities": {}}, 30)
        self.page = self.socket.call("browsingContext.getTree", {}, 20)["contexts"][0]["context"]
        self.chrome = self.socket.call("browsingContext.getTree", {"moz:scope": "chrome"}, 20)["contexts"][0]["context"]

    def open(self, url):
        self._allow_all_addresses(url)
        self.socket.call("browsingContext.navigate", {"context": self.page, "url": url, "wait": "complete"}, 30)

    def _allow_all_addresses(self, url):
        """A site without a lasting camera permission gets only the default route's address from Firefox: never 127.0.0.1, whatever
        media.peerconnection.ice.loopback says, and from there it reaches no node on loopback."""
        grant = """origin => {
            const principal = Services.scriptSecurityManager.createContentPrincipalFromOrigin(origin);
            for (const device of ["camera", "microphone"])
                Services.perms.addFromPrincipal(principal, device, Services.perms.ALLOW_ACTION);
        }"""
        parts = urlsplit(url)
        call = f"JSON.stringify(({grant})({json.dumps(f'{parts.scheme}://{parts.netloc}')}) ?? null)"
        self._evaluate(call, 10, context=self.chrome)

    def _evaluate(self, expression, within, context=None):
        params = {
            "expression": expression,
            "awaitPromise": True,
            "target": {"context": context or self.page},
            "userActivation": True,
        }
        result = self.socket.call("script.evaluate", params, within)
        if result["type"] == "exception":
            raise BrowserError(result["exceptionDetails"]["text"])
        return result["result"]["value"]

    def screenshot(self, path):
        shot = self.socket.call("browsingContext.captureScreenshot", {"context": self.page}, 20)
        path.write_bytes(base64.b64decode(shot["data"]))


BROWSERS = {"chromium": Chromium, "firefox": Firefox}
