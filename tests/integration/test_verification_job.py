"""The verification job: what is due, ten at a time, never faster than SES's control operations allow."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import boto3
import pytest
from sqlalchemy import func, select, update

from core import identities
from core.access import SYSTEM
from core.app import App, Providers
from core.db.models import AuditEntry, Identity, Tenant
from core.identities.checks import BATCH, BATCHES_A_RUN, BETWEEN_BATCHES_SECONDS
from core.pacing import pacer
from core.providers.base import EmailProvider, EventQueue, IdentityState
from core.providers.ses import SesProvider
from tests.conftest import Cast
from tests.integration.test_identities import REFUSED, cool_down, publish, unpublish
from tests.simulators import Simulator
from tests.turns import NOON

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PENDING = 200
QUIET_SECONDS = 0.01


class VirtualClock:
    """Stands still while anybody works, then jumps to whoever wakes first: an hour takes a second."""

    def __init__(self) -> None:
        self._at = NOON
        self._moved = threading.Condition()
        self._touched = False
        self._sleepers: dict[int, datetime] = {}  # thread -> until when
        self._woken: set[int] = set()  # they have not looked at the clock yet

    def now(self) -> datetime:
        with self._moved:
            self._touched = True
            self._woken.discard(threading.get_ident())
            return self._at

    def monotonic(self) -> float:
        return self.now().timestamp()

    def sleep(self, seconds: float) -> None:
        me = threading.get_ident()
        with self._moved:
            self._touched = True
            self._sleepers[me] = until = self._at + timedelta(seconds=seconds)
            self._moved.wait_for(lambda: self._at >= until)
            self._woken.discard(me)

    @contextmanager
    def running(self) -> Iterator[None]:
        ended = threading.Event()
        thread = threading.Thread(target=self._run, args=(ended,))
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _run(self, ended: threading.Event) -> None:
        while not ended.wait(QUIET_SECONDS):
            with self._moved:
                if not self._touched and not self._woken and self._sleepers:
                    self._jump(min(self._sleepers.values()))
                self._touched = False

    def _jump(self, to: datetime) -> None:
        self._at = to
        self._woken = {thread for thread, until in self._sleepers.items() if until <= to}
        for thread in self._woken:
            del self._sleepers[thread]
        self._moved.notify_all()


@dataclass
class Paced:
    """The product's own SES client and pacing; `calls`: when each request left."""

    inner: Providers
    provider: EmailProvider
    calls: list[datetime] = field(default_factory=list)

    @classmethod
    def of(cls, app: App, clock: VirtualClock) -> Paced:
        pace = pacer(app.db, clock, "ses-control", 1)

        def paced() -> None:
            pace()
            calls.append(clock.now())

        calls: list[datetime] = []
        return cls(app.providers, SesProvider(app.settings.region, pace=paced), calls)

    def email(self, region: str) -> EmailProvider:
        return self.provider

    def queue(self, region: str) -> EventQueue:
        return self.inner.queue(region)


def pending_identities(app: App, tenant: Tenant, count: int) -> list[Identity]:
    """Asked for yesterday, in SES and here, with nothing left to be made for them."""
    client: Any = boto3.client("sesv2", region_name=app.settings.region)
    rows = []
    for number in range(count):
        name = f"shop{number:03}-mail.io"
        tokens = client.create_email_identity(EmailIdentity=name)["DkimAttributes"]["Tokens"]
        rows.append(
            Identity(
                tenant_id=tenant.id,
                name=name,
                verification_status="PENDING",
                dkim_status="PENDING",
                dkim_tokens=tokens,
                verification_token="known",
                mail_from_status="OFF",
                created_at=NOON - timedelta(days=1, seconds=count - number),
            )
        )
    with app.db.begin() as session:
        session.add_all(rows)
    return rows


