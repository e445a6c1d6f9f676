"""Places: what is kept of a channel's target, and how it is read again. Pure."""

from __future__ import annotations

from core.db.models import AlertChannel
from core.notices import sealing
from core.notices.targets import ChannelKind


def keep(secret: bytes, channel: AlertChannel, target: str) -> None:
    """The row must have its id: a secret is sealed for its channel alone."""
    channel.digest = sealing.digest(secret, f"{channel.tenant_id or 0} {channel.kind} {target}")
    is_secret = channel.kind == ChannelKind.WEBHOOK
    channel.target = sealing.seal(secret, _place(channel), target) if is_secret else target


def target_of(secret: bytes, channel: AlertChannel) -> str | None:
    """None: it was sealed with another key."""
    if channel.kind == ChannelKind.WEBHOOK:
        return sealing.unseal(secret, _place(channel), channel.target)
    return channel.target


def _place(channel: AlertChannel) -> str:
    return f"channel {channel.id} of tenant {channel.tenant_id or 0}"
