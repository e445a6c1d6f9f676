"""The checklist: ten items computed from what is there."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from core import access, checklist, senders
from core.app import App
from core.checklist import State
from core.db.models import Account, Identity, Sender, Tenant
from core.dns import Mistake, Verdict
from core.errors import NotFound, PermissionDenied
from tests.conftest import Cast
from tests.integration.checklist.conftest import Change, change, items, later, resource, sqlite_alone, states
from tests.simulators import Simulator


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
    with app.db.begin() as session:  # as where DNS did not answer when it was added
        session.execute(update(Identity).values(dns_findings=[]))
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
