"""Looking: what AWS has of a tenant and its identities, and what of it nobody arranged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import tenants
from core.app import App
from core.db.models import Identity
from core.db.states import ResourceState, VerificationStatus
from core.providers.base import IdentityState
from core.tenants import DONE, Found, Place, Seen, Thing, different, missing

ASSOCIATION_OF = "association of "


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of a tenant, which took seconds to minutes from `at` on."""

    at: datetime
    place: Place
    about: Mapping[str, Identity]  # by the key of what was seen: as it was then
    seen: Sequence[Seen]
    associations: frozenset[str] | None  # None: SES did not tell

    @property
    def answered(self) -> bool:
        return all(each.answered for each in self.seen)


def look_at_tenant(app: App, tenant_id: int) -> Look:
    at, place = app.now(), tenants.place_of(app, tenant_id)
    with app.db.read() as session:
        identities = [identity for identity in live(session, tenant_id) if is_begun(identity)]
    about = {thing: identity for identity in identities for thing in _things(place, identity)}
    seen = tenants.look_at([*tenants.things_of(place), *about])
    told = any(each.key == "association" and each.found.state != ResourceState.UNKNOWN for each in seen)
    return Look(
        at=at,
        place=place,
        about={thing.key: identity for thing, identity in about.items()},
        seen=seen,
        associations=place.associations if told else None,
    )


def live(session: Session, tenant_id: int) -> list[Identity]:
    query = select(Identity).where(Identity.tenant_id == tenant_id, Identity.removed_at.is_(None))
    return list(session.scalars(query.order_by(Identity.name)))


def is_begun(identity: Identity) -> bool:
    """Not while it is being made or taken out of SES: whoever does so knows what it lacks."""
    return identity.verification_status != VerificationStatus.NOT_STARTED


def keys_of(identity: Identity) -> tuple[str, ...]:
    keys = all_keys(identity.name)
    return keys if identity.mail_from_domain else keys[:-1]


def all_keys(name: str) -> tuple[str, str, str, str]:
    return (
        f"identity {name}",
        f"{ASSOCIATION_OF}{name}",
        f"configuration set of {name}",
        f"MAIL FROM of {name}",
    )


def strangers(session: Session, look: Look) -> list[Seen]:
    """What else is associated with the SES tenant, and nobody's identity now."""
    if look.associations is None:
        return []
    email, slug, tenant_id = look.place.email, look.place.tenant.slug, look.place.tenant.id
    known = {email.identity_arn(identity.name) for identity in live(session, tenant_id)}
    known.add(email.configuration_set_arn(look.place.configuration_set))
    names = [arn.rpartition(":")[2].removeprefix("identity/") for arn in sorted(look.associations - known)]
    return [
        Seen(
            f"{ASSOCIATION_OF}{name}",
            name,
            different(
                f"SES lets {slug} use {name}, which nobody arranged here. If nobody needs it, "
                "take the association away in the SES console; repairing leaves it alone."
            ),
        )
        for name in names
    ]


def _things(place: Place, identity: Identity) -> list[Thing]:
    name = identity.name
    at_ses = cache(lambda: place.email.find_identity(name))
    things = [
        Thing(f"identity {name}", name, lambda: _look_at_identity(identity, at_ses())),
        Thing(f"{ASSOCIATION_OF}{name}", name, lambda: _look_at_association(place, name)),
        Thing(f"configuration set of {name}", name, lambda: _look_at_default(place, name, at_ses())),
    ]
    if wanted := identity.mail_from_domain:
        things.append(Thing(f"MAIL FROM of {name}", wanted, lambda: _look_at_mail_from(identity, at_ses())))
    return things


def _look_at_identity(identity: Identity, there: IdentityState | None) -> Found:
    if there is None:
        return missing(f"SES has no identity {identity.name}: nothing can be sent from it.")
    if list(there.dkim_tokens) != list(identity.dkim_tokens):
        return different(f"{identity.name} was made anew in SES: its DKIM records are others now.")
    return DONE


def _look_at_association(place: Place, name: str) -> Found:
    if place.email.identity_arn(name) in place.associations:
        return DONE
    return missing(f"SES tenant {place.tenant.slug} may not send from {name}.")


def _look_at_default(place: Place, name: str, there: IdentityState | None) -> Found:
    if there is None:
        return missing(f"SES has no identity {name}.")
    wanted, found = place.configuration_set, there.configuration_set
    if found == wanted:
        return DONE
    what = f"configuration set {found}" if found else "no configuration set"
    return different(
        f"Mail from {name} that names none uses {what} instead of {wanted}: its events are lost."
    )


def _look_at_mail_from(identity: Identity, there: IdentityState | None) -> Found:
    wanted, found = identity.mail_from_domain, there and there.mail_from_domain
    if found == wanted:
        return DONE
    if not found:
        return missing(f"SES has no MAIL FROM domain for {identity.name} instead of {wanted}.")
    return different(f"SES has {found} as the MAIL FROM domain of {identity.name} instead of {wanted}.")
