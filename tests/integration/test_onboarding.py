"""Onboarding links: one domain's page for somebody without a log-in, and everything that must end it."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from core import access, audit, identities, logs, onboarding, senders
from core.access import Action, Actor
from core.app import App
from core.db.models import Identity, OnboardingLink
from core.dns import Verdict
from core.errors import Conflict, InputError, NotFound, PermissionDenied, ProviderError
from tests.conftest import Cast
from tests.integration.users.conftest import HandClock
from tests.simulators import Simulator

sqlite_alone = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def app(app: App, clock: HandClock) -> App:
    return dataclasses.replace(app, clock=clock)


@pytest.fixture
def identity_id(app: App, cast: Cast) -> int:
    """Of acme-mail.io, with nothing in DNS yet."""
    return senders.add(app, access.SYSTEM, cast.acme.id, "news@acme-mail.io").identity_id


def shared(app: App, cast: Cast, identity_id: int, **wanted: object) -> tuple[OnboardingLink, str]:
    link, url = onboarding.create_link(app, cast.bob, cast.acme.id, identity_id, **wanted)  # type: ignore[arg-type]
    return link, url.rpartition("/")[2]


def links(app: App) -> list[OnboardingLink]:
    with app.db.read() as session:
        return list(session.scalars(select(OnboardingLink)))


def test_a_link_shows_its_domains_records(app: App, cast: Cast, identity_id: int) -> None:
    _, token = shared(app, cast, identity_id)

    page = onboarding.open_page(app, token)

    assert (page.domain, page.status, page.verified) == ("acme-mail.io", "PENDING", False)
    with app.db.read() as session:
        identity = identities.get_identity(session, cast.acme.id, identity_id)
    assert [finding.record for finding in page.records] == identities.records(identity, app.settings.region)
    assert page.expires_at == app.now() + timedelta(days=14)
    assert page.seconds_until_check == 0


@sqlite_alone
def test_what_the_page_is_made_of_names_nobody(app: App, cast: Cast, identity_id: int) -> None:
    senders.add(app, access.SYSTEM, cast.acme.id, "post@acme-shop.net")
    _, token = shared(app, cast, identity_id, note="For Dan")

    told = repr(onboarding.open_page(app, token))

    for secret in ("news@", "post@", "acme-shop", "Acme Retail", "For Dan", "000000000000", token):
        assert secret not in told
    assert not re.search(r"\bbob\b", told)  # a DKIM token may hold the letters


def test_the_address_is_below_the_public_url(app: App, cast: Cast, identity_id: int) -> None:
    _, path = onboarding.create_link(app, cast.bob, cast.acme.id, identity_id)
    assert path.startswith("/onboarding/")
    settings = app.settings.model_copy(update={"public_url": "https://mail.acme-mail.io/hooks/"})
    public = dataclasses.replace(app, settings=settings)
    _, url = onboarding.create_link(public, cast.bob, cast.acme.id, identity_id)
    assert url.startswith("https://mail.acme-mail.io/hooks/onboarding/")


@sqlite_alone
def test_only_the_tokens_hash_is_kept_and_nothing_else_knows_it(
    app: App, cast: Cast, identity_id: int, caplog: pytest.LogCaptureFixture
) -> None:
    logs.to_stderr("DEBUG")
    caplog.set_level(logging.DEBUG)
    _, token = shared(app, cast, identity_id)
    onboarding.open_page(app, token)
    onboarding.check_again(app, token)

    [link] = links(app)
    assert len(token) >= 43  # 256 bits
    assert link.token_hash == hashlib.sha256(token.encode()).hexdigest()
    entries = audit.list_entries(app, access.SYSTEM)
    kept = " ".join(f"{entry.actor} {entry.subject} {entry.detail}" for entry in entries)
    for place in (kept, caplog.text):
        assert token not in place
        assert link.token_hash not in place


Ending = Callable[[App, Cast, HandClock, OnboardingLink], object]
ENDINGS: dict[str, Ending] = {
    "expired": lambda app, cast, clock, link: clock.advance(days=14),
    "revoked": lambda app, cast, clock, link: onboarding.revoke_link(app, cast.bob, cast.acme.id, link.id),
    "removed": lambda app, cast, clock, link: remove_domain(app, link.identity_id),
}


def remove_domain(app: App, identity_id: int) -> None:
    with app.db.begin() as session:
        session.execute(update(Identity).where(Identity.id == identity_id).values(removed_at=app.now()))


@sqlite_alone
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_link_that_ended_is_as_one_that_never_was(
    app: App, cast: Cast, clock: HandClock, identity_id: int, ending: str
) -> None:
    link, token = shared(app, cast, identity_id)
    with pytest.raises(NotFound) as never:
        onboarding.open_page(app, "A" * 43)
    ENDINGS[ending](app, cast, clock, link)

    for use in (onboarding.open_page, onboarding.check_again):
        with pytest.raises(NotFound) as told:
            use(app, token)
        assert str(told.value) == str(never.value)
    [view] = onboarding.list_links(app, cast.bob, cast.acme.id)
    assert view.state == {"removed": "domain removed"}.get(ending, ending)


@sqlite_alone
@pytest.mark.parametrize("token", ["", "x", "A" * 43, "a" * 100_000, "\x00", "\udcff", "../..", "Ü", "%"])
def test_no_malformed_token_is_more_than_unknown(app: App, token: str) -> None:
    with pytest.raises(NotFound, match="not valid, or not any more"):
        onboarding.open_page(app, token)
    with pytest.raises(NotFound, match="not valid, or not any more"):
        onboarding.check_again(app, token)


@sqlite_alone
def test_opening_is_noted_once_a_minute(app: App, cast: Cast, clock: HandClock, identity_id: int) -> None:
    _, token = shared(app, cast, identity_id)
    assert links(app)[0].opened_at is None
    first = clock.at
    for _ in range(3):
        onboarding.open_page(app, token)
        clock.advance(seconds=15)
    assert links(app)[0].opened_at == first
    clock.advance(minutes=1)
    onboarding.open_page(app, token)
    assert links(app)[0].opened_at == clock.at


def test_checking_again_finds_what_was_published_meanwhile(
    app: App, simulator: Simulator, cast: Cast, clock: HandClock, identity_id: int
) -> None:
    _, token = shared(app, cast, identity_id)
    onboarding.check_again(app, token)
    page = onboarding.open_page(app, token)
    assert {finding.verdict for finding in page.records if finding.record.required} == {Verdict.MISSING}

    simulator.put_dns([finding.record.as_json() for finding in page.records])
    clock.advance(seconds=30)
    onboarding.check_again(app, token)

    page = onboarding.open_page(app, token)
    assert page.verified
    assert {finding.verdict for finding in page.records} == {Verdict.FOUND}


@sqlite_alone
def test_the_cooldown_is_everybodys(
    app: App, simulator: Simulator, cast: Cast, clock: HandClock, identity_id: int
) -> None:
    _, token = shared(app, cast, identity_id)
    _, other = shared(app, cast, identity_id)
    identities.verify_now(app, cast.bob, cast.acme.id, identity_id)
    clock.advance(seconds=12)
    asked = simulator.call("GET", "/_sim/calls?after=0")["next"]

    for each in (token, other):
        with pytest.raises(Conflict, match="18 seconds"):
            onboarding.check_again(app, each)

    assert simulator.call("GET", f"/_sim/calls?after={asked}")["calls"] == []
    assert onboarding.open_page(app, token).seconds_until_check == 18


@sqlite_alone
def test_ses_that_does_not_answer_costs_no_finding(
    app: App, simulator: Simulator, cast: Cast, clock: HandClock, identity_id: int
) -> None:
    _, token = shared(app, cast, identity_id)
    onboarding.check_again(app, token)
    before = onboarding.open_page(app, token).records
    clock.advance(minutes=1)
    simulator.faults({"kind": "error", "operation": "GetEmailIdentity", "status": 400, "times": 0})

    with pytest.raises(ProviderError):
        onboarding.check_again(app, token)

    assert onboarding.open_page(app, token).records == before


@sqlite_alone
def test_the_audit_log_says_which_link_checked(app: App, cast: Cast, identity_id: int) -> None:
    link, token = shared(app, cast, identity_id, note="Dan at the registrar")
    onboarding.check_again(app, token)
    onboarding.revoke_link(app, cast.bob, cast.acme.id, link.id)

    entries = [e for e in audit.list_entries(app, access.SYSTEM) if e.action != "create tenant"][:3]

    assert [(e.action, e.actor, e.subject, e.tenant_id) for e in entries] == [
        ("revoke onboarding page", "bob", "acme-mail.io", cast.acme.id),
        ("verify identity", f"onboarding link {link.id}", "acme-mail.io", cast.acme.id),
        ("share onboarding page", "bob", "acme-mail.io", cast.acme.id),
    ]
    assert entries[2].detail == {"link": link.id, "days": 14, "note": "Dan at the registrar"}


def test_revoking_twice_is_revoking_once(
    app: App, cast: Cast, alice: Actor, clock: HandClock, identity_id: int
) -> None:
    link, _ = shared(app, cast, identity_id)
    at = clock.at
    onboarding.revoke_link(app, cast.bob, cast.acme.id, link.id)
    clock.advance(minutes=5)
    again = onboarding.revoke_link(app, alice, cast.acme.id, link.id)

    assert (again.revoked_at, again.revoked_by) == (at, "bob")
    actions = [entry.action for entry in audit.list_entries(app, access.SYSTEM)]
    assert actions.count("revoke onboarding page") == 1


@sqlite_alone
def test_who_may_not_share_may_not_see_or_revoke(app: App, cast: Cast, identity_id: int) -> None:
    link, _ = shared(app, cast, identity_id)
    for person, refusal in ((cast.carol, PermissionDenied), (cast.charlie, NotFound)):
        with pytest.raises(refusal):
            onboarding.create_link(app, person, cast.acme.id, identity_id)
        with pytest.raises(refusal):
            onboarding.list_links(app, person, cast.acme.id)
        with pytest.raises(refusal):
            onboarding.revoke_link(app, person, cast.acme.id, link.id)
    assert not cast.carol.may(Action.SHARE_ONBOARDING)
    with pytest.raises(NotFound):  # his own tenant, another's domain and link
        onboarding.create_link(app, cast.charlie, cast.globex.id, identity_id)
    with pytest.raises(NotFound):
        onboarding.revoke_link(app, cast.charlie, cast.globex.id, link.id)
    assert onboarding.list_links(app, cast.charlie, cast.globex.id) == []


@sqlite_alone
def test_what_cannot_be_shared_is_refused_with_its_field(app: App, cast: Cast, identity_id: int) -> None:
    for days in (0, -1, 91):
        with pytest.raises(InputError, match="1 to 90 days") as told:
            onboarding.create_link(app, cast.bob, cast.acme.id, identity_id, days=days)
        assert told.value.field == "days"
    for note in ("x" * 201, "two\nlines", "\x00", "a\x9bb", "a\u202eb"):
        with pytest.raises(InputError, match="note") as told:
            onboarding.create_link(app, cast.bob, cast.acme.id, identity_id, note=note)
        assert told.value.field == "note"
    single = identities.add(app, cast.bob, cast.acme.id, "dev@acme-shop.net")
    with pytest.raises(InputError, match="single address"):
        onboarding.create_link(app, cast.bob, cast.acme.id, single.id)
    assert links(app) == []
