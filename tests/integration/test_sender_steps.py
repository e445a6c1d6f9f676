"""The acceptance steps of senders that lie below the console's face, on both databases.

What a person sees of the others: tests/browser/test_sender_steps.py.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from click.testing import CliRunner
from sqlalchemy import inspect, select

from core import access, identities, jobs, onboarding, senders
from core.access import Actor
from core.app import App, SystemClock
from core.cli import main
from core.db.models import AuditEntry, Identity, JobRun, Sender
from core.dns import Kind
from core.errors import Conflict
from core.settings import Settings
from tests.conftest import Cast, verified_sender
from tests.simulators import Simulator

NEWS = "news@acme-mail.io"
TOO_SOON = r"acme-mail\.io was checked a moment ago\. Try again in \d+ seconds\."


class Ahead(SystemClock):
    """The clock of some time later."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return super().now() + self._ahead


def later(app: App, **ahead: float) -> App:
    return replace(app, clock=Ahead(timedelta(**ahead)))


@pytest.fixture
def news(app: App, cast: Cast) -> Sender:
    return senders.add(app, cast.bob, cast.acme.id, NEWS, "Acme News")


def identity_of(app: App, sender: Sender) -> Identity:
    with app.db.read() as session:
        return session.get_one(Identity, sender.identity_id)


def publish(app: App, simulator: Simulator, sender: Sender, *kinds: Kind) -> None:
    found = senders.records(app, access.SYSTEM, sender.tenant_id, sender.id)
    simulator.put_dns([record.as_json() for record in found if not kinds or record.kind in kinds])


def in_two_threads(act: Callable[[], object]) -> list[str]:
    """What each said, both having begun together: "" for the one that won."""
    together = threading.Barrier(2)

    def run(_: int) -> str:
        together.wait(timeout=20)
        try:
            act()
        except Conflict as e:
            return str(e)
        return ""

    with ThreadPoolExecutor(2) as pool:
        return sorted(pool.map(run, range(2)))


def test_v1_1_the_migration_makes_the_table(app: App) -> None:
    with app.db.read() as session:
        found = inspect(session.connection())
        columns = {column["name"] for column in found.get_columns("senders")}
        unique = {index["name"] for index in found.get_indexes("senders") if index["unique"]}
    assert columns >= {"id", "tenant_id", "identity_id", "address", "is_default", "created_at", "version"}
    assert unique == {"uq_senders_tenant_id_address", "uq_senders_default"}


def test_v1_6_the_identity_exists_in_ses_and_is_the_tenants(app: App, cast: Cast, news: Sender) -> None:
    ses = app.providers.email(app.settings.region)
    found = ses.find_identity("acme-mail.io")
    assert found is not None
    assert not found.verified_for_sending
    assert len(found.dkim_tokens) == 3
    assert found.configuration_set == cast.acme.configuration_set
    assert ses.identity_arn("acme-mail.io") in ses.associations("acme")


def test_v1_10_the_list_call_returns_it_with_all_fields(app: App, cast: Cast, news: Sender) -> None:
    [view] = senders.list_senders(app, cast.carol, cast.acme.id)
    sender, identity = view.sender, view.identity
    assert (sender.id, sender.tenant_id, sender.address) == (news.id, cast.acme.id, NEWS)
    assert (sender.display_name, sender.is_default, sender.deleted_at) == ("Acme News", False, None)
    assert app.now() - sender.created_at < timedelta(minutes=1)
    assert (identity.name, identity.type) == ("acme-mail.io", "DOMAIN")
    assert (identity.verification_status, identity.verified_for_sending) == ("PENDING", False)
    assert (identity.dkim_status, len(identity.dkim_tokens)) == ("PENDING", 3)
    assert (identity.error_detail, identity.checked_at) == (None, None)


@pytest.mark.parametrize("at_once", [False, True])
def test_v1_12_a_deleted_sender_goes_here_and_in_ses(
    app: App, cast: Cast, alice: Actor, news: Sender, at_once: bool
) -> None:
    ses = app.providers.email(app.settings.region)
    removed = senders.remove(app, alice, cast.acme.id, news.id, at_once=at_once)
    assert senders.list_senders(app, alice, cast.acme.id) == []
    assert len([record for record in removed.records if record.type == "CNAME"]) == 3
    if not at_once:
        [deleted] = senders.list_deleted(app, alice, cast.acme.id)
        assert deleted.sender.address == NEWS
        senders.purge_due(later(app, days=6))
        assert ses.find_identity("acme-mail.io") is not None
        senders.purge_due(later(app, days=8))
    assert ses.find_identity("acme-mail.io") is None
    assert senders.list_deleted(app, alice, cast.acme.id) == []
    assert identity_of(app, news).removed_at is not None


