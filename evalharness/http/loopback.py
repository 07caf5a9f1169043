"""Whether a host is this machine, for which plain http and requests without a key are allowed."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine, without a name lookup.

    ``localhost`` and names below it count (RFC 6761 §6.3), with or without the root's dot.
    """
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
