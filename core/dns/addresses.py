"""Addresses that a domain may send us to."""

from __future__ import annotations

import ipaddress

# Global by name, and yet made for something else: IETF's own and the relays of 6to4.
_NO_HOSTS_V4 = [ipaddress.ip_network(each) for each in ("192.0.0.0/24", "192.88.99.0/24")]
_GLOBAL_V6 = ipaddress.ip_network("2000::/3")  # all that IANA gives to hosts; RFC 4291 section 2.4
# Teredo and IETF's own, 6to4, documentation: some have an IPv4 address inside, which could be one of ours.
_NO_HOSTS_V6 = [
    ipaddress.ip_network(each) for each in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
]


def is_public(address: str) -> bool:
    """Whoever owns a domain chooses its servers' addresses, and must not choose any of ours."""
    parsed = ipaddress.ip_address(address)
    if not parsed.is_global or parsed.is_multicast:
        return False
    if isinstance(parsed, ipaddress.IPv4Address):
        return not any(parsed in network for network in _NO_HOSTS_V4)
    return parsed in _GLOBAL_V6 and not any(parsed in network for network in _NO_HOSTS_V6)
