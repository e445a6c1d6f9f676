"""DNS: what a domain's own servers say about the records a sender needs.

records.py what is expected and what was found, resolver.py asks, doctor.py judges."""

from __future__ import annotations

from core.dns.doctor import diagnose, judge, mail_from_taken
from core.dns.records import DnsRecord, Finding, Kind, Mistake, Verdict, not_checked
from core.dns.resolver import Answer, Resolver

__all__ = [
    "Answer",
    "DnsRecord",
    "Finding",
    "Kind",
    "Mistake",
    "Resolver",
    "Verdict",
    "diagnose",
    "judge",
    "mail_from_taken",
    "not_checked",
]
