"""SES's suppression lists through the adapter: whose they are, in pages, in the case they were written."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from core.errors import ProviderError
from core.providers.base import Suppressed
from core.providers.ses import SesProvider
from tests.simulators import Simulator

LONG_AGO = datetime(2026, 5, 4, 12, tzinfo=UTC)


def put(simulator: Simulator, tenant: str, *addresses: str) -> None:
    entries = [{"address": each, "reason": "BOUNCE", "at": LONG_AGO.timestamp()} for each in addresses]
    simulator.call("POST", "/_sim/suppressed", {"tenant": tenant, "entries": entries})


def listed(ses: SesProvider, tenant: str | None) -> list[str]:
    return [entry.address for entry in ses.list_suppressed(tenant).entries]


def test_each_tenant_and_the_account_have_a_list(ses: SesProvider) -> None:
    ses.create_tenant("acme")
    ses.create_tenant("globex")
    ses.put_suppressed("acme", "Ann@example.com", "COMPLAINT")
    ses.put_suppressed("acme", "Ann@example.com", "COMPLAINT")
    ses.put_suppressed(None, "bert@example.com", "BOUNCE")
    [entry] = ses.list_suppressed("acme").entries
    assert (entry.address, entry.reason, entry.listed_at.tzinfo) == ("Ann@example.com", "COMPLAINT", UTC)
    assert (listed(ses, "globex"), listed(ses, None)) == ([], ["bert@example.com"])
    ses.release_suppressed("acme", "ann@example.com")  # another case is another entry
    assert listed(ses, "acme") == ["Ann@example.com"]
    ses.release_suppressed("acme", "Ann@example.com")
    ses.release_suppressed("acme", "Ann@example.com")
    ses.release_suppressed(None, "bert@example.com")
    assert listed(ses, "acme") == listed(ses, None) == []


def test_a_long_list_comes_in_pages(ses: SesProvider, simulator: Simulator) -> None:
    ses.create_tenant("acme")
    put(simulator, "acme", *(f"p{number}@example.com" for number in range(2001)))
    put(simulator, "", "other@example.com")
    token, sizes, seen = None, [], set()
    while True:
        page = ses.list_suppressed("acme", token)
        sizes.append(len(page.entries))
        seen |= {entry.address for entry in page.entries}
        if page.next_token is None:
            break
        token = page.next_token
    assert (sizes, len(seen)) == ([1000, 1000, 1], 2001)
    assert page.entries == (Suppressed("p2000@example.com", "BOUNCE", LONG_AGO),)


def test_what_ses_refuses_is_told_apart_by_its_code(ses: SesProvider, simulator: Simulator) -> None:
    with pytest.raises(ProviderError) as caught:
        ses.list_suppressed("nobody")
    assert (caught.value.code, caught.value.permanent) == ("NotFoundException", True)
    with pytest.raises(ProviderError) as caught:
        ses.list_suppressed(None, "stale")
    assert caught.value.code == "InvalidNextTokenException"
    simulator.scenario(account={"production_access": False})
    with pytest.raises(ProviderError, match="sandbox") as caught:
        ses.put_suppressed(None, "ann@example.com", "BOUNCE")
    assert caught.value.permanent


def test_the_simulator_takes_no_list_of_a_tenant_it_does_not_have(simulator: Simulator) -> None:
    refused = simulator.refusal("POST", "/_sim/suppressed", {"tenant": "nobody", "entries": []})
    assert refused == (400, "There is no tenant nobody; create it through SES first.")
    assert simulator.refusal("POST", "/_sim/suppressed", {"entries": [{"address": "a"}]})[0] == 400
    assert simulator.refusal("POST", "/_sim/suppressed", {})[1] == "entries is a list."
