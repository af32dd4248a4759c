"""What the licences in an image say: everything that is in it, with the texts that are only named elsewhere."""

import contextlib
import re
import subprocess
import tempfile
import unittest
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import licences

ROOT = Path(__file__).parent.parent
PAGE = """<!DOCTYPE html><html><head><title>Notices</title></head><body>
<p><b>License:</b> Apache-2.0 OR MIT</p>
<p><b>Copyright:</b> The Rust Project Developers</p>
<h3>📦 alpha-1.0.0</h3>
<p><b>License:</b> MIT</p>
<details><summary><code>LICENSE</code></summary><pre>
Copyright (c) Alpha &#60;alpha@example.com&#62;
    Permission is granted.
</pre></details>
<h3>📦 beta-2.0.0</h3>
<details><pre>Copyright (c) Alpha &lt;alpha@example.com&gt; Permission is granted.</pre></details>
</body></html>"""


class Licences(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        # A computer with Debian's files, a toolchain of rustup, and what third-party/prepare.sh has prepared.
        for package in (*licences.IN_EVERY_IMAGE, *licences.OF_THE_WORKER):
            self.write(f"doc/{package}/copyright", f"Copyright of {package}")
        self.common = self.folder / "common"
        for name in ("Apache-2.0", "GPL-3", "LGPL-2.1"):
            self.write(f"common/{name}", f"The text of {name}")
        self.write("toolchain/share/doc/rust/COPYRIGHT-library.html", PAGE)
        for name in ("Apache-2.0", "MIT", "GPL-2.0-only"):
            self.write(f"toolchain/share/doc/rust/licenses/{name}.txt", f"Rust's text of {name}")
        self.write("prepared/libsrtp2/LICENSE", "Copyright of libsrtp2")

    def write(self, path: str, text: str) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    @contextlib.contextmanager
    def there(self) -> Iterator[None]:
        """In the block, this folder is the computer."""
        names = re.compile(rf"{self.common}/([A-Za-z0-9.-]*[A-Za-z0-9])")
        places = {
            "DEBIAN": self.folder / "doc",
            "COMMON": self.common,
            "NAMES_A_COMMON_LICENCE": names,
            "PREPARED": self.folder / "prepared",
            "CARGO_HOME": self.folder / "cargo",
        }
        with mock.patch.multiple(licences, **places):
            yield

    def document(self, program: str) -> str:
        with self.there():
            return licences.document(licences.gathered([], program, self.folder / "toolchain"), program)

    def error(self) -> str:
        """What is said instead of a document."""
        try:
            return f"no error, but {self.document('sfu-operator')}"
        except SystemExit as error:
            return str(error)

    def test_every_image_has_those_of_glibc_libgcc_the_certificates_and_rusts_standard_library(self) -> None:
        said = self.document("sfu-operator")
        for package in ("libc6", "libgcc-s1", "ca-certificates"):
            self.assertIn(f"\n{package}: see below\n", said)
            self.assertIn(f"\n\nCopyright of {package}\n\n", said)
        self.assertIn("\nRust's standard library: MIT OR Apache-2.0", said)
        self.assertIn("Copyright: The Rust Project Developers", said)
        self.assertNotIn("libuv1", said)

    def test_that_of_the_media_node_also_has_those_of_its_c_libraries(self) -> None:
        said = self.document("sfu-node")
        for name in ("libstdc++6", "libuv1-dev", "libflatbuffers-dev", "libsrtp2"):
            self.assertIn(f"Copyright of {name}", said)
        self.assertIn("OpenSSL: Apache-2.0", said)

    def test_a_common_licence_that_a_package_only_names_is_there_with_its_text_once(self) -> None:
        (self.common / "GPL").symlink_to("GPL-3")
        self.write("doc/libc6/copyright", f"See `{self.common}/LGPL-2.1'.")
        self.write("doc/libgcc-s1/copyright", f"{self.common}/LGPL-2.1, {self.common}/GPL, version 3, or ({self.common}/GPL-3).")
        said = self.document("sfu-operator")
        self.assertEqual(said.count("The text of LGPL-2.1"), 1)
        self.assertIn(f"libc6: {self.common}/LGPL-2.1, libgcc-s1: {self.common}/LGPL-2.1\n", said)
        self.assertEqual(said.count("The text of GPL-3"), 1)
        self.assertIn(f"libgcc-s1: {self.common}/GPL, libgcc-s1: {self.common}/GPL-3\n", said)
        self.assertNotIn("The text of Apache-2.0", said)

    def test_a_common_licence_that_is_not_there_is_an_error(self) -> None:
        self.write("doc/libc6/copyright", f"See {self.common}/GPL-9.")
        self.assertIn(f"/libc6/copyright names GPL-9, and there is no {self.common}/GPL-9", self.error())

    def test_a_package_without_its_file_is_an_error_where_the_distribution_has_such_files(self) -> None:
        (self.folder / "doc/ca-certificates/copyright").unlink()
        self.assertIn("the licence of ca-certificates is not known", self.error())
        self.common.rename(self.folder / "elsewhere")
        self.assertIn("ca-certificates: see below", self.document("sfu-operator"))

    def test_the_standard_library_has_the_texts_of_its_crates_and_of_the_licences_that_it_names(self) -> None:
        said = self.document("sfu-operator")
        self.assertEqual(said.count("Copyright (c) Alpha <alpha@example.com>"), 1)
        self.assertIn("alpha-1.0.0 in Rust's standard library, beta-2.0.0 in Rust's standard library\n", said)
        self.assertIn("\n    Permission is granted.", said)
        for name, times in (("Apache-2.0", 1), ("MIT", 1), ("GPL-2.0-only", 0)):
            self.assertEqual(said.count(f"Rust's text of {name}"), times, name)

    def test_a_toolchain_of_the_distribution_says_it_in_its_package_and_any_other_is_an_error(self) -> None:
        (self.folder / "toolchain/share/doc/rust/COPYRIGHT-library.html").unlink()
        self.assertIn("the licence of Rust's standard library is not known", self.error())
        self.write("doc/libstd-rust-1.95-dev/copyright", "Copyright of the distribution's Rust")
        self.assertIn("Copyright of the distribution's Rust", self.document("sfu-operator"))

    def test_openssls_licence_comes_from_its_source_and_else_from_the_common_one(self) -> None:
        self.assertIn("OpenSSL\n" + "-" * 80 + "\n\nThe text of Apache-2.0", self.document("sfu-node"))
        self.write("cargo/registry/src/index/openssl-src-300.6.1/openssl/LICENSE.txt", "OpenSSL's own text")
        self.assertIn("OpenSSL's own text", self.document("sfu-node"))

    def test_a_common_licence_is_found_by_its_name_however_the_sentence_ends(self) -> None:
        for said in ("`{}/LGPL-2.1'.", "in {}/LGPL-2.1, and", "“{}/LGPL-2.1”.", "({}/LGPL-2.1).", "{}/LGPL-2.1"):
            found = licences.NAMES_A_COMMON_LICENCE.findall(said.format("/usr/share/common-licenses"))
            self.assertEqual(found, ["LGPL-2.1"], said)
        self.assertEqual(licences.NAMES_A_COMMON_LICENCE.findall("the folder /usr/share/common-licenses."), [])


class Gathering(unittest.TestCase):
    def test_an_image_without_its_licences_is_not_made(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            # No program of the workspace, so nobody knows what it is built of.
            done = subprocess.run([ROOT / "docker" / "gather.sh", "/bin/true", folder], capture_output=True, text=True, check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertEqual(list(Path(folder).rglob("LICENSES.gz")), [])


if __name__ == "__main__":
    unittest.main()
