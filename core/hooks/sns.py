"""SNS over HTTPS: the same events as from SQS, for whoever cannot use a queue; both at once do no harm.

In this order: is the topic a tenant's of ours (else nobody is asked anything), is the message recent, does
the certificate come from SNS, is the signature right. A subscription is confirmed through SNS's API, with
our own credentials; the address in the message is never opened.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sqlalchemy import select

from core import audit
from core.access import SYSTEM
from core.app import App
from core.db.models import Account, AuditEntry, Tenant
from core.errors import ProviderError
from core.events import ingest
from core.hooks import sns_messages
from core.hooks.answers import Again, Done, Never, done
from core.hooks.certificates import Certificates
from core.hooks.sns_messages import NEWEST, NOTIFICATION, OLDEST, SUBSCRIPTION, UNSUBSCRIPTION, SnsMessage
from core.providers.ses_events import UnreadableEvent, parse

_ACTIONS = {SUBSCRIPTION: "confirm subscription", UNSUBSCRIPTION: "end subscription"}
# By SNS's older and newer protocol. Whatever else goes wrong, a person may mend before SNS gives up.
_BAD_TOKEN = {"InvalidParameter", "InvalidParameterException", "NotFound", "NotFoundException"}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Owner:
    account: Account
    tenant_id: int
    tenant: str


def receive(app: App, certificates: Certificates, body: bytes) -> Done:
    """One request of SNS. Raises Never, Again, or the database's own error when it is away."""
    message = sns_messages.read(body)
    owner = _owner(app, message.topic_arn)
    message.must_be_recent(app.now())
    key = certificates.key(message.certificate_address(), message.region, app.now())
    message.must_be_signed_by(key)
    if message.type == NOTIFICATION:
        return _take(app, owner, message)
    if _is_recorded(app, owner, message):
        return Done.KNOWN
    if message.type == SUBSCRIPTION:
        return _confirm(app, owner, message)
    return _end(app, owner, message)


def _owner(app: App, topic_arn: str) -> _Owner:
    """Anybody with an AWS account gets messages signed by SNS: only from a tenant's topic are they ours."""
    query = select(Account, Tenant.id, Tenant.slug).join(Tenant, Tenant.account_id == Account.id)
    with app.db.read() as session:
        row = session.execute(query.where(Tenant.topic_arn == topic_arn)).first()
    if row is None:
        raise Never("foreign topic")
    return _Owner(row[0], row[1], row[2])


def _take(app: App, owner: _Owner, message: SnsMessage) -> Done:
    """What nobody can read is parked: SNS would bring it again for an hour and then forget it."""
    try:
        events = parse(message.text)
    except UnreadableEvent as e:
        logger.warning("a notification of tenant %s is not readable: %s", owner.tenant, e)
        ingest(app, owner.account, [], [message.text])
        return Done.PARKED
    return done(ingest(app, owner.account, events)) if events else Done.IGNORED


def _confirm(app: App, owner: _Owner, message: SnsMessage) -> Done:
    """So that afterwards only an AWS principal may unsubscribe, not whoever finds a link."""
    try:
        arn = app.providers.queue(owner.account.region).confirm_subscription(
            message.topic_arn, message.fields["Token"]
        )
    except ProviderError as e:
        logger.warning("SNS did not confirm a subscription of tenant %s: %s", owner.tenant, e)
        raise (Never("not confirmed", 400) if e.code in _BAD_TOKEN else Again("not confirmed")) from e
    _record(app, owner, message, subscription=arn)
    return Done.CONFIRMED


def _end(app: App, owner: _Owner, message: SnsMessage) -> Done:
    """For the record alone: somebody with rights in the AWS account did it, and every topic also writes to
    the account's queue, whose silence has alerts of its own."""
    logger.warning("the HTTPS subscription of tenant %s's topic was ended", owner.tenant)
    _record(app, owner, message)
    return Done.ENDED


def _is_recorded(app: App, owner: _Owner, message: SnsMessage) -> bool:
    """Sent again, or played back while it is recent: nobody is asked and nothing is written once more."""
    query = select(AuditEntry.detail).where(
        AuditEntry.tenant_id == owner.tenant_id,
        AuditEntry.action == _ACTIONS[message.type],
        AuditEntry.at >= app.now() - OLDEST - NEWEST,
    )
    with app.db.read() as session:
        return any(detail.get("message") == message.fields["MessageId"] for detail in session.scalars(query))


def _record(app: App, owner: _Owner, message: SnsMessage, **detail: str) -> None:
    with app.db.begin() as session:
        audit.record(
            session,
            SYSTEM,
            _ACTIONS[message.type],
            f"tenant {owner.tenant}",
            at=app.now(),
            tenant_id=owner.tenant_id,
            message=message.fields["MessageId"],
            **detail,
        )
