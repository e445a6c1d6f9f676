"""The adapters under contract, as the product makes them, and who answers them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.providers.ses import SesProvider
from tests.contract.wire import Wire, listening
from tests.simulators import Simulator


@pytest.fixture
def ses(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> SesProvider:
    for name, value in simulator.environment().items():
        monkeypatch.setenv(name, value)
    return SesProvider("ap-southeast-1")


@pytest.fixture(scope="module")
def wires() -> Iterator[Wire]:
    with listening() as wire:
        yield wire


@pytest.fixture
def wire(wires: Wire, monkeypatch: pytest.MonkeyPatch) -> Wire:
    """The bare server, forgetful, where boto3 finds it."""
    for name, value in wires.environment().items():
        monkeypatch.setenv(name, value)
    wires.forget()
    return wires
