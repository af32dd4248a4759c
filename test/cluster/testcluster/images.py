"""The images of the test cluster: the cluster's own, and Sfumato's from the programs that cargo built."""

import functools
import gzip
import hashlib
import json
import os
import platform
import re
import subprocess
import tarfile
from pathlib import Path

from .image import Image, Layer, base_layer, reference
from .layout import binary, cache
from .locking import held

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

# Sfumato's images and their programs. `localhost/` is a registry that nobody can pull from, so a missing image is seen at once.
PREFIX = "localhost/sfumato"
RELEASE_PREFIX = "sfumato"
PROGRAMS = ("sfu-node", "sfu-operator", "sfu-smoke", "sfu-web")
REDIS = Path("/usr/bin/redis-server")
REDIS_COPYRIGHT = Path("/usr/share/doc/redis-server/copyright")
LICENCES = Path(__file__).resolve().parents[3] / "scripts" / "licences.py"

# Limits of the images' unpacked sizes, in bytes; beyond them, building fails. SFUMATO_LARGE_IMAGES=1 lets programs pass that were
# built without optimization.
LARGEST = {"sfu-node": 60_000_000, "sfu-operator": 25_000_000, "sfu-smoke": 25_000_000, "sfu-web": 25_000_000}


class ImageTooLarge(RuntimeError):
    """An image is larger than it may be."""


def programs() -> Path:
    """The folder of the programs that cargo built, as the tests are told."""
    return Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).resolve().parents[3] / "target")) / "debug"


def own_archives() -> list[Path]:
    """The images that the cluster itself needs, written where they are older than their program."""
    static = {"pause": "machine-init", "coredns": "coredns", "probe": "probe"}
    archives = []
    with held(cache() / "images/lock"):
        for name, program in static.items():
            archive = cache() / "images" / f"{name}.tar"
            source = Path(binary(program))
            if is_older(archive, source):
                layers = [base_layer(), Layer({f"/usr/bin/{program}": source})]
                Image(f"localhost/sfumato-cluster/{name}", [f"/usr/bin/{program}"], layers, "1", architecture=ARCHITECTURE).write(archive)
            archives.append(archive)
    return archives


def release_archives(binaries: Path, tag: str, folder: Path) -> dict[str, Path]:
    """The images of the programs for others than the test cluster, with the same contents: `sfumato/NAME:TAG`, one archive each in `folder`."""
    written = {}
    for name in PROGRAMS:
        source = binaries / name
        if not source.is_file():
            raise not_built(source)
        written[name] = folder / f"{name}.tar"
        write_program_image(name, tag, source, written[name], prefix=RELEASE_PREFIX)
    return written


def not_built(program: Path) -> FileNotFoundError:
    return FileNotFoundError(f"{program} is not there: build it first (`make build`), or name the folder of the programs")


def sfumato_archives(binaries: Path, tag: str | None = None, *, only: list[str] | None = None) -> dict[str, Path]:
    """Writes Sfumato's images and managed Redis's, where they are older than their programs; returns the archives by program. Each is called
    `localhost/sfumato/NAME:TAG`. Without a tag it is the image's digest: where a program has changed, so has the reference in every manifest, and
    what ran before is replaced."""
    written = {}
    with held(cache() / "images/lock"):
        for name in only or [*PROGRAMS, "redis"]:
            source = REDIS if name == "redis" else binaries / name
            if not source.is_file():
                raise not_built(source)
            # One for each folder of programs: two clones may build the same program.
            clone = hashlib.sha256(str(source.parent).encode()).hexdigest()[:8]
            written[name] = cache() / "images" / f"{name}-{tag or 'digest'}-{clone}.tar"
            if is_older(written[name], source):
                write_program_image(name, tag, source, written[name])
    return written


def write_program_image(name: str, tag: str | None, source: Path, archive: Path, prefix: str = PREFIX) -> None:
    size = program_image(f"{prefix}/{name}", tag, source, archive)
    written = reference(archive)
    print(f"  {written}: {size / 1e6:.1f} MB unpacked")
    if size > LARGEST.get(name, size) and not os.environ.get("SFUMATO_LARGE_IMAGES"):
        archive.unlink()
        raise ImageTooLarge(f"{written} is {size / 1e6:.1f} MB unpacked, and may be {LARGEST[name] / 1e6:.0f} MB")


def references(binaries: Path) -> dict[str, str]:
    """What the images of these programs are called, by program."""
    return {name: reference(archive) for name, archive in sfumato_archives(binaries).items()}


def unpacked_size(archive: Path) -> int:
    """Bytes of the layers of an archive that was written here."""
    with tarfile.open(archive) as tar:

        def blob(of: dict) -> dict:
            return json.load(tar.extractfile(f"blobs/{of['digest'].replace(':', '/')}"))

        index = json.load(tar.extractfile("index.json"))
        return sum(layer["size"] for layer in blob(index["manifests"][0])["layers"])


def program_image(name: str, tag: str | None, source: Path, archive: Path) -> int:
    """An image of one program: glibc's libraries below, the program without its symbols above."""
    stripped = archive.with_suffix(".stripped")
    archive.parent.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(["strip", "-o", stripped, source], check=True)
        target = f"/usr/bin/{source.name}"
        files = {target: stripped, f"/usr/share/doc/{source.name}/LICENSES.gz": gzip.compress(licences(source.name), mtime=0)}
        layers = [base_layer(libraries(source), CERTIFICATES if CERTIFICATES.is_file() else None), Layer(files)]
        return Image(name, [target], layers, tag, architecture=ARCHITECTURE).write(archive)
    finally:
        stripped.unlink(missing_ok=True)


@functools.cache
def licences(program: str) -> bytes:
    """Of all that is in the program's image."""
    if program == REDIS.name:
        return REDIS_COPYRIGHT.read_bytes() if REDIS_COPYRIGHT.is_file() else b""
    # cargo knows what a program is built of.
    path = f"{os.environ.get('PATH', '/usr/bin:/bin')}:{os.environ.get('CARGO_HOME') or Path.home() / '.cargo'}/bin"
    return subprocess.run([LICENCES, program], env=os.environ | {"PATH": path}, check=True, stdout=subprocess.PIPE).stdout


def libraries(program: Path) -> dict[str, Path]:
    """The shared libraries of a program and their loader, at the paths where the loader looks."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    if missing := re.findall(r"(\S+) => not found", listed):
        raise FileNotFoundError(f"{program} needs {', '.join(missing)}, which this computer has not")
    return {path: Path(path).resolve() for path in re.findall(r"(/\S+) \(0x", listed)}


def is_older(archive: Path, program: Path) -> bool:
    """Than its program, or than what writes archives."""
    sources = [program, Path(__file__), Path(__file__).with_name("image.py"), LICENCES]
    return not archive.is_file() or any(archive.stat().st_mtime <= source.stat().st_mtime for source in sources)
