"""What onboarding asks of SES: each operation at work, repeated, without its object, and refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.errors import Conflict, ProviderError, Throttled
from core.providers.base import EVENT_TYPES, AccessRequest, Outcome
from core.providers.queue import SqsQueue
from core.providers.ses import SesProvider
from core.providers.ses_answers import identity_state
from tests.contract.ses_mail import REGION, mail, ready_to_send
from tests.contract.wire import Wire
from tests.simulators import Simulator

DOMAIN = "acme-mail.io"
SET = "postyard-acme"
NO_TENANT = "arn:aws:ses:ap-southeast-1:000000000000:tenant/acme/tn-0"
REQUEST = AccessRequest(
    mail_type="MARKETING",
    website_url="https://acme-mail.io",
    use_case="A newsletter to people who asked for it.",
    contacts=("ops@acme-mail.io",),
)
Ask = Callable[[SesProvider], Any]

ASKS: dict[str, Ask] = {
    "PutAccountDetails": lambda ses: ses.request_production_access(REQUEST),
    "GetTenant": lambda ses: ses.find_tenant("acme"),
    "GetReputationEntity": lambda ses: ses.get_reputation(NO_TENANT),
    "UpdateReputationEntityPolicy": lambda ses: ses.set_reputation_policy(NO_TENANT, "strict"),
    "ListRecommendations": lambda ses: ses.list_findings(NO_TENANT),
    "ListTenantResources": lambda ses: ses.associations("acme"),
    "GetConfigurationSet": lambda ses: ses.has_configuration_set(SET),
    "GetConfigurationSetEventDestinations": lambda ses: ses.find_event_destination(SET),
    "GetEmailIdentity": lambda ses: ses.find_identity(DOMAIN),
    "PutEmailIdentityDkimSigningAttributes": lambda ses: ses.restart_verification(DOMAIN),
    "PutEmailIdentityMailFromAttributes": lambda ses: ses.set_mail_from(DOMAIN, f"bounce.{DOMAIN}"),
    "PutEmailIdentityConfigurationSetAttributes": lambda ses: ses.set_configuration_set(DOMAIN, SET),
    "TagResource": lambda ses: ses.tag_identity(DOMAIN, "acme"),
}


@pytest.fixture
def acme(ses: SesProvider) -> SesProvider:
    """SES with a tenant, its configuration set and a domain."""
    ses.create_tenant("acme")
    ses.create_configuration_set(SET)
    ses.create_identity(DOMAIN, SET, "acme")
    return ses


@pytest.mark.parametrize("operation", ASKS)
def test_what_iam_does_not_allow_is_a_sentence_and_never_a_thing_that_is_missing(
    ses: SesProvider, simulator: Simulator, operation: str
) -> None:
    fault = {"kind": "error", "operation": operation, "status": 403, "code": "AccessDeniedException"}
    simulator.faults(fault)
    with pytest.raises(ProviderError, match=f"do {operation}. Add it to their IAM policy") as caught:
        ASKS[operation](ses)
    assert caught.value.permanent


@pytest.mark.parametrize(
    "operation", ["GetReputationEntity", "ListTenantResources", "PutEmailIdentityMailFromAttributes"]
)
def test_what_needs_a_thing_says_when_it_is_missing(ses: SesProvider, operation: str) -> None:
    with pytest.raises(ProviderError, match="does not exist") as caught:
        ASKS[operation](ses)
    assert caught.value.code == "NotFoundException"


def test_what_ses_does_not_have_is_none(ses: SesProvider) -> None:
    assert ses.find_tenant("acme") is None
    assert ses.find_identity(DOMAIN) is None
    assert ses.has_configuration_set(SET) is False
    assert ses.find_event_destination(SET) is None
    ses.create_configuration_set(SET)
    assert ses.find_event_destination(SET) is None


def test_what_ses_has_is_found(acme: SesProvider) -> None:
    assert acme.find_tenant("acme") == acme.get_tenant("acme")
    assert acme.has_configuration_set(SET) is True
    found = acme.find_identity(DOMAIN)
    assert found is not None
    assert (found.verification_status, found.configuration_set, found.owner) == ("PENDING", SET, "acme")
    assert len(found.dkim_tokens) == 3


def test_a_key_that_somebody_brought_along_is_no_record_of_sess() -> None:
    brought = {"SigningAttributesOrigin": "EXTERNAL", "Status": "SUCCESS", "Tokens": ["selector1"]}
    assert identity_state({"DkimAttributes": brought}).dkim_tokens == ()


def test_a_complete_event_destination_is_told_from_one_somebody_changed(acme: SesProvider) -> None:
    queue = SqsQueue(REGION)
    topic = queue.create_topic("postyard-acme-events", queue.create_event_queue("postyard-events"))
    acme.create_event_destination(SET, topic)
    found = acme.find_event_destination(SET)
    assert found is not None
    assert (found.topic_arn, found.event_types, found.is_complete) == (topic, EVENT_TYPES, True)
    acme._control.update_configuration_set_event_destination(
        ConfigurationSetName=SET,
        EventDestinationName="postyard",
        EventDestination={
            "Enabled": True,
            "MatchingEventTypes": ["SEND", "BOUNCE"],
            "SnsDestination": {"TopicArn": topic},
        },
    )
    changed = acme.find_event_destination(SET)
    assert changed is not None
    assert changed.is_complete is False
    acme.create_event_destination(SET, topic)
    assert acme.find_event_destination(SET) == found


def test_a_tenants_associations_are_listed(acme: SesProvider) -> None:
    assert acme.associations("acme") == frozenset()
    wanted = frozenset({acme.identity_arn(DOMAIN), acme.configuration_set_arn(SET)})
    for arn in wanted:
        acme.associate("acme", arn)
    assert acme.associations("acme") == wanted


def test_every_page_of_associations_is_read_whatever_their_types_are_called(
    wire: Wire, ses_at_wire: SesProvider
) -> None:
    wire.says_in_turn(
        {"TenantResources": [{"ResourceType": "identity", "ResourceArn": "a"}], "NextToken": "2"},
        {"TenantResources": [{"ResourceType": "EMAIL_IDENTITY", "ResourceArn": "b"}]},
    )
    assert ses_at_wire.associations("acme") == {"a", "b"}
    assert [body for _, _, body in wire.requests] == [
        {"TenantName": "acme"},
        {"TenantName": "acme", "NextToken": "2"},
    ]


def test_the_reputation_policy_is_standard_until_it_is_set(ses: SesProvider) -> None:
    arn = ses.create_tenant("acme").arn
    assert ses.get_reputation(arn).policy == "standard"
    for policy in ("none", "strict", "strict"):
        ses.set_reputation_policy(arn, policy)
        assert ses.get_reputation(arn).policy == policy
    with pytest.raises(ProviderError, match="Invalid reputation policy"):
        ses.set_reputation_policy(arn, "kind")


def test_the_reputation_tells_who_paused_the_tenant(ses: SesProvider, simulator: Simulator) -> None:
    arn = ses.create_tenant("acme").arn
    state = ses.get_reputation(arn)
    assert (state.customer_status, state.aws_status, state.sending_status) == ("ENABLED",) * 3
    simulator.call(
        "POST", "/_sim/scenario", {"tenants": {"acme": {"aws_status": "DISABLED", "cause": "High bounces"}}}
    )
    state = ses.get_reputation(arn)
    assert (state.customer_status, state.aws_status, state.sending_status) == (
        "ENABLED",
        "DISABLED",
        "DISABLED",
    )
    assert state.aws_cause == "High bounces"


def test_open_findings_are_listed_until_they_are_fixed(ses: SesProvider, simulator: Simulator) -> None:
    arn = ses.create_tenant("acme").arn
    assert ses.list_findings(arn) == []
    bounces = {"type": "BOUNCE", "impact": "HIGH", "description": "The bounce rate exceeded 15.0%."}
    dmarc = {"type": "DMARC", "impact": "LOW", "description": "There is no DMARC record."}
    simulator.call("POST", "/_sim/tenants", {"name": "acme", "findings": [bounces, dmarc]})
    found = {each.type: each for each in ses.list_findings(arn)}
    assert (found["BOUNCE"].impact, found["BOUNCE"].description) == ("HIGH", bounces["description"])
    assert ses.get_reputation(arn).impact == "HIGH"
    simulator.call("POST", "/_sim/tenants", {"name": "acme", "findings": [{**bounces, "status": "FIXED"}]})
    assert [each.type for each in ses.list_findings(arn)] == ["DMARC"]


def test_every_page_of_open_findings_is_read(wire: Wire, ses_at_wire: SesProvider) -> None:
    first = {
        "Type": "BOUNCE",
        "Impact": "HIGH",
        "Description": "The bounce rate exceeded 15.0%.",
        "Status": "OPEN",
        "CreatedTimestamp": 1_790_000_000,
    }
    wire.says_in_turn({"Recommendations": [first], "NextToken": "2"}, {"Recommendations": [{"Type": "DKIM"}]})
    bounce, dkim = ses_at_wire.list_findings(NO_TENANT)
    assert (bounce.type, bounce.impact, bounce.description) == ("BOUNCE", "HIGH", first["Description"])
    assert bounce.opened_at == datetime.fromtimestamp(1_790_000_000, UTC)
    assert (dkim.type, dkim.opened_at) == ("DKIM", None)
    asked = {"Filter": {"RESOURCE_ARN": NO_TENANT, "STATUS": "OPEN"}}
    assert [body for _, _, body in wire.requests] == [asked, {**asked, "NextToken": "2"}]


def test_a_request_for_production_access_is_kept_and_a_second_one_waits(
    ses: SesProvider, simulator: Simulator
) -> None:
    simulator.scenario(account={"production_access": False})
    assert ses.get_account().access_request == {}
    ses.request_production_access(REQUEST)
    state = ses.get_account()
    assert state.access_request == REQUEST.as_json()
    assert (state.review_status, state.production_access) == ("PENDING", False)
    with pytest.raises(Conflict, match="still reviewing"):
        ses.request_production_access(REQUEST)
    simulator.scenario(account={"review": "GRANTED"})
    state = ses.get_account()
    assert (state.review_status, state.production_access) == ("GRANTED", True)
    assert state.review_case_id


def test_a_mail_from_domain_is_set_changed_and_taken_back(acme: SesProvider) -> None:
    for domain in (f"bounce.{DOMAIN}", f"bounce.{DOMAIN}", f"mail-from.{DOMAIN}"):
        acme.set_mail_from(DOMAIN, domain)
        found = acme.get_identity(DOMAIN)
        assert (found.mail_from_domain, found.mail_from_status) == (domain, "PENDING")
    acme.set_mail_from(DOMAIN, None)
    acme.set_mail_from(DOMAIN, None)
    found = acme.get_identity(DOMAIN)
    assert (found.mail_from_domain, found.mail_from_status) == (None, None)


def test_mail_goes_on_while_the_mail_from_domain_is_not_found(wire: Wire, ses_at_wire: SesProvider) -> None:
    ses_at_wire.set_mail_from(DOMAIN, f"bounce.{DOMAIN}")
    ses_at_wire.set_mail_from(DOMAIN, None)
    assert [body for _, _, body in wire.requests] == [
        {"MailFromDomain": f"bounce.{DOMAIN}", "BehaviorOnMxFailure": "USE_DEFAULT_VALUE"},
        {"BehaviorOnMxFailure": "USE_DEFAULT_VALUE"},
    ]


def test_ses_says_when_it_looked_and_what_it_found(acme: SesProvider) -> None:
    told = acme.get_identity(DOMAIN).verification_info
    assert told["error_type"] == "HOST_NOT_FOUND"
    looked_at = datetime.fromisoformat(told["last_checked_at"])
    assert looked_at.utcoffset() == timedelta(0)
    assert "last_success_at" not in told


def test_a_verification_ses_gave_up_begins_again_with_the_same_tokens(
    acme: SesProvider, simulator: Simulator
) -> None:
    tokens = acme.get_identity(DOMAIN).dkim_tokens
    simulator.advance_clock(73 * 3600)
    assert acme.get_identity(DOMAIN).verification_status == "FAILED"
    for _ in range(2):
        acme.restart_verification(DOMAIN)
        found = acme.get_identity(DOMAIN)
        assert (found.verification_status, found.dkim_tokens) == ("PENDING", tokens)


def test_the_older_apis_token_stays_the_same(acme: SesProvider) -> None:
    token = acme.verification_token(DOMAIN)
    assert token
    assert acme.verification_token(DOMAIN) == token
    assert acme.verification_token("globex-post.net") != token


@pytest.mark.parametrize(
    ("status", "code"), [(403, "AccessDenied"), (400, "InvalidAction"), (400, "UnknownOperationException")]
)
def test_credentials_that_may_not_ask_for_the_token_do_without(
    wire: Wire, ses_at_wire: SesProvider, status: int, code: str
) -> None:
    wire.says_text(status, refusal(code))
    assert ses_at_wire.verification_token(DOMAIN) is None
    [(_, _, asked)] = wire.requests
    assert f"Action=VerifyDomainIdentity&Version=2010-12-01&Domain={DOMAIN}" in asked


def test_any_other_refusal_of_the_token_is_told(wire: Wire, ses_at_wire: SesProvider) -> None:
    wire.says_text(400, refusal("InvalidParameterValue"))
    with pytest.raises(ProviderError, match="SES refused VerifyDomainIdentity: why"):
        ses_at_wire.verification_token(DOMAIN)


def refusal(code: str) -> str:
    return f"<ErrorResponse><Error><Code>{code}</Code><Message>why</Message></Error></ErrorResponse>"


@pytest.fixture
def ses_at_wire(wire: Wire) -> SesProvider:
    return SesProvider(REGION)


class Turns:
    """Counts who waits; refuses from the given turn on."""

    def __init__(self, refused_from: int = 1000) -> None:
        self.taken = 0
        self._refused_from = refused_from

    def __call__(self) -> None:
        self.taken += 1
        if self.taken >= self._refused_from:
            raise Throttled("Too much at once.")


def test_each_request_of_a_control_call_waits_for_its_turn(ses: SesProvider, simulator: Simulator) -> None:
    turns = Turns()
    paced = SesProvider(REGION, pace=turns)
    assert paced.caller_account_id()
    assert turns.taken == 0
    simulator.faults({"kind": "throttle", "operation": "GetAccount"})
    paced.get_account()
    assert turns.taken == 2
    paced.verification_token(DOMAIN)
    assert turns.taken == 3


def test_a_turn_too_far_away_is_told_at_once_and_nothing_is_asked(wire: Wire) -> None:
    turns = Turns(refused_from=1)
    with pytest.raises(Throttled, match=r"Too much at once\."):
        SesProvider(REGION, pace=turns).get_account()
    assert (turns.taken, wire.requests) == (1, [])


def test_mail_never_waits_for_a_turn(ses: SesProvider, simulator: Simulator) -> None:
    ready_to_send(ses, simulator)
    turns = Turns(refused_from=1)
    paced = SesProvider(REGION, pace=turns)
    results = [*paced.send_bulk(mail(2)), paced.send_one(mail(1))]
    assert [result.outcome for result in results] == [Outcome.ACCEPTED] * 3
    assert turns.taken == 0