def test_v2_7_the_background_job_does_the_same_and_logs_it(
    app: App, news: Sender, simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    publish(app, simulator, news)
    [job] = [job for job in jobs.JOBS if job.run is identities.refresh_due]
    with caplog.at_level(logging.INFO):
        jobs.run_job(later(app, hours=5), job)
    identity = identity_of(app, news)
    assert identity.verified_for_sending
    assert identity.dkim_status == "SUCCESS"
    assert {finding["verdict"] for finding in identity.dns_findings} == {"found"}
    assert "identity acme-mail.io of acme: PENDING -> SUCCESS" in caplog.text
    with app.db.read() as session:
        assert session.get_one(JobRun, job.name).result == "Checked 1 of 1 identities."
        done = session.execute(
            select(AuditEntry.actor, AuditEntry.subject).where(AuditEntry.action == "verify identity")
        ).all()
    assert [tuple(row) for row in done] == [("postyard", "acme-mail.io")]


def test_v2_10_a_second_default_unsets_the_first_also_when_two_people_choose_at_once(
    app: App, cast: Cast, simulator: Simulator
) -> None:
    first = verified_sender(app, simulator, cast.acme.id, NEWS)
    second = senders.add(app, cast.bob, cast.acme.id, "team@acme-mail.io")
    senders.set_default(app, cast.bob, cast.acme.id, first.id)
    senders.set_default(app, cast.bob, cast.acme.id, second.id)
    assert defaults(app, cast) == ["team@acme-mail.io"]
    [view] = [
        view for view in senders.list_senders(app, cast.bob, cast.acme.id) if view.sender.id == first.id
    ]
    seen = view.sender.version
    said = in_two_threads(lambda: senders.set_default(app, cast.bob, cast.acme.id, first.id, version=seen))
    assert said[0] == ""
    assert said[1]
    assert defaults(app, cast) == [NEWS]


def defaults(app: App, cast: Cast) -> list[str]:
    views = senders.list_senders(app, cast.bob, cast.acme.id)
    return [view.sender.address for view in views if view.sender.is_default]


def test_v2_11_of_two_threads_one_checks_and_one_is_told_the_seconds(
    app: App, cast: Cast, news: Sender, simulator: Simulator
) -> None:
    before = simulator.call("GET", "/_sim/calls")["next"]
    told = in_two_threads(lambda: senders.verify_now(app, cast.bob, cast.acme.id, news.id))
    assert told[0] == ""
    assert "Try again in" in told[1]
    calls = simulator.call("GET", f"/_sim/calls?after={before}")["calls"]
    assert [call["operation"] for call in calls].count("GetEmailIdentity") == 1


def test_v2_11_no_other_way_in_gets_round_the_cooldown(
    app: App, cast: Cast, alice: Actor, news: Sender, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The button again, somebody else, another sender of the domain, the onboarding page, the command line,
    the background job; half a minute later each of them may."""
    other = senders.add(app, cast.bob, cast.acme.id, "team@acme-mail.io")
    _, address = onboarding.create_link(app, cast.bob, cast.acme.id, news.identity_id)
    token = address.rpartition("/")[2]
    senders.verify_now(app, cast.bob, cast.acme.id, news.id)
    checked_at = identity_of(app, news).checked_at
    for again in (
        lambda: senders.verify_now(app, cast.bob, cast.acme.id, news.id),
        lambda: senders.verify_now(app, alice, cast.acme.id, other.id),
        lambda: identities.verify_now(app, access.SYSTEM, cast.acme.id, news.identity_id),
        lambda: onboarding.check_again(app, token),
    ):
        with pytest.raises(Conflict, match=TOO_SOON):
            again()
    monkeypatch.setenv("POSTYARD_DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("POSTYARD_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("POSTYARD_DNS_SERVERS", settings.dns_servers)
    typed = CliRunner().invoke(main, ["senders", "verify", "acme", NEWS, "--json"], prog_name="postyard")
    assert typed.exit_code != 0
    assert "Try again in" in typed.output
    assert identities.refresh_due(app) == "Checked 0 of 0 identities."
    assert identity_of(app, news).checked_at == checked_at
    senders.verify_now(later(app, seconds=31), cast.bob, cast.acme.id, news.id)
