"""Migrate: bring a database to the schema of this version."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from core.db import models
from core.db.engine import Database
from core.errors import ConfigurationError

MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(db: Database, to: str = "head") -> str:
    """Apply what is missing, all or nothing; returns the revision the database is at. Twice is the same."""
    with db.engine.execution_options(postyard_write=True).begin() as connection:
        command.upgrade(_config(connection), to)
        return str(MigrationContext.configure(connection).get_current_revision())


def check(db: Database) -> None:
    """Raise ConfigurationError when the database is older or newer than this version of Postyard."""
    with db.engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    expected = ScriptDirectory.from_config(_config(None)).get_current_head()
    if found != expected:
        raise ConfigurationError(
            f"The database is at revision {found or 'none'}, this version of Postyard needs {expected}. "
            "Run: postyard migrate"
        )


def differences(connection: Connection) -> list[object]:
    """What the migrations built otherwise than models.py says; empty when they agree."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, models.Base.metadata))


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config
