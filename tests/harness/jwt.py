"""Signed tokens (JWT, RFC 7515 and 7519), made by the standard library and the openssl command."""
import base64
import hashlib
import hmac
import json
import os
import subprocess
import time

from .process import run

SECRET = "0123456789abcdef0123456789abcdef"


def part(data):
    """Base64url without padding."""
    if isinstance(data, dict):
        data = json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _numbers(signature):
    """An ECDSA signature of openssl's (DER: a sequence of two integers), as JWS has it."""
    assert signature[0] == 0x30, signature
    at, found = 2, b""
    for _ in range(2):
        assert signature[at] == 2, signature
        length = signature[at + 1]
        found += signature[at + 2:at + 2 + length].lstrip(b"\0").rjust(32, b"\0")
        at += 2 + length
    return found


class Issuer:
    """Signs with a secret, or with a key pair of its own in the directory."""

    def __init__(self, algorithm="HS256", directory=None, secret=SECRET):
        self.algorithm = algorithm
        self.secret = secret
        if algorithm != "HS256":
            self.private = os.path.join(directory, "token-private.pem")
            self.public = os.path.join(directory, "token-public.pem")
            kind = ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if algorithm == "RS256" else \
                   ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
            run(["openssl", "genpkey", "-algorithm", *kind, "-out", self.private])
            run(["openssl", "pkey", "-in", self.private, "-pubout", "-out", self.public])

    def settings(self, **more):
        """Those of a front-end that asks for this issuer's tokens."""
        key = {"auth.key": self.secret} if self.algorithm == "HS256" else {"auth.key_file": self.public}
        return {"auth.mode": "on", "auth.algorithm": self.algorithm, **key, **more}

    def _signature(self, text):
        if self.algorithm == "HS256":
            return hmac.new(self.secret.encode(), text, hashlib.sha256).digest()
        signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.private, "-binary"], input=text,
                                capture_output=True, check=True).stdout
        return signed if self.algorithm == "RS256" else _numbers(signed)

    def token(self, user="1:12345", lasts=3600, header=None, **claims):
        """claims: further ones, or others than those of user and lasts; None leaves one out."""
        claims = {"sub": user, "exp": int(time.time() + lasts), **claims}
        claims = {key: value for key, value in claims.items() if value is not None}
        text = part(header or {"alg": self.algorithm, "typ": "JWT"}) + b"." + part(claims)
        return (text + b"." + part(self._signature(text))).decode()
