"""Checklist: what a tenant needs before its mail goes out well, each item computed from what is there.

Nothing is ticked by hand and nobody is asked here: DNS and AWS are as the last check left them, with its age.
facts.py reads them, domains.py and standing.py judge; pipeline.py judges the last item, which is proven by a
message to SES's mailbox simulator that must come back as an event.
"""

from __future__ import annotations

from collections.abc import Callable

from core import senders, sending
from core.access import Action, Actor
from core.app import App
from core.checklist import domains, pipeline, standing
from core.checklist.facts import Facts, read_facts
from core.checklist.items import Item, Part, State
from core.errors import Conflict, InputError
from core.events.heartbeat import PROBE

__all__ = ["PROBE", "Item", "State", "checklist", "prove_pipeline"]

_ITEMS: tuple[tuple[str, str, Callable[[Facts], Part]], ...] = (
    ("region", "AWS region", standing.region),
    ("set-up", "Set-up in AWS", standing.set_up),
    ("domain", "Domain verified", domains.verified),
    ("dkim", "DKIM", domains.dkim),
    ("spf", "SPF: exactly one record", domains.spf),
    ("dmarc", "DMARC", domains.dmarc),
    ("mail from", "Own MAIL FROM domain", domains.mail_from),
    ("production access", "Production access", standing.production),
    ("default sender", "Default sender", standing.default_sender),
    ("pipeline", "Events come back", pipeline.proof),
)


def checklist(app: App, actor: Actor, tenant_id: int) -> list[Item]:
    """Always all ten, in the order in which somebody sets a tenant up."""
    actor.must(Action.SEE_TENANT, tenant_id)
    with app.db.read() as session:
        facts = read_facts(session, tenant_id, app.now())
    return [_item(key, title, judge(facts)) for key, title, judge in _ITEMS]


def prove_pipeline(app: App, actor: Actor, tenant_id: int) -> int:
    """Queue a mail to SES's mailbox simulator, from the default or else the first verified sender, and return
    its id. Conflict while an earlier one is under way; InputError without a verified sender."""
    actor.must(Action.SEND_MESSAGE, tenant_id)
    mail = sending.checked(
        PROBE,
        "Postyard set-up check",
        "<p>This message shows that what Amazon SES reports comes back to Postyard.</p>",
    )
    with app.db.begin() as session:
        senders.lock_tenant(session, tenant_id)  # of two who press the button at once, one sends
        facts = read_facts(session, tenant_id, app.now())
        if pipeline.is_under_way(facts):
            raise Conflict("A test message is under way already. Look again in a minute.")
        if not facts.verified_senders:
            raise InputError(f"{facts.tenant.name} has no verified sender yet. Verify one first.")
        return sending.queue(session, actor, tenant_id, facts.verified_senders[0].id, mail, app.now())


def _item(key: str, title: str, part: Part) -> Item:
    return Item(key=key, title=title, **part._asdict())
