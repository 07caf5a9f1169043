"""Whether a host or URL is this machine: plain http and requests without a key are allowed."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from evalharness.http.unix_url import is_unix_url


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine, without a name lookup.

    ``localhost`` counts, with or without the root's dot. Names below it do not: some resolvers ask
    a name server for them, and a key would then leave the machine unencrypted.
    """
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_this_machine(url: str) -> bool:
    """Whether a URL is answered on this machine: a Unix socket, or a host as above.

    Raises:
        ValueError: not a URL.
    """
    return is_unix_url(url) or is_loopback(urlsplit(url).hostname or "")
