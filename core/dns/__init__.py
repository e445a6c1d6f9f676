"""DNS: what a domain's own servers say about the records a sender needs.

doctor.py judges each record with cname.py, mx.py and text.py (spf.py and dmarc.py, parsed by parsing.py);
advice.py has the sentence of each mistake. resolver.py knows whom to ask, look.py asks for as long as a check
takes (wire.py: one question to one server; answers.py: what came back; unanswered.py: why nothing did;
addresses.py: whom no domain may send us to). bounds.py keeps what may be stored and shown."""

from __future__ import annotations

from core.dns.advice import not_checked
from core.dns.answers import Answer
from core.dns.doctor import diagnose, mail_from_taken
from core.dns.records import DnsRecord, Finding, Kind, Mistake, Verdict
from core.dns.resolver import Resolver

__all__ = [
    "Answer",
    "DnsRecord",
    "Finding",
    "Kind",
    "Mistake",
    "Resolver",
    "Verdict",
    "diagnose",
    "mail_from_taken",
    "not_checked",
]
