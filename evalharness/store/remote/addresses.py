"""Addresses of results roots: paths and URLs, and no keys in them."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from evalharness.errors import ConfigError

#: The supported schemes; pyarrow's others are untested.
SCHEMES = ("s3", "file")
_EXAMPLE = "results_dir=s3://bucket/folder"
_CREDENTIALS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or AWS_PROFILE"
_BUCKET = re.compile(r"[A-Za-z0-9._-]+")
# The options of pyarrow in a URL's query that a run may need; none of them is secret.
_OPTIONS = (
    "region", "scheme", "endpoint_override", "allow_bucket_creation", "allow_delayed_open",
    "tls_ca_file_path", "tls_ca_dir_path", "tls_verify_certificates",
)  # fmt: skip


def is_url(address: str) -> bool:
    """Whether the address of a results root or a run is a URL rather than a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", address) is not None


def check_url(url: str) -> SplitResult:
    """Parse and check a URL.

    Raises:
        ConfigError: it cannot be written to, or may contain a secret key, also in its path. No
            message shows more than the scheme.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # its message would show the URL
        raise ConfigError("results_dir=…://… cannot be read as a URL", hint=_EXAMPLE) from None
    start = f"results_dir={parts.scheme}://…"
    if parts.scheme not in SCHEMES:
        raise ConfigError(
            f"{start}: only {' and '.join(f'{s}://' for s in SCHEMES)} are supported",
            hint=_EXAMPLE,
        )
    if parts.scheme == "file":
        if parts.netloc or not parts.path.startswith("/"):
            raise ConfigError(f"{start}: file:///PATH has three slashes")
        if parts.query or parts.fragment:
            raise ConfigError(f"{start}: a path has no ? and no # in it")
        return parts
    if not parts.netloc:
        raise ConfigError(f"{start} names no bucket", hint=_EXAMPLE)
    if "@" in unquote(url):
        raise ConfigError(f"{start} has an @ in it, as before it a key would be", hint=_CREDENTIALS)
    if not _BUCKET.fullmatch(parts.netloc) or parts.fragment:
        raise ConfigError(f"{start}: what follows is no bucket and folder", hint=_CREDENTIALS)
    if any(name not in _OPTIONS for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        raise ConfigError(
            f"{start} has an option after the ? that is none of {', '.join(_OPTIONS)}",
            hint=_CREDENTIALS,
        )
    return parts
