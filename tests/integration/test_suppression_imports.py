"""Suppression lists in from CSV and out again: looked through first, and the same when they come back."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import suppressions
from core.access import SYSTEM, Actor, Role
from core.app import App, build_app
from core.db.states import SuppressionReason
from core.errors import InputError, NotFound, PermissionDenied
from core.settings import Settings
from core.suppressions import Provenance
from tests.conftest import Cast
from tests.databases import copy_sqlite
from tests.offline import two_tenants

LONG_AGO = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def app(settings: Settings) -> Any:
    app = build_app(settings)
    yield app
    app.db.dispose()


@pytest.fixture
def cast(app: App) -> Cast:
    return two_tenants(app)


def entries(app: App, tenant_id: int) -> dict[str, tuple[str, str, datetime]]:
    rows = suppressions.list_suppressions(app, SYSTEM, tenant_id, limit=10_000)
    return {row.address: (row.reason, row.note, row.created_at) for row in rows}


def export(app: App, tenant_id: int, **part: Any) -> bytes:
    return "".join(suppressions.export_csv(app, SYSTEM, tenant_id, **part)).encode()


def test_a_file_is_looked_through_and_nothing_is_stored(app: App, cast: Cast) -> None:
    suppressions.add(app, cast.bob, cast.acme.id, "there@example.com")
    suppressions.add(app, cast.bob, cast.acme.id, "@example.org")
    content = (
        "E-Mail;Grund;Reason\nThere@example.com;;\nnew@example.com;;complaint\nNew@example.com;;\n"
        "@example.net;;\n@example.org;;\nsomebody@example.org;;bounce\nbad;;\n@gmail.com;;\n"
    ).encode("cp1252")
    found = suppressions.check_import(app, cast.bob, cast.acme.id, content, "alt.csv")
    assert (found.new, found.already, found.domains) == (3, 3, 1)
    assert dict(found.reasons) == {"COMPLAINT": 1, "MANUAL": 1, "BOUNCE": 1}
    assert [(row.line, row.value) for row in found.rejected] == [(8, "bad"), (9, "@gmail.com")]
    assert found.providers == {"@gmail.com"}
    assert len(entries(app, cast.acme.id)) == 2
    done = suppressions.import_csv(app, cast.bob, cast.acme.id, content, "alt.csv")
    assert (done.added, done.already, len(done.rejected)) == (found.new, found.already, 2)
    meant = suppressions.import_csv(app, cast.bob, cast.acme.id, content, "alt.csv", whole_providers=True)
    assert (meant.added, len(meant.rejected)) == (1, 1)


def test_entries_that_get_the_files_reason_are_counted_before(app: App, cast: Cast) -> None:
    old = b"email,reason\na@example.com,BOUNCE\nb@example.com,COMPLAINT\nc@example.com,UNSUBSCRIBE\n"
    suppressions.import_csv(app, cast.bob, cast.acme.id, old, "old.csv")
    left = old.replace(b"BOUNCE", b"UNSUBSCRIBE").replace(b"COMPLAINT", b"UNSUBSCRIBE")
    found = suppressions.check_import(app, cast.bob, cast.acme.id, left, "left.csv")
    assert (found.new, found.already, found.outranked) == (0, 3, 1)
    suppressions.import_csv(app, cast.bob, cast.acme.id, left, "left.csv")
    reasons = {address: reason for address, (reason, *_) in entries(app, cast.acme.id).items()}
    assert reasons == {
        "a@example.com": "UNSUBSCRIBE",
        "b@example.com": "COMPLAINT",
        "c@example.com": "UNSUBSCRIBE",
    }


def test_whose_file_it_is_not_gets_no_look_at_the_list(app: App, cast: Cast) -> None:
    with pytest.raises(NotFound):
        suppressions.check_import(app, cast.charlie, cast.acme.id, b"email\na@example.com\n", "x.csv")
    with pytest.raises(PermissionDenied):
        suppressions.check_import(app, cast.carol, cast.acme.id, b"email\na@example.com\n", "x.csv")
    with pytest.raises(InputError, match="Excel workbook"):
        suppressions.check_import(app, cast.bob, cast.acme.id, b"PK\x03\x04", "x.csv")


def test_columns_can_be_named_otherwise(app: App, cast: Cast) -> None:
    content = b"Kunde,Adresse E-Mail,Warum,Seit\nJo,jo@example.com,BOUNCE,2026-05-04T12:00:00+00:00\n"
    mapping = {"email": "Adresse E-Mail", "reason": "Warum", "created_at": "Seit"}
    suppressions.import_csv(app, cast.bob, cast.acme.id, content, "x.csv", mapping)
    assert entries(app, cast.acme.id) == {"jo@example.com": ("BOUNCE", "", LONG_AGO)}


@pytest.mark.parametrize(
    ("given_at", "is_kept"),
    [
        ("2026-05-04T12:00:00+00:00", True),
        ("2026-05-04T14:00:00+02:00", True),
        ("2026-05-04 12:00", True),
        ("2999-01-01T00:00:00+00:00", False),
        ("0001-01-01T00:00:00+14:00", False),
        ("9999-12-31T23:59:59-14:00", False),
        ("yesterday", False),
        ("", False),
    ],
)
def test_a_date_that_is_none_keeps_no_address_off_the_list(
    app: App, cast: Cast, given_at: str, is_kept: bool
) -> None:
    content = f"email,created_at\njo@example.com,{given_at}\n".encode()
    suppressions.import_csv(app, cast.bob, cast.acme.id, content, "x.csv")
    _, _, created_at = entries(app, cast.acme.id)["jo@example.com"]
    assert created_at == LONG_AGO if is_kept else app.now() - created_at < timedelta(minutes=1)


def test_an_export_holds_what_is_shown(app: App, cast: Cast) -> None:
    why = Provenance(SuppressionReason.BOUNCE, "event", "postyard")
    with app.db.begin() as session:
        suppressions.suppress(session, cast.acme.id, {"b@example.com": why, "b@example.net": why}, LONG_AGO)
    suppressions.add(app, cast.bob, cast.acme.id, "hand@example.com")
    part = export(app, cast.acme.id, search="EXAMPLE.com", reason="BOUNCE").decode()
    assert [row["address"] for row in csv.DictReader(io.StringIO(part))] == ["b@example.com"]
    assert suppressions.count(app, cast.carol, cast.acme.id, search="example.com") == 2


texts = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"], exclude_characters="\x00"),
        st.sampled_from("=+-@'\"\t\r\n;,|% \u00a0\ufeff＝"),
    ),
    max_size=12,
)
locals_ = st.text("abcxyz0189!#$%&'*+/=?^_`{|}~-", min_size=1, max_size=8)
domains = st.sampled_from(["example.com", "a-b.example.net", "xn--exmple-cua.org", "gmail.com"])
addresses = st.one_of(st.builds("{}@{}".format, locals_, domains), st.builds("@{}".format, domains))
moments = st.datetimes(datetime(1991, 1, 1), datetime(2026, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))
lists = st.dictionaries(addresses, st.tuples(st.sampled_from(SuppressionReason), texts, moments), max_size=8)


@pytest.fixture(scope="module")
def two(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    directory = tmp_path_factory.mktemp("round_trip")
    url = copy_sqlite(migrated_sqlite, directory / "postyard.db")
    app = build_app(Settings.load(database_url=url, data_dir=directory))
    yield app, two_tenants(app)
    app.db.dispose()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(listed=lists)
def test_an_export_comes_back_in_another_tenant_as_it_was(
    two: tuple[App, Cast], listed: dict[str, tuple[SuppressionReason, str, datetime]]
) -> None:
    app, cast = two
    with app.db.begin() as session:
        for address, (reason, note, at) in listed.items():
            why = Provenance(reason, "manual", "bob", note=note)
            suppressions.suppress(session, cast.acme.id, {address: why}, at)
    before = entries(app, cast.acme.id)
    assert before.keys() == listed.keys()
    content = export(app, cast.acme.id)
    for row in csv.reader(io.StringIO(content.decode(), newline="")):
        assert all(cell[:1] not in tuple("=+-@\t\r\n") for cell in row if cell)
    found = suppressions.check_import(
        app, SYSTEM, cast.globex.id, content, "export.csv", whole_providers=True
    )
    done = suppressions.import_csv(app, SYSTEM, cast.globex.id, content, "export.csv", whole_providers=True)
    assert (done.added, done.rejected) == (len(listed), []) == (found.new, found.rejected)
    assert entries(app, cast.globex.id) == before
    _empty(app, cast)


def _empty(app: App, cast: Cast) -> None:
    for tenant_id in (cast.acme.id, cast.globex.id):
        for address in entries(app, tenant_id):
            suppressions.release(app, ROOT, tenant_id, address, "test", recipient_asked=True)


ROOT = Actor(username="root", role=Role.ADMIN)
