"""Mailboxes: whose a recipient domain is."""

from __future__ import annotations

import pytest

from core.reports.mailboxes import OTHER, PROVIDERS, provider_of


@pytest.mark.parametrize(
    ("domain", "provider"),
    [
        ("gmail.com", "Gmail"),
        ("googlemail.com", "Gmail"),
        ("hotmail.co.uk", "Outlook"),
        ("outlook.fr", "Outlook"),
        ("live.com.au", "Outlook"),
        ("msn.com", "Outlook"),
        ("yahoo.co.jp", "Yahoo"),
        ("yahoo.com.br", "Yahoo"),
        ("aol.com", "Yahoo"),
        ("me.com", "Apple"),
        ("gmx.at", "GMX and web.de"),
        ("laposte.net", "La Poste"),
        ("example.com", OTHER),
        ("yahoo.example.com", OTHER),
        ("notgmail.com", OTHER),
        ("outlook.acme-mail.io", OTHER),
        ("", OTHER),
    ],
)
def test_a_domain_belongs_to_its_provider_and_to_no_other(domain: str, provider: str) -> None:
    assert provider_of(domain) == provider


def test_the_table_is_short_enough_to_ask_a_database_for_all_of_it() -> None:
    assert len(PROVIDERS) < 500
    assert all(domain == domain.lower() for domain in PROVIDERS)
