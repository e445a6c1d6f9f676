"""Fates: drawn from the address, in the shares the scenario sets."""

from __future__ import annotations

import pytest

from simulator.errors import ControlError
from simulator.scenario import Rates, Scenario


def test_a_fate_depends_on_the_address_alone() -> None:
    scenario = Scenario(default=Rates(bounce=0.3, complaint=0.3, open=0.5))
    addresses = [f"r{number}@example.com" for number in range(300)]
    first = {address: scenario.fate_of(address) for address in addresses}
    assert {address: scenario.fate_of(address.upper()) for address in reversed(addresses)} == first


@pytest.mark.parametrize(
    ("name", "share"), [("bounce", 0.2), ("transient", 0.1), ("reject", 0.05), ("complaint", 0.3)]
)
def test_shares_come_out_as_set(name: str, share: float) -> None:
    scenario = Scenario(domains={"example.net": Rates().changed({name: share}, "test")})
    fates = [scenario.fate_of(f"r{number}@example.net").outcome for number in range(4000)]
    assert abs(fates.count(name) / 4000 - share) < 0.03
    assert scenario.fate_of("r1@example.com").outcome == "delivery"


def test_who_clicks_also_opens_when_as_many_open() -> None:
    scenario = Scenario(default=Rates(open=0.5, click=0.2))
    fates = [scenario.fate_of(f"r{number}@example.net") for number in range(500)]
    assert any(fate.clicked for fate in fates)
    assert all(fate.opened for fate in fates if fate.clicked)


def test_an_address_goes_before_its_domain_and_the_mailbox_simulator_before_both() -> None:
    scenario = Scenario(
        default=Rates(bounce=1),
        addresses={"a@example.com": "delivery", "success@simulator.amazonses.com": "bounce"},
    )
    assert scenario.fate_of("A@example.com").outcome == "delivery"
    assert scenario.fate_of("b@example.com").outcome == "bounce"
    assert scenario.fate_of("success+x@simulator.amazonses.com").outcome == "delivery"


@pytest.mark.parametrize("rates", [{"bounce": 1.1}, {"bounce": True}, {"bounces": 0.1}, 0.5])
def test_impossible_rates_are_refused(rates: object) -> None:
    with pytest.raises(ControlError):
        Rates().changed(rates, "default")
