"""The adapters under contract, as the product makes them, and who answers them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.providers.queue import SqsQueue
from core.providers.ses import SesProvider
from tests.contract.wire import Wire, listening
from tests.simulators import Simulator

REGION = "ap-southeast-1"


@pytest.fixture(scope="session")
def ses_provider(simulator_process: Simulator) -> SesProvider:
    """Made once: making boto3's clients takes longer than most of these tests."""
    return SesProvider(REGION)


@pytest.fixture(scope="session")
def sqs_queue(simulator_process: Simulator) -> SqsQueue:
    return SqsQueue(REGION)


@pytest.fixture
def ses(simulator: Simulator, ses_provider: SesProvider) -> SesProvider:
    return ses_provider


@pytest.fixture
def queue(simulator: Simulator, sqs_queue: SqsQueue) -> SqsQueue:
    return sqs_queue


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
