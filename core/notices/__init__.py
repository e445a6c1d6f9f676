"""Notices: telling people of alerts, by e-mail and by webhook.

core.alerts writes with an alert which channels are told. channels.py is what people do to channels
(targets.py checks an address, sealing.py and places.py keep it), delivery.py sends what is due (mail.py,
webhook.py, in the words of text.py). looking.py raises what nobody else looks at; watch.py does so where no
scheduler lives.
"""

from __future__ import annotations

from core.notices.channels import (
    ChannelView,
    Tested,
    add,
    change,
    list_channels,
    remove,
    send_test,
)
from core.notices.delivery import send_due
from core.notices.looking import JOB as LOOK
from core.notices.looking import look_due
from core.notices.targets import ChannelKind
from core.notices.watch import watching
from core.notices.webhook import Dialler

__all__ = [
    "LOOK",
    "ChannelKind",
    "ChannelView",
    "Dialler",
    "Tested",
    "add",
    "change",
    "list_channels",
    "look_due",
    "remove",
    "send_due",
    "send_test",
    "watching",
]
