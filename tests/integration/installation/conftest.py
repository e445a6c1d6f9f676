"""An app on a clock of its own, without a simulator: nothing here reaches SES."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.app import App, build_app
from core.settings import Settings
from tests.installations import Clock, on_a_clock


@pytest.fixture
def made(settings: Settings) -> Iterator[tuple[App, Clock]]:
    app = build_app(settings)
    yield on_a_clock(app)
    app.db.dispose()


@pytest.fixture
def clock(made: tuple[App, Clock]) -> Clock:
    return made[1]


@pytest.fixture
def app(made: tuple[App, Clock]) -> App:
    """Without a simulator: nothing here reaches SES."""
    return made[0]
