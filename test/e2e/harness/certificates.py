"""Certificates for listeners of tests, by a CA of their own."""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

ISSUER = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "e2e")])
# What `certify` writes.
CA, CERTIFICATE, KEY = "ca.crt", "tls.crt", "tls.key"


def certify(directory: Path, *names: x509.GeneralName) -> None:
    """A CA and a certificate for whoever has these names, with its key, for an hour."""
    now = datetime.datetime.now(datetime.UTC)

    def builder(public_key, subject: x509.Name) -> x509.CertificateBuilder:
        first, last = now - datetime.timedelta(minutes=5), now + datetime.timedelta(hours=1)
        times = x509.CertificateBuilder().not_valid_before(first).not_valid_after(last)
        return times.issuer_name(ISSUER).subject_name(subject).public_key(public_key).serial_number(x509.random_serial_number())

    authority, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = builder(authority.public_key(), ISSUER).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    own = builder(key.public_key(), x509.Name([])).add_extension(x509.SubjectAlternativeName(names), critical=True)
    for name, certificate in ((CA, ca), (CERTIFICATE, own)):
        (directory / name).write_bytes(certificate.sign(authority, hashes.SHA256()).public_bytes(Encoding.PEM))
    (directory / KEY).write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
