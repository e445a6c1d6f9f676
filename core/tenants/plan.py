"""Plan: what a tenant needs in AWS, in the order in which one thing needs the other.

Each step can be looked at, and made or mended any number of times: what is there stays. To look at all of it
costs four of SES's control operations (GetTenant, GetReputationEntity, GetConfigurationSetEventDestinations,
ListTenantResources), of which it answers about one a second; to make all of it costs six.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from hashlib import sha256
from typing import Any

from sqlalchemy import update

from core import accounts
from core.app import App
from core.db.models import Account, Tenant
from core.db.states import ResourceState, SendingStatus
from core.errors import ProviderError
from core.providers.base import (
    ABSENT,
    EVENT_TYPES,
    EmailProvider,
    EventDestination,
    EventQueue,
    Plumbing,
    ReputationState,
    TenantState,
)
from core.tenants.directory import get_tenant

MAX_RESOURCE_NAME = 64  # SES's limit for a configuration set


@dataclass(frozen=True, slots=True)
class Found:
    """What was seen of a thing; `detail` says what is wrong with it, or who did not answer."""

    state: ResourceState
    detail: str = ""


DONE = Found(ResourceState.DONE)
NOT_TRIED = Found(ResourceState.MISSING, "It was not tried yet.")


@dataclass(frozen=True)
class Place:
    """A tenant as last stored, and who answers for it in AWS. What it asks SES, it asks once."""

    app: App
    tenant: Tenant
    account: Account

    @property
    def email(self) -> EmailProvider:
        return self.app.providers.email(self.account.region)

    @property
    def queue(self) -> EventQueue:
        return self.app.providers.queue(self.account.region)

    @property
    def plumbing(self) -> Plumbing:
        return accounts.plumbing_of(self.account)

    @property
    def queue_name(self) -> str:
        return accounts.queue_name(self.app, self.account)

    @property
    def rule_name(self) -> str:
        return accounts.rule_name(self.app, self.account)

    @property
    def configuration_set(self) -> str:
        return self.tenant.configuration_set or _short(f"{self._word}-{self.tenant.slug}", self.tenant.slug)

    @property
    def topic_name(self) -> str:
        there = (self.tenant.topic_arn or "").rpartition(":")[2]
        return there or f"{self._word}-{self.tenant.slug}-events"

    @property
    def _word(self) -> str:
        """The first word of every name: the queue's, whose policy lets no topic with another write to it."""
        return self.queue_name.rpartition("-")[0]

    @cached_property
    def ses_tenant(self) -> TenantState | None:
        return self.email.find_tenant(self.tenant.slug)

    @cached_property
    def reputation(self) -> ReputationState | None:
        return self.email.get_reputation(self.ses_tenant.arn) if self.ses_tenant else None

    @cached_property
    def destination(self) -> EventDestination | None:
        return self.email.find_event_destination(self.configuration_set)

    @cached_property
    def associations(self) -> frozenset[str]:
        """ARNs of what the SES tenant may send with."""
        return self.email.associations(self.tenant.slug) if self.ses_tenant else frozenset()


@dataclass(frozen=True, slots=True)
class Step:
    """`make` also stores what it learned; both raise ProviderError."""

    key: str
    name: Callable[[Place], str]
    look: Callable[[Place], Found]
    make: Callable[[Place], None]


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing to look at, by its name in AWS."""

    key: str
    name: str
    look: Callable[[], Found]


@dataclass(frozen=True, slots=True)
class Seen:
    key: str
    name: str
    found: Found
    answered: bool = True  # False: AWS did not answer at all; nothing is known


def place_of(app: App, tenant_id: int) -> Place:
    """Raises NotFound."""
    with app.db.read() as session:
        tenant = get_tenant(session, tenant_id)
        return Place(app, tenant, accounts.get_account(session, tenant.account_id))


def things_of(place: Place) -> list[Thing]:
    return [Thing(step.key, step.name(place), partial(step.look, place)) for step in PLAN]


def look_at(things: Iterable[Thing]) -> list[Seen]:
    """Raises nothing that AWS can cause: what is refused is unknown. Once AWS does not answer nobody waits
    for the rest, which is unknown as well: never missing."""
    seen: list[Seen] = []
    silence: Found | None = None
    for thing in things:
        if silence is None:
            found, answered = _look(thing)
            silence = None if answered else found
        seen.append(Seen(thing.key, thing.name, silence or found, answered=silence is None))
    return seen


def _look(thing: Thing) -> tuple[Found, bool]:
    try:
        return thing.look(), True
    except ProviderError as e:
        return Found(ResourceState.UNKNOWN, str(e)), e.permanent


def different(detail: str) -> Found:
    return Found(ResourceState.DIFFERENT, detail)


def missing(detail: str) -> Found:
    return Found(ResourceState.MISSING, detail)


def _judged(fault: str | None) -> Found:
    """A queue's, topic's or rule's fault."""
    if fault is None:
        return DONE
    return missing(fault) if fault.startswith(ABSENT) else different(fault)


