"""Writes OCI images as archives, from files of this computer: no registry, no image tool, no base image to download.

The same files give the same bytes (no times, no owners), so that layers which did not change have the same digest and cost nothing when loaded again.
Format: OCI image specification 1.1, in the layout that `ctr images import`, `podman load` and Docker 25 (or newer) read."""

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

# The user of images that name none: the number that distroless images give to "nonroot".
NONROOT = 65532

# Of a digest in a tag: enough for all images that one computer ever has.
DIGEST_LETTERS = 12
# Where containerd finds what an image is called.
REFERENCE = "io.containerd.image.name"

PASSWD = f"root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:{NONROOT}:{NONROOT}:nonroot:/:/sbin/nologin\n"
GROUP = f"root:x:0:\nnonroot:x:{NONROOT}:\n"


@dataclass
class Layer:
    """Files by their path in the image; a value is a file of this computer, or the content itself."""

    files: dict[str, Path | bytes]
    directories: list[str] = field(default_factory=list)

    def tar(self) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for name in sorted({*self.directories, *parents(self.files), *parents(self.directories)}):
                entry = tarfile.TarInfo(name.lstrip("/"))
                entry.type = tarfile.DIRTYPE
                entry.mode = 0o1777 if name == "/tmp" else 0o755
                tar.addfile(entry)
            for name, source in sorted(self.files.items()):
                content = source if isinstance(source, bytes) else source.read_bytes()
                entry = tarfile.TarInfo(name.lstrip("/"))
                entry.size = len(content)
                entry.mode = 0o644 if isinstance(source, bytes) else source.stat().st_mode & 0o755
                tar.addfile(entry, io.BytesIO(content))
        return buffer.getvalue()


def parents(names) -> set[str]:
    return {str(parent) for name in names for parent in Path(name).parents if str(parent) != "/"}


def base_layer(libraries: dict[str, Path] | None = None, certificates: Path | None = None) -> Layer:
    """What every image has: two users, a /tmp, and the libraries that its programs are linked to."""
    files: dict[str, Path | bytes] = {"/etc/passwd": PASSWD.encode(), "/etc/group": GROUP.encode(), **(libraries or {})}
    if certificates:
        files["/etc/ssl/certs/ca-certificates.crt"] = certificates
    return Layer(files, ["/tmp", "/dev", "/proc", "/sys", "/run"])


@dataclass
class Image:
    name: str
    entrypoint: list[str]
    layers: list[Layer]
    tag: str | None = None
    """None: the first letters of the image's own digest, so that another image has another reference."""
    user: int = NONROOT
    architecture: str = "amd64"

    def write(self, archive: Path) -> int:
        """Writes the archive (whole or not at all) and returns the size of the image, unpacked, in bytes."""
        blobs: dict[str, bytes] = {}

        def add(media_type: str, content: bytes) -> dict:
            digest = hashlib.sha256(content).hexdigest()
            blobs[digest] = content
            return {"mediaType": f"application/vnd.oci.image.{media_type}", "digest": f"sha256:{digest}", "size": len(content)}

        layers = [add("layer.v1.tar", layer.tar()) for layer in self.layers]
        config = {
            "architecture": self.architecture,
            "os": "linux",
            "config": {
                "Entrypoint": self.entrypoint,
                "User": f"{self.user}:{self.user}",
                "Env": ["PATH=/usr/bin:/bin"],
                "WorkingDir": "/",
            },
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
            "history": [{"created_by": "sfumato"} for _ in layers],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": add("config.v1+json", encoded(config)),
            "layers": layers,
        }
        entry = add("manifest.v1+json", encoded(manifest))
        entry["platform"] = {"architecture": self.architecture, "os": "linux"}
        tag = self.tag or entry["digest"].removeprefix("sha256:")[:DIGEST_LETTERS]
        entry["annotations"] = {REFERENCE: f"{self.name}:{tag}", "org.opencontainers.image.ref.name": tag}
        archive.parent.mkdir(parents=True, exist_ok=True)
        partial = archive.with_suffix(".partial")
        with tarfile.open(partial, "w", format=tarfile.GNU_FORMAT) as tar:
            for name, content in [
                ("oci-layout", encoded({"imageLayoutVersion": "1.0.0"})),
                ("index.json", encoded({"schemaVersion": 2, "manifests": [entry]})),
                *((f"blobs/sha256/{digest}", content) for digest, content in sorted(blobs.items())),
            ]:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                info.mode = 0o644
                tar.addfile(info, io.BytesIO(content))
        partial.rename(archive)
        return sum(layer["size"] for layer in layers)


def reference(archive: Path) -> str:
    """What the image in an archive is called."""
    with tarfile.open(archive) as tar:
        index = json.load(tar.extractfile("index.json"))
    return index["manifests"][0]["annotations"][REFERENCE]


def encoded(value: dict) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
