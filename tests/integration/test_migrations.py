"""The migrations and the models say the same, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, Table, select, text
from sqlalchemy.orm import Session

from core.db import migrate
from core.db.engine import Database
from core.db.models import Identity, Installation, Sender, Tenant
from core.errors import ConfigurationError
from core.events import counting
from tests.conftest import DATABASES


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


@pytest.fixture(params=DATABASES)
def first_revision(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database as the first release made it."""
    with ExitStack() as stack:
        url = f"sqlite:///{tmp_path / 'first.db'}"
        if request.param == "postgresql":
            url = stack.enter_context(request.getfixturevalue("postgres").database("template0"))
        db = Database(url)
        migrate.upgrade(db, "0001")
        yield db
        db.dispose()


def test_a_database_of_the_first_release_keeps_its_identities_and_senders(first_revision: Database) -> None:
    at = "2026-10-01 08:00:00+00:00"
    rows = [
        "INSERT INTO accounts (id, name, region, max_send_rate, max_24_hour_send, sent_last_24_hours, "
        "production_access, sending_enabled, enforcement_status, created_at) "
        f"VALUES (1, 'platform', 'ap-southeast-1', 14, 50000, 0, true, true, 'HEALTHY', '{at}')",
        "INSERT INTO tenants (id, account_id, slug, name, timezone, sending_status, ses_status_synced, "
        "is_demo, created_at, version) "
        f"VALUES (1, 1, 'acme', 'Acme', 'UTC', 'ENABLED', true, false, '{at}', 1)",
        "INSERT INTO identities (id, tenant_id, name, type, verification_status, verified_for_sending, "
        "dkim_status, dkim_tokens, signing_hosted_zone, dns_findings, created_at, version) VALUES (1, 1, "
        "'acme-mail.io', 'DOMAIN', 'SUCCESS', true, 'SUCCESS', '[\"a\"]', 'dkim.amazonses.com', "
        f'\'{{"acme-mail.io": {{"verdict": "found"}}}}\', \'{at}\', 1)',
        "INSERT INTO senders (id, tenant_id, identity_id, address, display_name, is_default, created_at, "
        f"deleted_at, version) VALUES (1, 1, 1, 'news@acme-mail.io', '', true, '{at}', NULL, 1)",
        "INSERT INTO senders (id, tenant_id, identity_id, address, display_name, is_default, created_at, "
        f"deleted_at, version) VALUES (2, 1, 1, 'old@acme-mail.io', '', false, '{at}', '{at}', 1)",
    ]
    with first_revision.begin() as session:
        for row in rows:
            session.execute(text(row))

    migrate.upgrade(first_revision)

    with first_revision.read() as session:
        [identity] = session.scalars(select(Identity))
        kept, removed = session.scalars(select(Sender).order_by(Sender.id))
        [tenant] = session.scalars(select(Tenant))
    assert (identity.dkim_tokens, identity.dns_findings, identity.verification_info) == (["a"], [], {})
    assert (kept.deleted_at, kept.removed_at) == (None, None)
    assert removed.removed_at == removed.deleted_at
    assert (tenant.reputation_policy, tenant.reputation_due, tenant.reputation_findings) == (
        "standard",
        True,
        [],
    )


def test_a_database_of_the_first_release_is_as_old_as_its_last_beat(first_revision: Database) -> None:
    """So that a backup of it is not taken for one that went on."""
    with first_revision.begin() as session:
        session.execute(
            text(
                "INSERT INTO workers (name, host, pid, started_at, beat_at) "
                "VALUES ('one', 'mail-1', 1, '2026-10-01 08:00:00+00:00', '2026-10-01 09:00:00+00:00')"
            )
        )

    migrate.upgrade(first_revision)

    with first_revision.read() as session:
        [installation] = session.scalars(select(Installation))
    assert (installation.beat, installation.beat_at) == (0, datetime(2026, 10, 1, 9, tzinfo=UTC))


def test_mail_that_was_counted_by_days_of_utc_is_counted_by_its_tenants_days(
    first_revision: Database,
) -> None:
    migrate.upgrade(first_revision, "0003")
    at = datetime(2026, 5, 4, 20, tzinfo=UTC)  # the fifth in Singapore
    facts: dict[str, dict[str, Any]] = {
        "accounts": {"region": "ap-southeast-1"},
        "tenants": {"account_id": 1, "timezone": "Asia/Singapore"},
        "identities": {"tenant_id": 1},
        "senders": {"tenant_id": 1, "identity_id": 1},
        "contents": {"tenant_id": 1},
        "messages": {
            "tenant_id": 1, "sender_id": 1, "content_id": 1, "armed_at": at, "opened_at": at,
            "address_key": "ann@example.com", "counts_in_rates": True,
        },
        "daily_counts": {
            "tenant_id": 1, "day": at.date(), "campaign_id": 0, "recipient_domain": "example.com",
            "sent": 1, "delivered": 1, "opened": 1,
        },
    }  # fmt: skip
    with first_revision.begin() as session:
        for table, values in facts.items():
            _insert(session, table, {"id": 1, **values})
        for number, kind in enumerate(("SEND", "DELIVERY", "OPEN"), 1):
            told = {"tenant_id": 1, "message_id": 1, "type": kind, "counts_in_rates": True}
            _insert(
                session,
                "events",
                {"id": number, "uid": kind, "occurred_at": at.replace(minute=number), **told},
            )

    migrate.upgrade(first_revision)

    with first_revision.read() as session:
        kept = counting.kept(session, 1)
        assert kept == counting.recount(session, 1)
    assert dict(kept.daily) == {(1, date(2026, 5, 5), 0): [1, 1, 0, 0, 0, 1, 0, 0, 0, 0]}
    assert dict(kept.totals) == {(1, "example.com"): [1]}


def _insert(session: Session, name: str, values: dict[str, Any]) -> None:
    """Whatever else a row needs is empty."""
    table = Table(name, MetaData(), autoload_with=session.connection())
    empty: dict[type, Any] = {
        str: "", int: 0, float: 0.0, bool: False, datetime: datetime(2026, 5, 1, tzinfo=UTC),
    }  # fmt: skip
    needed = {
        column.name: empty.get(column.type.python_type, {})
        for column in table.columns
        if not column.nullable and column.name not in values
    }
    session.execute(
        table.insert(), needed | {key: each for key, each in values.items() if key in table.columns}
    )


def test_an_empty_database_is_refused_with_what_to_run(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 'empty.db'}")

    with pytest.raises(ConfigurationError, match="Run: postyard migrate"):
        migrate.check(db)

    db.dispose()
