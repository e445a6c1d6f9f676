"""The checklist: ten items computed from what is there, the last one proven by a message that comes back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import select, update

from core import access, checklist, reports, senders, suppressions, tenants
from core.access import Actor
from core.app import App, AwsProviders, build_app
from core.checklist import PROBE, Item, State
from core.db.models import Account, Event, Identity, Message, Sender, Tenant, TenantResource
from core.dns import Mistake, Verdict
from core.errors import Conflict, InputError, NotFound, PermissionDenied, SendingPaused
from core.settings import Settings
from tests.campaigning import ingest_until_idle, send_until_idle
from tests.conftest import Cast, make_cast, verified_sender
from tests.databases import copy_sqlite
from tests.in_aws import aws
from tests.integration.users.conftest import HandClock
from tests.simulators import Simulator

sqlite_alone = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
Change = Callable[[App], None]


class Completed(NamedTuple):
    database: Path
    at: datetime
    cast: Cast


def complete(app: App, simulator: Simulator, cast: Cast) -> App:
    """acme with everything it needs but a test message, an hour ago."""
    clock = HandClock(app.now())
    app = dataclasses.replace(app, clock=clock)
    sender = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    senders.set_default(app, access.SYSTEM, cast.acme.id, sender.id)
    clock.advance(seconds=31)
    # What SES only said in answer to the first check is published now, too.
    simulator.put_dns([r.as_json() for r in senders.records(app, access.SYSTEM, cast.acme.id, sender.id)])
    senders.verify_now(app, access.SYSTEM, cast.acme.id, sender.id)
    clock.advance(hours=1)
    return app


@pytest.fixture
def live(app: App, simulator: Simulator, cast: Cast) -> App:
    return complete(app, simulator, cast)


@pytest.fixture(scope="module")
def completed(
    migrated_sqlite: Path,
    simulator_process: Simulator,
    aws: AwsProviders,
    tmp_path_factory: pytest.TempPathFactory,
) -> Completed:
    """Made once: most of these tests only change rows."""
    simulator_process.reset()
    directory = tmp_path_factory.mktemp("checklist")
    url = copy_sqlite(migrated_sqlite, directory / "postyard.db")
    settings = Settings.load(database_url=url, data_dir=directory, dns_servers=simulator_process.dns)
    app = dataclasses.replace(build_app(settings), providers=aws)
    cast = make_cast(app, access.SYSTEM)
    at = complete(app, simulator_process, cast).now()
    app.db.dispose()
    return Completed(directory / "postyard.db", at, cast)


@pytest.fixture
def people(completed: Completed) -> Cast:
    return completed.cast


@pytest.fixture
def ready(completed: Completed, aws: AwsProviders, tmp_path: Path) -> Iterator[App]:
    """`complete`, on a copy of its own; SES may have forgotten all about it."""
    url = copy_sqlite(completed.database, tmp_path / "postyard.db")
    settings = Settings.load(database_url=url, data_dir=tmp_path)
    yield (app := dataclasses.replace(build_app(settings), providers=aws, clock=HandClock(completed.at)))
    app.db.dispose()


def clock_of(app: App) -> HandClock:
    assert isinstance(app.clock, HandClock)
    return app.clock


def items(app: App, tenant_id: int, actor: Actor = access.SYSTEM) -> dict[str, Item]:
    return {item.key: item for item in checklist.checklist(app, actor, tenant_id)}


def states(app: App, tenant_id: int) -> dict[str, str]:
    return {key: str(item.state) for key, item in items(app, tenant_id).items()}


def change(model: Any, **values: Any) -> Change:
    def write(app: App) -> None:
        with app.db.begin() as session:
            session.execute(update(model).values(**values))

    return write


@sqlite_alone
def test_a_new_tenant_has_a_set_up_and_the_rest_to_do(app: App, cast: Cast) -> None:
    assert states(app, cast.acme.id) == {
        "region": "done",
        "set-up": "done",
        "domain": "todo",
        "dkim": "todo",
        "spf": "todo",
        "dmarc": "todo",
        "mail from": "todo",
        "production access": "done",
        "default sender": "todo",
        "pipeline": "todo",
    }


@sqlite_alone
def test_a_domain_that_was_never_checked_is_unknown(app: App, cast: Cast) -> None:
    senders.add(app, access.SYSTEM, cast.acme.id, "news@acme-mail.io")
    found = items(app, cast.acme.id)
    assert {str(found[key].state) for key in ("domain", "dkim", "spf", "dmarc", "mail from")} == {"unknown"}
    assert found["default sender"].found == "None is chosen."


def test_when_all_is_there_only_the_proof_is_left(live: App, cast: Cast) -> None:
    found = items(live, cast.acme.id)
    left = {key for key, item in found.items() if item.state != State.DONE}
    assert left == {"pipeline"}
    assert found["spf"].found == "acme-mail.io: 1 of 1 records in place (checked 1 hour ago)."
    assert found["default sender"].found == "news@acme-mail.io."
    assert "ap-southeast-1" in found["region"].found


def finding(name: str, **values: Any) -> Change:
    """One stored finding of acme-mail.io, by the beginning of its key, as DNS might have it."""

    def write(app: App) -> None:
        with app.db.begin() as session:
            identity = session.scalars(select(Identity)).one()
            identity.dns_findings = [
                {**stored, **values} if stored["key"].startswith(name) else stored
                for stored in identity.dns_findings
            ]

    return write


def resource(key: str, state: str) -> Change:
    def write(app: App) -> None:
        with app.db.begin() as session:
            session.execute(update(TenantResource).where(TenantResource.key == key).values(state=state))

    return write


def later(**span: float) -> Change:
    return lambda app: clock_of(app).advance(**span)


TWO_SPF = {
    "verdict": Verdict.DIFFERENT.value,
    "mistake": Mistake.TWO_SPF.value,
    "found": ["v=spf1 a ~all", "v=spf1 mx ~all"],
    "advice": "Merge them.",
}
GONE = {"verdict": Verdict.MISSING.value, "mistake": Mistake.NOTHING_THERE.value, "advice": "Add it."}
SILENT = {"verdict": Verdict.UNKNOWN.value, "mistake": Mistake.NO_ANSWER.value, "advice": "Check again."}
PENDING = {"verified_for_sending": False, "verification_status": "PENDING"}
SANDBOX = {"production_access": False}
# Item, what happened, and the state and words that follow.
CHANGES: list[tuple[str, Change, str, str]] = [
    ("region", change(Account, checked_at=None), "unknown", "has not answered"),
    ("region", change(Account, sending_enabled=False), "todo", "paused the whole AWS account"),
    ("set-up", resource("SNS topic", "missing"), "todo", "SNS topic (missing)"),
    ("set-up", resource("SNS topic", "failed"), "todo", "SNS topic (failed)"),
    ("set-up", resource("SNS topic", "unknown"), "unknown", "SNS topic"),
    ("set-up", change(Tenant, provisioned_at=None), "todo", "never finished"),
    ("set-up", later(days=3), "warn", "checked 3 days ago"),
    ("domain", change(Identity, **PENDING), "waiting", "has not confirmed"),
    ("domain", later(days=3), "warn", "checked 3 days ago"),
    ("dkim", change(Identity, dkim_status="PENDING"), "waiting", "has not confirmed"),
    ("dkim", finding("CNAME", **GONE), "warn", "still signs, but 0 of 3"),
    ("dkim", finding("CNAME", **SILENT), "done", "signs with it"),
    ("spf", finding("TXT acme-mail.io", **TWO_SPF), "todo", "0 of 1"),
    ("spf", finding("TXT acme-mail.io", **GONE), "todo", "0 of 1"),
    ("spf", finding("TXT acme-mail.io", **SILENT), "unknown", "0 of 1"),
    ("spf", finding("TXT acme-mail.io", advice="Look-ups are few."), "warn", "1 of 1"),
    ("spf", finding("TXT bounce.acme-mail.io", **TWO_SPF), "done", "1 of 1"),
    ("dmarc", finding("TXT _dmarc.acme-mail.io", **GONE), "todo", "0 of 1"),
    ("mail from", change(Identity, mail_from_domain=None), "todo", "amazonses.com"),
    ("mail from", change(Identity, mail_from_status="PENDING"), "waiting", "bounce.acme-mail.io"),
    ("mail from", finding("MX bounce.acme-mail.io", **GONE), "todo", "1 of 2"),
    ("production access", change(Account, **SANDBOX), "todo", "In the sandbox"),
    ("production access", change(Account, **SANDBOX, review_status="PENDING"), "waiting", "reviews"),
    ("production access", change(Account, **SANDBOX, review_status="DENIED"), "todo", "In the sandbox"),
    ("production access", change(Account, checked_at=None), "unknown", "has not answered"),
    ("default sender", change(Identity, **PENDING), "todo", "not verified"),
]


@pytest.mark.parametrize(("key", "happens", "state", "words"), CHANGES)
def test_an_item_follows_what_is_there(
    ready: App, people: Cast, key: str, happens: Change, state: str, words: str
) -> None:
    happens(ready)
    item = items(ready, people.acme.id)[key]
    assert (str(item.state), words in item.found) == (state, True), item
    assert item.advice or state in ("done", "waiting")
    assert item.page in ("senders", "tenants", "accounts", "health")


def test_a_domain_that_broke_says_why(ready: App, people: Cast) -> None:
    broken = {"broken_at": ready.now(), "broken_reason": "A DKIM record is gone.", **PENDING}
    change(Identity, **broken)(ready)
    assert items(ready, people.acme.id)["domain"].advice == "A DKIM record is gone."


def add_domain(app: App, tenant_id: int, name: str, *, default: bool = False, **values: Any) -> None:
    with app.db.begin() as session:
        at = app.now()
        other = Identity(tenant_id=tenant_id, name=name, created_at=at, dkim_tokens=["a"], **values)
        session.add(other)
        session.flush()
        if default:
            session.execute(update(Sender).values(is_default=False))
        session.add(
            Sender(
                tenant_id=tenant_id, identity_id=other.id, address=f"post@{name}", created_at=at,
                is_default=default,
            )
        )  # fmt: skip


def test_a_domain_somebody_left_pending_is_told_once_and_spoils_nothing(ready: App, people: Cast) -> None:
    before = states(ready, people.acme.id)
    add_domain(ready, people.acme.id, "abandoned.net")
    found = items(ready, people.acme.id)
    assert states(ready, people.acme.id) == before
    assert found["domain"].others == (
        "abandoned.net: not checked yet. Publish its records, then verify it. "
        "If nobody needs abandoned.net, delete its senders.",
    )
    assert [key for key, item in found.items() if item.others] == ["domain"]
    assert found["dkim"].found.startswith("acme-mail.io: 3 of 3")


def test_another_domain_that_is_verified_says_what_it_lacks_at_each_item(ready: App, people: Cast) -> None:
    add_domain(
        ready, people.acme.id, "acme-shop.net", verified_for_sending=True, verification_status="SUCCESS"
    )
    found = items(ready, people.acme.id)
    assert found["domain"].others == ()
    [line] = found["mail from"].others
    assert line.startswith("acme-shop.net: none, so mail leaves in the name of amazonses.com")
    assert line.endswith("Choose a MAIL FROM domain for it.")
    assert found["mail from"].state == State.DONE


@pytest.mark.parametrize(("is_default", "judged"), [(True, "a-new.net"), (False, "acme-mail.io")])
def test_the_default_senders_domain_is_judged_else_a_verified_one(
    ready: App, people: Cast, is_default: bool, judged: str
) -> None:
    change(Sender, is_default=False)(ready)
    add_domain(ready, people.acme.id, "a-new.net", default=is_default)
    assert items(ready, people.acme.id)["domain"].found.startswith(f"{judged}: ")


def test_a_message_that_comes_back_proves_the_pipeline_and_counts_nowhere(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    message_id = checklist.prove_pipeline(app, cast.bob, cast.acme.id)
    assert str(items(app, cast.acme.id)["pipeline"].state) == "waiting"
    with pytest.raises(Conflict, match="under way"):
        checklist.prove_pipeline(app, cast.bob, cast.acme.id)

    send_until_idle(app)
    ingest_until_idle(app)

    proof = items(app, cast.acme.id)["pipeline"]
    assert (str(proof.state), proof.advice) == ("done", "")
    assert "came back after" in proof.found
    [mail] = simulator.messages()
    assert mail["to"] == PROBE
    today = app.now().date()
    days: dict[str, Any] = {"since": today - timedelta(days=1), "until": today + timedelta(days=1)}
    for report in (reports.rates, reports.by_campaign, reports.by_domain):
        assert sum(row.counts.sent for row in report(app, cast.bob, cast.acme.id, **days)) == 0
    assert [(t.today.sent, t.queued, t.unknown) for t in reports.overview(app, cast.bob)] == [(0, 0, 0)]
    with app.db.read() as session:
        assert session.get_one(Message, message_id).counts_in_rates is False
    assert checklist.prove_pipeline(app, cast.bob, cast.acme.id) > message_id


def tried(app: App, tenant_id: int, **values: Any) -> None:
    """A test message that got as far as `values` say."""
    message_id = checklist.prove_pipeline(app, access.SYSTEM, tenant_id)
    with app.db.begin() as session:
        session.execute(
            update(Message).where(Message.id == message_id).values(**values or {"status": "pending"})
        )


def heard(app: App, tenant_id: int) -> None:
    """Its event arrives now."""
    with app.db.begin() as session:
        message = session.scalars(select(Message).where(Message.tenant_id == tenant_id)).all()[-1]
        session.add(
            Event(
                uid=f"uid {message.id}", tenant_id=tenant_id, message_id=message.id, type="DELIVERY",
                recipient=PROBE, occurred_at=app.now(), received_at=app.now(), counts_in_rates=False, raw="",
            )
        )  # fmt: skip


def come_back(app: App, tenant_id: int) -> None:
    tried(app, tenant_id, status="delivered")
    heard(app, tenant_id)


def proof(app: App, tenant_id: int) -> tuple[str, str, str]:
    item = items(app, tenant_id)["pipeline"]
    return str(item.state), item.found, item.advice


def test_after_five_minutes_a_lost_message_says_where_it_got_lost(
    ready: App, people: Cast, alice: Actor
) -> None:
    for values, words in (
        ({}, "scheduler runs"),
        ({"status": "sent"}, "repair the set-up"),
        ({"status": "unknown"}, "repair the set-up"),
    ):
        tried(ready, people.acme.id, **values)
        clock_of(ready).advance(seconds=299)
        assert proof(ready, people.acme.id)[0] == "waiting"
        clock_of(ready).advance(seconds=1)
        state, found, advice = proof(ready, people.acme.id)
        assert (state, "did not come back within 5 minutes" in found) == ("todo", True)
        assert words in advice
    tried(ready, people.acme.id)
    tenants.pause(ready, alice, people.acme.id, "Their list looks bought.")
    clock_of(ready).advance(minutes=6)
    assert "resume the tenant" in proof(ready, people.acme.id)[2]
    with pytest.raises(SendingPaused):
        checklist.prove_pipeline(ready, alice, people.acme.id)


@sqlite_alone
def test_a_message_that_ses_refuses_says_so_at_once(live: App, cast: Cast, simulator: Simulator) -> None:
    refusal = {
        "kind": "error",
        "operation": "SendEmail",
        "status": 400,
        "code": "MessageRejected",
        "times": 1,
    }
    simulator.faults(refusal)
    checklist.prove_pipeline(live, cast.bob, cast.acme.id)
    send_until_idle(live)
    state, found, advice = proof(live, cast.acme.id)
    assert (state, found.startswith("The test message was not sent:")) == ("todo", True)
    assert "send another" in advice
    assert checklist.prove_pipeline(live, cast.bob, cast.acme.id)


def test_a_message_that_came_late_is_a_warning(ready: App, people: Cast) -> None:
    tried(ready, people.acme.id, status="delivered")
    clock_of(ready).advance(minutes=20)
    heard(ready, people.acme.id)
    assert proof(ready, people.acme.id)[0] == "warn"


def test_a_proof_older_than_the_repair_does_not_count(live: App, cast: Cast, alice: Actor) -> None:
    come_back(live, cast.acme.id)
    assert proof(live, cast.acme.id)[0] == "done"

    tenants.repair(live, alice, cast.acme.id)
    assert proof(live, cast.acme.id)[0] == "done", "there was nothing to mend"
    clock_of(live).advance(minutes=1)
    aws("sns", live).delete_topic(TopicArn=str(cast.acme.topic_arn))
    tenants.repair(live, alice, cast.acme.id)

    assert proof(live, cast.acme.id)[:2] == ("todo", "The set-up was changed since it was proven.")
    clock_of(live).advance(minutes=1)
    come_back(live, cast.acme.id)
    assert proof(live, cast.acme.id)[0] == "done"


@pytest.mark.parametrize("key", ["SNS topic", "event destination", "event queue", "configuration set"])
def test_a_proof_older_than_a_change_in_aws_does_not_count(ready: App, people: Cast, key: str) -> None:
    come_back(ready, people.acme.id)
    clock_of(ready).advance(minutes=1)
    change(TenantResource, checked_at=ready.now())(ready)  # a daily look that finds all as it was
    assert proof(ready, people.acme.id)[0] == "done"

    resource(key, "different")(ready)

    assert proof(ready, people.acme.id)[:2] == ("todo", "The set-up was changed since it was proven.")


def test_the_test_message_needs_a_verified_sender_that_may_write_to_it(
    ready: App, people: Cast, alice: Actor
) -> None:
    with pytest.raises(InputError, match="no verified sender"):
        checklist.prove_pipeline(ready, alice, people.globex.id)
    suppressions.add(ready, alice, people.acme.id, PROBE)
    with pytest.raises(InputError, match="suppression list"):
        checklist.prove_pipeline(ready, alice, people.acme.id)


def test_another_tenants_proof_is_none_of_ours(ready: App, people: Cast) -> None:
    come_back(ready, people.acme.id)
    assert proof(ready, people.globex.id)[1] == "Not proven yet."


def test_who_sees_a_tenant_sees_its_checklist_and_who_sends_proves(ready: App, people: Cast) -> None:
    assert len(items(ready, people.acme.id, people.carol)) == 10
    with pytest.raises(PermissionDenied):
        checklist.prove_pipeline(ready, people.carol, people.acme.id)
    for refused in (checklist.checklist, checklist.prove_pipeline):
        with pytest.raises(NotFound):
            refused(ready, people.charlie, people.acme.id)


def test_looking_asks_nobody(ready: App, people: Cast, simulator: Simulator) -> None:
    items(ready, people.acme.id)
    assert simulator.call("GET", "/_sim/calls?after=0")["calls"] == []