def _look_at_queue(place: Place) -> Found:
    return _judged(place.queue.queue_fault(place.queue_name)) if place.account.queue_url else NOT_TRIED


def _look_at_rule(place: Place) -> Found:
    return _judged(place.queue.status_rule_fault(place.rule_name, place.plumbing))


def _look_at_tenant(place: Place) -> Found:
    there, slug = place.ses_tenant, place.tenant.slug
    if there is None:
        return missing(f"There is no SES tenant {slug}.")
    if there.arn != place.tenant.ses_tenant_arn:
        return different(f"SES tenant {slug} is another than the one known here; it was made anew.")
    if not there.own_suppressions:
        return different(
            f"SES tenant {slug} has no suppression list of its own: others' bounces stop its mail."
        )
    return DONE


def _look_at_policy(place: Place) -> Found:
    if place.reputation is None:
        return missing(f"There is no SES tenant {place.tenant.slug} that could have it.")
    there, wanted = place.reputation.policy, place.tenant.reputation_policy
    return DONE if there == wanted else different(f"SES follows the policy {there} instead of {wanted}.")


def _look_at_configuration_set(place: Place) -> Found:
    name = place.configuration_set
    if place.destination or place.email.has_configuration_set(name):
        return DONE
    return missing(f"There is no configuration set {name}.")


def _look_at_topic(place: Place) -> Found:
    arn = place.tenant.topic_arn
    return _judged(place.queue.topic_fault(arn, place.plumbing)) if arn else NOT_TRIED


def _look_at_destination(place: Place) -> Found:
    there, name = place.destination, place.configuration_set
    if there is None:
        return missing(f"Configuration set {name} tells nobody of its events.")
    if there.topic_arn != place.tenant.topic_arn:
        return different(f"Configuration set {name} sends its events elsewhere than to {place.topic_name}.")
    if not there.enabled:
        return different(f"The event destination of configuration set {name} is switched off.")
    if lacking := sorted(EVENT_TYPES - there.event_types):
        return different(f"Configuration set {name} does not tell of {', '.join(lacking)}.")
    return DONE


def _look_at_association(place: Place) -> Found:
    if place.email.configuration_set_arn(place.configuration_set) in place.associations:
        return DONE
    return missing(f"SES tenant {place.tenant.slug} may not use configuration set {place.configuration_set}.")


def _make_tenant(place: Place) -> None:
    state = place.email.create_tenant(place.tenant.slug)
    columns: dict[str, Any] = {"ses_tenant_id": state.tenant_id, "ses_tenant_arn": state.arn}
    if place.tenant.ses_tenant_arn != state.arn:
        columns["reputation_due"] = True
    if (
        place.tenant.sending_status == SendingStatus.DISABLED
        and state.sending_status != SendingStatus.DISABLED
    ):
        columns["ses_status_synced"] = False  # SES made it anew and does not know of the pause
    _store(place, **columns)


def _make_policy(place: Place) -> None:
    place.email.set_reputation_policy(place.tenant.ses_tenant_arn or "", place.tenant.reputation_policy)


def _make_configuration_set(place: Place) -> None:
    place.email.create_configuration_set(place.configuration_set)
    _store(place, configuration_set=place.configuration_set)


def _make_topic(place: Place) -> None:
    _store(place, topic_arn=place.queue.create_topic(place.topic_name, place.plumbing))


def _make_destination(place: Place) -> None:
    place.email.create_event_destination(place.configuration_set, place.tenant.topic_arn or "")


def _make_association(place: Place) -> None:
    arn = place.email.configuration_set_arn(place.configuration_set)
    place.email.associate(place.tenant.slug, arn)


PLAN = (
    Step(
        "event queue",
        lambda place: place.queue_name,
        _look_at_queue,
        lambda place: accounts.make_event_queue(place.app, place.account),
    ),
    Step(
        "status notices",
        lambda place: place.rule_name,
        _look_at_rule,
        lambda place: accounts.make_status_rule(place.app, place.account),
    ),
    Step("SES tenant", lambda place: place.tenant.slug, _look_at_tenant, _make_tenant),
    Step("reputation policy", lambda place: place.tenant.reputation_policy, _look_at_policy, _make_policy),
    Step(
        "configuration set",
        lambda place: place.configuration_set,
        _look_at_configuration_set,
        _make_configuration_set,
    ),
    Step("SNS topic", lambda place: place.topic_name, _look_at_topic, _make_topic),
    Step("event destination", lambda place: place.configuration_set, _look_at_destination, _make_destination),
    Step("association", lambda place: place.configuration_set, _look_at_association, _make_association),
)


def _store(place: Place, **columns: Any) -> None:
    with place.app.db.begin() as session:
        session.execute(
            update(Tenant).where(Tenant.id == place.tenant.id).values(version=Tenant.version + 1, **columns)
        )


def _short(name: str, slug: str) -> str:
    if len(name) <= MAX_RESOURCE_NAME:
        return name
    return f"{name[: MAX_RESOURCE_NAME - 9]}-{sha256(slug.encode()).hexdigest()[:8]}"
