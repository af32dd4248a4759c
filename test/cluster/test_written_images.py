"""The image writer makes what the OCI image specification asks for, and the same from the same."""

import contextlib
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testcluster import images
from testcluster.image import NONROOT, Image, Layer, base_layer
from testcluster.images import libraries, sfumato_archives
from testcluster.layout import cache


@pytest.fixture
def image(tmp_path):
    program = tmp_path / "program"
    program.write_bytes(b"#!/bin/true\n")
    program.chmod(0o777)
    return Image("localhost/test/program", ["/usr/bin/program"], [base_layer(), Layer({"/usr/bin/program": program})], "1")


def read(archive):
    with tarfile.open(archive) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar.getmembers()}


def test_every_blob_is_named_by_its_digest_and_reached_from_the_index(image, tmp_path):
    image.write(tmp_path / "image.tar")
    files = read(tmp_path / "image.tar")
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    blobs = {name.removeprefix("blobs/sha256/"): content for name, content in files.items() if name.startswith("blobs/")}
    assert all(hashlib.sha256(content).hexdigest() == digest for digest, content in blobs.items())

    def follow(descriptor):
        content = blobs.pop(descriptor["digest"].removeprefix("sha256:"))
        assert len(content) == descriptor["size"]
        return content

    [entry] = json.loads(files["index.json"])["manifests"]
    assert entry["annotations"]["io.containerd.image.name"] == "localhost/test/program:1"
    manifest = json.loads(follow(entry))
    config = json.loads(follow(manifest["config"]))
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]
    assert config["config"]["User"] == f"{NONROOT}:{NONROOT}"
    for layer in manifest["layers"]:
        follow(layer)
    assert not blobs


def test_files_have_no_owner_and_no_time_and_their_folders_come_first(image):
    for layer in image.layers:
        with tarfile.open(fileobj=io.BytesIO(layer.tar())) as tar:
            seen = {""}
            for entry in tar.getmembers():
                assert (entry.uid, entry.gid, entry.mtime) == (0, 0, 0)
                assert entry.name.rpartition("/")[0] in seen
                seen.add(entry.name)
    with tarfile.open(fileobj=io.BytesIO(image.layers[0].tar())) as tar:
        assert tar.getmember("tmp").mode == 0o1777
    with tarfile.open(fileobj=io.BytesIO(image.layers[1].tar())) as tar:
        assert tar.getmember("usr/bin/program").mode == 0o755


def test_the_same_files_make_the_same_archive(image, tmp_path):
    size = image.write(tmp_path / "one.tar")
    assert image.write(tmp_path / "two.tar") == size
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_a_programs_libraries_are_found_with_its_loader():
    found = libraries("/bin/sh")
    assert any("ld-linux" in path for path in found)
    assert any(path.endswith("/libc.so.6") for path in found)
    assert all(source.is_file() and not source.is_symlink() for source in found.values())


@pytest.fixture
def built(tmp_path, monkeypatch):
    """A folder of programs, and a cache of this test's own."""
    monkeypatch.setenv("SFUMATO_THIRD_PARTY_SOURCES", str(cache().parent))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "bin").mkdir()
    shutil.copy("/bin/true", tmp_path / "bin/sfu-node")
    return tmp_path / "bin"


def test_another_program_is_an_image_of_another_name_and_the_same_program_one_of_the_same(built):
    first = images.reference(archive(built))
    assert re.fullmatch(r"localhost/sfumato/sfu-node:[0-9a-f]{12}", first)
    program, times = built / "sfu-node", (built / "sfu-node").stat()
    shutil.copy("/bin/false", program)
    os.utime(program, (times.st_atime, archive(built).stat().st_mtime + 1))
    second = images.reference(archive(built))
    shutil.copy("/bin/true", program)
    os.utime(program, (times.st_atime, archive(built).stat().st_mtime + 2))
    assert (first != second, images.reference(archive(built))) == (True, first)


def archive(built):
    [path] = sfumato_archives(built, only=["sfu-node"]).values()
    return path


def test_an_archive_is_written_again_only_when_its_program_is_newer(built):
    [archive] = sfumato_archives(built, "dev", only=["sfu-node"]).values()
    first = archive.stat()
    [archive] = sfumato_archives(built, "dev", only=["sfu-node"]).values()
    assert archive.stat().st_mtime_ns == first.st_mtime_ns
    shutil.copy("/bin/false", built / "sfu-node")
    os.utime(built / "sfu-node", (first.st_mtime + 1, first.st_mtime + 1))
    [archive] = sfumato_archives(built, "dev", only=["sfu-node"]).values()
    assert archive.stat().st_mtime_ns != first.st_mtime_ns


def test_images_for_a_registry_are_the_same_bytes_twice_and_hold_no_shell_and_the_licences(built, tmp_path):
    for name in images.PROGRAMS:
        shutil.copy("/bin/true", built / name)
    first, second = (images.release_archives(built, "0.1.0", tmp_path / folder) for folder in ("first", "second"))
    assert list(first) == list(images.PROGRAMS)
    for name in first:
        assert images.reference(first[name]) == f"sfumato/{name}:0.1.0"
        assert first[name].read_bytes() == second[name].read_bytes()
        files = files_of(first[name])
        assert {path.rpartition("/")[2] for path, mode in files.items() if mode & 0o111} - set(libraries_in(files)) == {name}
        assert f"usr/share/doc/{name}/LICENSES.gz" in files


def test_the_licences_in_an_image_have_the_texts_that_debians_files_only_name(built, tmp_path):
    for name in images.PROGRAMS:
        shutil.copy("/bin/true", built / name)
    archive = images.release_archives(built, "0.1.0", tmp_path)["sfu-node"]
    said = gzip.decompress(file_of(archive, "usr/share/doc/sfu-node/LICENSES.gz")).decode()
    for part in ("Rust's standard library", "libc6", "libgcc-s1", "ca-certificates", "OpenSSL"):
        assert f"\n{part}: " in said
    named = set(re.findall(r"/usr/share/common-licenses/[\w.-]*\w", said))
    assert not [path for path in named if Path(path).read_text().strip() not in said]


def entries(archive) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """Every file of an image, with its content."""
    for content in read(archive).values():
        with contextlib.suppress(tarfile.ReadError), tarfile.open(fileobj=io.BytesIO(content)) as layer:
            yield from ((entry, layer.extractfile(entry).read()) for entry in layer.getmembers() if entry.isfile())


def files_of(archive) -> dict[str, int]:
    """Path and mode of every file of an image."""
    return {entry.name: entry.mode for entry, _ in entries(archive)}


def file_of(archive, path: str) -> bytes:
    return next(content for entry, content in entries(archive) if entry.name == path)


def libraries_in(files) -> list[str]:
    return [path.rpartition("/")[2] for path in files if ".so" in path]


def test_an_image_that_is_too_large_is_refused_with_both_sizes(built, monkeypatch):
    monkeypatch.setitem(images.LARGEST, "sfu-node", 1000)
    with pytest.raises(images.ImageTooLarge, match=r"localhost/sfumato/sfu-node:dev is \d+\.\d MB unpacked, and may be 0 MB"):
        sfumato_archives(built, "dev", only=["sfu-node"])
    assert not list((built.parent / "cache").rglob("*.tar"))


def test_a_program_that_is_not_built_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="sfu-node is not there: build it first"):
        sfumato_archives(tmp_path, "dev")
