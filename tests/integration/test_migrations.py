"""The migrations and the models say the same, on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.db import migrate
from core.db.engine import Database
from core.errors import ConfigurationError


def test_the_migrations_build_exactly_the_models(database_url: str) -> None:
    db = Database(database_url)

    with db.engine.connect() as connection:
        assert migrate.differences(connection) == []

    db.dispose()


def test_migrating_twice_is_the_same(database_url: str) -> None:
    db = Database(database_url)

    assert migrate.upgrade(db) == migrate.upgrade(db)
    migrate.check(db)

    db.dispose()


def test_an_empty_database_is_refused_with_what_to_run(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 'empty.db'}")

    with pytest.raises(ConfigurationError, match="Run: postyard migrate"):
        migrate.check(db)

    db.dispose()
