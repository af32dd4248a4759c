"""An Ingress or an HTTPRoute carried out by nginx, for the front door of a cluster of processes.

Read as their specifications have it: hosts, paths by whole segments, TLS, filters of requests. Annotations mean something to one
controller only, and are not read."""

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from harness.processes import Child
from harness.waiting import eventually

PROGRAM = "nginx"
# What nginx answers (404) where no rule leads to a Service.
NO_RULE = "no rule leads there"


@dataclass(frozen=True)
class Rule:
    """Requests below `path` go to a port of a Service: the path replaced, unless `replaced` is None, and with these headers."""

    path: str
    service: str
    port: int
    replaced: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Site:
    hosts: list[str]
    rules: list[Rule]
    tls_secret: str | None = None


def of_ingress(ingress: dict) -> Site:
    spec = ingress["spec"]
    hosts, rules = [], []
    for rule in spec["rules"]:
        hosts += [rule["host"]] if "host" in rule else []
        for path in rule["http"]["paths"]:
            assert path["pathType"] == "Prefix", path
            service = path["backend"]["service"]
            rules.append(Rule(path["path"], service["name"], service["port"]["number"]))
    secrets = {tls["secretName"] for tls in spec.get("tls", [])}
    assert len(secrets) <= 1
    return Site(hosts, rules, next(iter(secrets), None))


def of_route(route: dict, tls_secret: str | None) -> Site:
    """TLS is the Gateway's: `tls_secret` is that of its listener."""
    rules = []
    for rule in route["spec"]["rules"]:
        [match] = rule["matches"]
        [backend] = rule["backendRefs"]
        assert match["path"]["type"] == "PathPrefix", match
        replaced, headers = None, {}
        for one in rule.get("filters", []):
            match one["type"]:
                case "URLRewrite":
                    path = one["urlRewrite"]["path"]
                    assert path["type"] == "ReplacePrefixMatch", path
                    replaced = path["replacePrefixMatch"]
                case "RequestHeaderModifier":
                    headers = {header["name"]: header["value"] for header in one["requestHeaderModifier"]["set"]}
                case other:
                    raise AssertionError(f"a filter of the type {other} is not carried out here")
        rules.append(Rule(match["path"]["value"], backend["name"], backend["port"], replaced, headers))
    return Site(route["spec"].get("hostnames", []), rules, tls_secret)


def locations(rule: Rule, backend: str) -> str:
    """A prefix means whole segments: `/whip` and what is below it, and not `/whips`."""
    path = rule.path.rstrip("/")
    headers = {
        "Host": "$http_host",
        "X-Forwarded-For": "$proxy_add_x_forwarded_for",
        "X-Forwarded-Proto": "$scheme",
        "Connection": '""',
    } | {name: f'"{value}"' for name, value in rule.headers.items()}
    lines = [
        f"proxy_pass {backend};",
        "proxy_http_version 1.1;",
        *(f"proxy_set_header {name} {value};" for name, value in headers.items()),
    ]
    if rule.replaced is not None:
        below = "/?(.*)$ /" if rule.replaced == "/" else f"(.*)$ {rule.replaced}"
        lines.insert(0, f"rewrite ^{path}{below}$1 break;")
    body = "\n      ".join(lines)
    exact = f"location = {path} {{\n      {body}\n    }}\n    " if path else ""
    return f"{exact}location ^~ {path}/ {{\n      {body}\n    }}"


def configuration(
    site: Site, listen: int, backends: dict[tuple[str, int], str], certificates: dict[str, tuple[Path, Path]], folder: Path
) -> str:
    """`backends`: where a port of a Service is; `certificates`: those of Secrets, each with its key."""
    tls = ""
    if site.tls_secret:
        certificate, key = certificates[site.tls_secret]
        tls = f"ssl_certificate {certificate};\n    ssl_certificate_key {key};"
    rules = "\n    ".join(locations(rule, backends[rule.service, rule.port]) for rule in site.rules)
    names = " ".join(site.hosts) or "_"
    rest = "" if any(rule.path == "/" for rule in site.rules) else f'location / {{ return 404 "{NO_RULE}"; }}'
    return f"""\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr info;
events {{}}
http {{
  access_log off;
  {"".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))}
  server {{
    listen 127.0.0.1:{listen} {"ssl" if tls else ""};
    server_name {names};
    {tls}
    {rules}
    {rest}
  }}
}}
"""


class Nginx:
    """nginx in the foreground; what it writes is in `folder`."""

    def __init__(self, text: str, folder: Path):
        program = shutil.which(PROGRAM, path="/usr/sbin:/usr/bin")
        assert program, "nginx is not here: scripts/apt.sh proxy"
        folder.mkdir()
        file = folder / "nginx.conf"
        file.write_text(text)
        checked = subprocess.run([program, "-t", "-p", folder, "-c", file], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, f"{checked.stderr}\n{text}"
        self.child = Child("nginx", [program, "-p", folder, "-c", file], folder / "nginx.log")

    def started(self, http, url: str) -> "Nginx":
        eventually("nginx answers", lambda: http.get(url).status_code == 404, within=15)
        return self

    def stop(self) -> None:
        self.child.stop()