@pytest.mark.slow
@SQLITE
def test_200_pending_identities_are_checked_without_passing_one_control_call_a_second(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    pending_identities(app, cast.acme, PENDING)
    before = len(simulator.calls())
    clock = VirtualClock()
    paced = Paced.of(app, clock)
    app = replace(app, clock=clock, providers=paced)
    a_run = BATCH * BATCHES_A_RUN
    with clock.running():
        for _ in range(PENDING // a_run):
            assert identities.refresh_due(app) == f"Checked {a_run} of {a_run} identities."
        assert identities.refresh_due(app) == "Checked 0 of 0 identities."
    made = [call["operation"] for call in simulator.calls()[before:]]
    assert made == ["GetEmailIdentity"] * PENDING, "one call for each"
    assert len(paced.calls) == PENDING
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(sorted(paced.calls))]
    assert min(gaps) >= 1
    between = [gap for number, gap in enumerate(gaps, 1) if number % a_run and number % BATCH == 0]
    assert min(between) >= BETWEEN_BATCHES_SECONDS
    within = [gap for number, gap in enumerate(gaps, 1) if number % BATCH]
    assert max(within) < BETWEEN_BATCHES_SECONDS, "ten at a time, and no pause among them"


@pytest.fixture
def acme_mail(app: App, simulator: Simulator, cast: Cast) -> Identity:
    """Pending, its records published, due."""
    identity = identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
    publish(simulator, identity)
    cool_down(app, identity, hours=5)
    return identity


def now_of(app: App, identity: Identity) -> Identity:
    with app.db.read() as session:
        return session.get_one(Identity, identity.id)


def test_v2_7_the_job_does_what_the_button_does_and_logs_it(
    app: App, acme_mail: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="core.identities"):
        assert identities.refresh_due(app) == "Checked 1 of 1 identities."
    verified = now_of(app, acme_mail)
    assert (verified.verification_status, verified.dkim_status) == ("SUCCESS", "SUCCESS")
    assert {finding["verdict"] for finding in verified.dns_findings} == {"found"}
    assert verified.verification_info["last_success_at"]
    assert "identity acme-mail.io of acme: PENDING -> SUCCESS" in [r.getMessage() for r in caplog.records]
    assert identities.refresh_due(app) == "Checked 0 of 0 identities."


@SQLITE
def test_pending_ones_are_due_each_4_hours_and_verified_ones_each_day(
    app: App, simulator: Simulator, acme_mail: Identity
) -> None:
    def is_due(**since: float) -> bool:
        cool_down(app, acme_mail, **since)
        return identities.refresh_due(app) == "Checked 1 of 1 identities."

    unpublish(simulator, acme_mail)
    assert not is_due(hours=3.9)
    assert is_due(hours=4.1)
    publish(simulator, acme_mail)
    assert is_due(hours=4.1)
    assert not is_due(hours=23.9)
    unpublish(simulator, acme_mail)
    assert is_due(hours=24.1)
    assert now_of(app, acme_mail).broken_at is not None
    assert is_due(hours=4.1), "a broken one may heal sooner than in a day"
    with app.db.begin() as session:
        session.execute(update(Identity).values(verified_for_sending=True, broken_at=None))
    assert is_due(hours=4.1), "DKIM is still to come"


@SQLITE
def test_what_the_clock_finds_unchanged_is_not_written_into_the_audit_log(
    app: App, simulator: Simulator, acme_mail: Identity
) -> None:
    identities.refresh_due(app)
    cool_down(app, acme_mail, hours=25)
    identities.refresh_due(app)
    with app.db.read() as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action == "verify identity")).all()
    assert [(entry.actor, entry.detail) for entry in entries] == [
        (SYSTEM.username, {"before": "PENDING", "after": "SUCCESS"})
    ]


@SQLITE
def test_one_identity_that_fails_does_not_keep_the_job_from_the_others(
    app: App, simulator: Simulator, cast: Cast, acme_mail: Identity
) -> None:
    cool_down(app, identities.add(app, cast.bob, cast.acme.id, "acme-post.io"), hours=5)
    simulator.faults({**REFUSED, "operation": "GetEmailIdentity", "times": 1})
    assert identities.refresh_due(app) == "Checked 1 of 2 identities."
    with app.db.read() as session:
        failed = session.scalar(
            select(func.count()).select_from(Identity).where(Identity.error_detail.is_not(None))
        )
    assert failed == 1
    assert identities.refresh_due(app) == "Checked 0 of 0 identities.", "each waits for its next time"


class Bug(Exception):
    """Nothing that anybody raises on purpose."""


class Stumbling:
    """SES's own client, but for one domain about which it stumbles."""

    def __init__(self, inner: EmailProvider, name: str) -> None:
        self._inner, self._name = inner, name

    def __getattr__(self, asked: str) -> Any:
        return getattr(self._inner, asked)

    def find_identity(self, name: str) -> IdentityState | None:
        if name == self._name:
            raise Bug("unexpected")
        return self._inner.find_identity(name)


def test_a_fault_of_our_own_about_one_keeps_no_other_from_its_check(
    app: App, cast: Cast, acme_mail: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    other = identities.add(app, cast.bob, cast.acme.id, "acme-post.io")
    cool_down(app, other, hours=6)
    email = Stumbling(app.providers.email(app.settings.region), other.name)
    stumbling = replace(Paced.of(app, VirtualClock()), provider=email)
    with caplog.at_level(logging.ERROR, logger="core.identities"):
        assert identities.refresh_due(replace(app, providers=stumbling)) == "Checked 1 of 2 identities."
    assert now_of(app, acme_mail).verified_for_sending
    [record] = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert "acme-post.io" in record.getMessage()
    assert record.exc_info


@SQLITE
def test_one_somebody_has_just_checked_is_left_to_them(app: App, cast: Cast, acme_mail: Identity) -> None:
    identities.verify_now(app, cast.bob, cast.acme.id, acme_mail.id)
    assert identities.refresh_due(app) == "Checked 0 of 0 identities."


@SQLITE
def test_a_run_that_takes_long_leaves_the_rest_to_the_next(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    pending_identities(app, cast.acme, 2 * BATCH + 1)

    class SlowClock(VirtualClock):
        def monotonic(self) -> float:
            self.asked = getattr(self, "asked", 0) + 1
            return self.asked * 60.0

    clock = SlowClock()
    app = replace(app, clock=clock)
    with clock.running():
        assert identities.refresh_due(app) == f"Checked {BATCH} of {2 * BATCH + 1} identities."
        assert identities.refresh_due(app) == f"Checked {BATCH} of {BATCH + 1} identities."
        assert identities.refresh_due(app) == "Checked 1 of 1 identities."
