"""Kinds of alerts, and the page of the console that helps with each, as Home.py lists it."""

from __future__ import annotations

PAGE_OF = {
    "domain broken": "sending/senders",
    "unknown messages": "sending/campaigns",
    "drift": "operations/tenants",
    "paused by AWS": "operations/tenants",
    "warm-up goes badly": "operations/tenants",
    "reputation warning": "deliverability/reputation",
    "paused by reputation": "deliverability/reputation",
    "suppression lists differ": "deliverability/suppressions",
    "account brake": "admin/accounts",
    "credentials refused": "admin/accounts",
    "quota": "admin/accounts",
    "dead letters": "admin/events",
    "events lag": "admin/events",
    "heartbeat lost": "admin/events",
    "parked wrong tenant": "admin/events",
    "scheduler silent": "admin/health",
    "sending held": "admin/health",
}
