"""Which certificate authorities are trusted."""

from __future__ import annotations

import ssl

import certifi


def trusted_context() -> ssl.SSLContext:
    """A TLS context with the system's certificate authorities (``SSL_CERT_FILE`` counts).

    certifi's serve where the system has no store that OpenSSL finds. The default transport does the
    same; httpx alone would use certifi's always.
    """
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:
        context.load_verify_locations(certifi.where())
    return context
