"""Whether a host is this machine, for which plain http and requests without a key are allowed."""

from __future__ import annotations

import ipaddress


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
