"""SES's adapter against the simulator: what it makes and reads, and what becomes of the mail it sends."""

from __future__ import annotations

import pytest

from core.errors import ProviderError
from core.providers.base import Outcome
from core.providers.queue import SqsQueue
from core.providers.ses import SesProvider
from tests.contract.ses_mail import REGION, mail, ready_to_send
from tests.simulators import Simulator


def test_everything_that_is_made_twice_is_the_same(ses: SesProvider) -> None:
    assert ses.create_tenant("acme") == ses.create_tenant("acme") == ses.get_tenant("acme")
    arn = ses.create_configuration_set("postyard-acme")
    assert ses.create_configuration_set("postyard-acme") == arn
    assert arn.endswith(f":{ses.caller_account_id()}:configuration-set/postyard-acme")
    queue = SqsQueue(REGION)
    topic = queue.create_topic("postyard-acme-events", queue.create_event_queue("postyard-events"))
    ses.create_event_destination("postyard-acme", topic)
    ses.create_event_destination("postyard-acme", topic)
    ses.associate("acme", arn)
    ses.associate("acme", arn)
    assert ses.create_identity("acme-mail.io", "postyard-acme", "acme")
    first = ses.get_identity("acme-mail.io")
    assert len(first.dkim_tokens) == 3
    assert (first.verification_status, first.verified_for_sending) == ("PENDING", False)


def test_an_identity_that_the_account_has_stays_as_it_is(ses: SesProvider) -> None:
    ses.create_configuration_set("postyard-acme")
    ses.create_configuration_set("postyard-globex")
    ses.create_identity("acme-mail.io", "postyard-acme", "acme")
    first = ses.get_identity("acme-mail.io")
    assert not ses.create_identity("acme-mail.io", "postyard-globex", "globex")
    same = ses.get_identity("acme-mail.io")
    assert (same.owner, same.configuration_set, same.dkim_tokens) == (
        "acme",
        "postyard-acme",
        first.dkim_tokens,
    )
    ses.tag_identity("acme-mail.io", "globex")
    ses.set_configuration_set("acme-mail.io", "postyard-globex")
    moved = ses.get_identity("acme-mail.io")
    assert (moved.owner, moved.configuration_set) == ("globex", "postyard-globex")
    assert moved.dkim_tokens == first.dkim_tokens


def test_an_identity_that_is_gone_can_be_deleted_again(ses: SesProvider) -> None:
    ses.create_tenant("acme")
    ses.create_configuration_set("postyard-acme")
    ses.create_identity("acme-mail.io", "postyard-acme", "acme")
    ses.associate("acme", ses.identity_arn("acme-mail.io"))
    ses.delete_identity("acme-mail.io", "acme")
    ses.delete_identity("acme-mail.io", "acme")
    with pytest.raises(ProviderError) as caught:
        ses.get_identity("acme-mail.io")
    assert caught.value.code == "NotFoundException"


def test_ses_is_told_that_a_tenant_is_paused_and_resumed(ses: SesProvider) -> None:
    arn = ses.create_tenant("acme").arn
    ses.set_tenant_sending(arn, enabled=False)
    assert ses.get_tenant("acme").sending_status == "DISABLED"
    ses.set_tenant_sending(arn, enabled=True)
    assert ses.get_tenant("acme").sending_status == "ENABLED"


def test_the_quota_is_read(ses: SesProvider, simulator: Simulator) -> None:
    simulator.scenario(account={"max_send_rate": 14, "max_24_hour_send": 50_000, "production_access": False})
    state = ses.get_account()
    assert (state.max_send_rate, state.max_24_hour_send, state.production_access) == (14, 50_000, False)
    assert (state.sending_enabled, state.enforcement_status) == (True, "HEALTHY")


def test_an_association_that_is_missing_pauses_instead_of_failing(
    ses: SesProvider, simulator: Simulator
) -> None:
    ready_to_send(ses, simulator)
    ses.create_tenant("globex")
    result = ses.send_one(mail(1, tenant_name="globex"))
    assert result.outcome is Outcome.PAUSED
    assert result.account_wide is False


def test_a_paused_tenant_is_refused_by_ses_itself(ses: SesProvider, simulator: Simulator) -> None:
    ready_to_send(ses, simulator)
    ses.set_tenant_sending(ses.get_tenant("acme").arn, enabled=False)
    [result] = ses.send_bulk(mail(1))
    assert (result.outcome, result.account_wide) == (Outcome.PAUSED, False)
