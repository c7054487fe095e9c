"""Certificates for tests, made by the openssl command."""
import os
import ssl

from .process import run


def make(directory, name="server", subject="localhost"):
    """A self-signed certificate for localhost and the loopback addresses: (certificate, key)."""
    certificate = os.path.join(directory, name + ".crt")
    key = os.path.join(directory, name + ".key")
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", f"/CN={subject}", "-keyout", key, "-out", certificate,
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"])
    return certificate, key


def client_context(certificate, own=None):
    """What a client needs to trust it. own: (certificate, key) of the client."""
    context = ssl.create_default_context(cafile=certificate)
    if own:
        context.load_cert_chain(*own)
    return context
