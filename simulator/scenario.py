"""What happens to accepted mail, by address, by recipient domain or by default: same address, same fate."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from simulator.errors import ControlError

DELIVERY = "delivery"
BOUNCE = "bounce"
TRANSIENT = "transient"
COMPLAINT = "complaint"
REJECT = "reject"
OUT_OF_OFFICE = "ooto"
SUPPRESSED = "suppressed"
RENDERING_FAILURE = "rendering_failure"
GLOBALLY_SUPPRESSED = "suppressionlist"
FATES = (BOUNCE, COMPLAINT, DELIVERY, TRANSIENT, REJECT)
MAILBOX_SIMULATOR = "simulator.amazonses.com"
_SIMULATOR_FATES = {
    "success": DELIVERY,
    "bounce": BOUNCE,
    "ooto": OUT_OF_OFFICE,
    "complaint": COMPLAINT,
    "suppressionlist": GLOBALLY_SUPPRESSED,
}


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares of recipients, 0 to 1. Complaints, opens and clicks are shares of what is delivered."""

    bounce: float = 0.0
    transient: float = 0.0
    complaint: float = 0.0
    open: float = 0.0
    click: float = 0.0
    delay: float = 0.0
    reject: float = 0.0

    def changed(self, value: Any, where: str) -> Rates:
        names = {f.name for f in fields(Rates)}
        if not isinstance(value, dict) or set(value) - names:
            raise ControlError(f"{where} is an object of rates: {', '.join(sorted(names))}.")
        for name, rate in value.items():
            if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
                raise ControlError(f"{where}: {name} is a number from 0 to 1.")
        return Rates(**{**asdict(self), **value})


@dataclass(frozen=True, slots=True)
class Fate:
    outcome: str
    delayed: bool = False
    opened: bool = False
    clicked: bool = False
    bot: bool = False


@dataclass(slots=True)
class Scenario:
    default: Rates = field(default_factory=Rates)
    domains: dict[str, Rates] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    event_delay_seconds: float = 0.0
    control_calls_per_second: float = 0.0  # SES's own limit is 1; 0: none
    resend_calls_per_second: float = 0.0  # Resend's own limit is 2; 0: none
    resend_domains: list[str] = field(default_factory=lambda: ["postyard-mail.io"])  # verified there
    # {"url": …, "secret": "whsec_…"}: where Resend's events go; empty: nowhere
    resend_webhook: dict[str, str] = field(default_factory=dict)
    # AWS's own answer for a paused tenant is not documented, so it can be chosen.
    tenant_paused_error: dict[str, Any] = field(
        default_factory=lambda: {"code": "SendingPausedException", "status": 400}
    )

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Scenario:
        value = dict(value)
        value["default"] = Rates(**value["default"])
        value["domains"] = {name: Rates(**rates) for name, rates in value["domains"].items()}
        return cls(**value)

    def fate_of(self, address: str) -> Fate:
        key = address.lower()
        local, _, domain = key.rpartition("@")
        if domain == MAILBOX_SIMULATOR:
            return Fate(_SIMULATOR_FATES.get(local.partition("+")[0], DELIVERY))
        if key in self.addresses:
            return Fate(self.addresses[key])
        rates = self.domains.get(domain, self.default)
        return _drawn(key, rates)


def _drawn(key: str, rates: Rates) -> Fate:
    """Drawn from the address alone: four numbers from 0 to 1 that no order of sending changes."""
    digest = hashlib.blake2b(key.encode(), digest_size=32).digest()
    first, second, third, fourth = (
        int.from_bytes(digest[at : at + 8], "big") / 2**64 for at in (0, 8, 16, 24)
    )
    if first < rates.bounce:
        return Fate(BOUNCE)
    if first < rates.bounce + rates.transient:
        return Fate(TRANSIENT)
    if first < rates.bounce + rates.transient + rates.reject:
        return Fate(REJECT)
    outcome = COMPLAINT if second < rates.complaint else DELIVERY
    return Fate(
        outcome,
        delayed=fourth < rates.delay,
        opened=third < rates.open,
        clicked=third < rates.click,
        bot=fourth < 0.1,
    )
