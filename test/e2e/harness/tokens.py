"""Tokens of publishers and viewers, signed as other programs would sign them."""

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims_in(header: dict, claims: dict) -> str:
    """What a token's signature is made over."""
    claims = {"exp": int(time.time()) + 60, **claims}
    return ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))


def signed_by_secret(secret: Path, **claims) -> str:
    """A token by the first line of a file (RFC 7518 section 3.2)."""
    text = claims_in({"alg": "HS256"}, claims)
    return f"{text}.{encoded(hmac.digest(secret.read_text().split()[0].encode(), text.encode(), hashlib.sha256))}"
