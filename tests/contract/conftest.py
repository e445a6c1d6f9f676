"""The adapters under contract, as the product makes them."""

from __future__ import annotations

import pytest

from core.providers.ses import SesProvider
from tests.simulators import Simulator


@pytest.fixture
def ses(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> SesProvider:
    for name, value in simulator.environment().items():
        monkeypatch.setenv(name, value)
    return SesProvider("ap-southeast-1")
