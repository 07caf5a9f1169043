"""Which certificates are trusted and shown, and what a failure of TLS means in words."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import NoReturn

import certifi
import msgspec

from evalharness.errors import ConfigError
from evalharness.records import ErrorKind

# How the message of an untrusted certificate ends. Messages are cut at 200 characters.
TRUST_HINT = (
    "name its authority in provider.ca_file=FILE or in the environment variable SSL_CERT_FILE"
)
CLIENT_HINT = "provider.client_cert=FILE names the certificate to show"
NOT_TLS = "the server does not speak TLS at this port: http:// instead of https://?"
HANDSHAKE_ENDED = "the connection ended during the TLS handshake"
NO_CLOSE_NOTIFY = "the connection was cut off: it ended without the TLS message of its end"
# X509_V_ERR_…: self-signed (18, 19), no issuer found (2, 20, 21), an untrusted root (27).
_UNTRUSTED_CODES = frozenset({2, 18, 19, 20, 21, 27})
# What OpenSSL calls the first bytes of a server that answers with something else than TLS.
_NOT_TLS_REASONS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"})
# Alerts of a server that does not accept the certificate it was shown, or wants one.
_CLIENT_ALERTS = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")


class TlsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the connections to an endpoint are secured; files are in PEM form.

    Attributes:
        ca_file: certificates that are trusted beside the system's authorities; None is none.
        verify: whether the server's certificate and its name are checked.
        client_cert: the certificate shown to the server, with its chain; None shows none.
        client_key: its private key; None where ``client_cert`` holds it too.
    """

    ca_file: str | None = None
    verify: bool = True
    client_cert: str | None = None
    client_key: str | None = None


SYSTEM_TRUST = TlsSettings()


def client_context(tls: TlsSettings = SYSTEM_TRUST) -> ssl.SSLContext:
    """A TLS context with the system's certificate authorities (``SSL_CERT_FILE`` counts).

    certifi's serve where the system has no store that OpenSSL finds. TLS 1.2 or newer, HTTP/1.1.

    Raises:
        ConfigError: a file cannot be used, naming its key or variable.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION
    # As curl does: a certificate that the user trusts needs no issuer of its own, and private
    # authorities need not have every extension (Python 3.13 alone would ask for them).
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if tls.client_cert is not None:
        _show_certificate(context, tls.client_cert, tls.client_key)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    _check_variable()
    if not context.cert_store_stats()["x509_ca"]:
        context.load_verify_locations(certifi.where())
    if tls.ca_file is not None:
        _trust(context, tls.ca_file)
    return context


def tls_failure(error: ssl.SSLError) -> tuple[ErrorKind, str]:
    """What a failed handshake is, and why in words.

    An end in the middle of a handshake, and a server's own fault, may pass; the rest stays.
    """
    reason = error.reason or ""
    if isinstance(error, ssl.SSLEOFError) or "ALERT_INTERNAL_ERROR" in reason:
        return ErrorKind.CONNECT, HANDSHAKE_ENDED
    if isinstance(error, ssl.SSLCertVerificationError):
        return ErrorKind.TLS, _verification_message(error)
    if reason in _NOT_TLS_REASONS:
        return ErrorKind.TLS, NOT_TLS
    words = f"TLS failed: {(reason or str(error)).replace('_', ' ').lower()}"
    return ErrorKind.TLS, f"{words}; {CLIENT_HINT}" if refuses_client(error) else words


def refuses_client(error: BaseException | None) -> bool:
    """Whether the server ended the connection because of our certificate, or for want of one.

    With TLS 1.3 it says so after our handshake, when a request may be on its way: it has not
    accepted it.
    """
    if not isinstance(error, ssl.SSLError):
        return False
    reason = error.reason or ""
    return "ALERT" in reason and any(word in reason for word in _CLIENT_ALERTS)


def _verification_message(error: ssl.SSLCertVerificationError) -> str:
    why = error.verify_message.rstrip(".")
    if error.verify_code in _UNTRUSTED_CODES:
        return f"the server's certificate is not trusted ({why}): {TRUST_HINT}"
    return f"the server's certificate is not valid: {why}"


def _check_variable() -> None:
    """Refuse a variable that names no file, which OpenSSL would pass over in silence."""
    path = os.environ.get("SSL_CERT_FILE")
    if not path:
        return
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise ConfigError(
            f"the environment variable SSL_CERT_FILE names {path!r}, which cannot be read: "
            f"{error.strerror}",
            hint="unset SSL_CERT_FILE, or name a file with certificates of authorities",
        ) from None


def _trust(context: ssl.SSLContext, path: str) -> None:
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        raise ConfigError(
            f"provider.ca_file: {path!r} holds no certificate in PEM form",
            hint="openssl x509 -in FILE -inform der -out FILE.pem turns a DER file into one",
        ) from None
    except OSError as error:
        raise ConfigError(f"provider.ca_file: cannot read {path!r}: {error.strerror}") from None


def _show_certificate(context: ssl.SSLContext, cert: str, key: str | None) -> None:
    for name, path in (("client_cert", cert), ("client_key", key)):
        if path is not None:
            read_pem(name, path)
    try:
        context.load_cert_chain(cert, key, _refuse_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            problem = "the private key does not belong to the certificate"
        else:
            problem = f"{cert!r} with {key or cert!r} is no certificate with a private key"
            if key is None:  # one file was to hold both
                problem = f"{cert!r} holds no private key; provider.client_key=FILE names it"
        raise ConfigError(
            f"provider.client_cert: {problem}",
            hint="provider.client_cert=FILE and provider.client_key=FILE, both in PEM form",
        ) from None


def read_pem(name: str, path: str) -> bytes:
    """The bytes of a file that ``provider.<name>`` names.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"provider.{name}: cannot read {path!r}: {error.strerror}") from None


def _refuse_password() -> NoReturn:
    """OpenSSL would ask for a password on the terminal."""
    raise ConfigError(
        "provider.client_key is encrypted, and there is no way to give its password",
        hint="openssl pkey -in FILE -out FILE.plain writes it without one; keep that file private",
    )
