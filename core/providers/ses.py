"""SES: Amazon SES v2 behind the contract of base.py. Facts: API reference v2 and botocore's own model."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import boto3
import orjson
from botocore.config import Config
from botocore.exceptions import ClientError

from core.errors import Conflict
from core.providers import ses_answers, ses_mail
from core.providers.aws_errors import SEND_FAILED, entry_result, error_code, may_not_call, translated
from core.providers.base import (
    EVENT_TYPES,
    AccessRequest,
    AccountState,
    BulkMail,
    EntryResult,
    EventDestination,
    IdentityState,
    Outcome,
    PlainMail,
    ReputationFinding,
    ReputationState,
    SuppressedPage,
    TenantState,
)
from core.providers.headers import forbidden
from core.providers.ses_bulk import BulkCalls

SEND_TIMEOUT_SECONDS = 15.0
EVENT_DESTINATION = "postyard"
SUPPRESSED_A_PAGE = 1000

# A tenant's bounces and complaints go on its own list at SES, and only that list is asked when it sends.
_OWN_SUPPRESSIONS: dict[str, Any] = {
    "SuppressedReasons": ["BOUNCE", "COMPLAINT"],
    "SuppressionScope": "TENANT",
}

logger = logging.getLogger(__name__)


class SesProvider:
    """One AWS region. Safe for threads. Making it reads the credentials' place but calls nobody.

    Every request of a control operation, botocore's own repetitions among them, asks `pace` first; what that
    raises comes out as it is. Mail is never paced here."""

    name = "ses"
    largest_call = 50

    def __init__(
        self,
        region: str,
        connections: int = 20,
        *,
        pace: Callable[[], None] | None = None,
        read_timeout_seconds: float = SEND_TIMEOUT_SECONDS,
    ) -> None:
        self.region = region
        self._pace = pace
        self._lock = threading.Lock()
        self._account_id: str | None = None
        self._older_client: Any = None
        with translated("SES"):
            self._session = boto3.Session(region_name=region)
            self._control = self._control_client("sesv2")
            self._sending = self._session.client(
                "sesv2", config=sending_config(connections, read_timeout_seconds)
            )
            self._bulk = BulkCalls(self._sending, self._session.get_credentials)

    def get_account(self) -> AccountState:
        with translated("SES"):
            return ses_answers.account_state(self._control.get_account())

    def caller_account_id(self) -> str:
        """Asked once: a session keeps its account."""
        with self._lock:
            if self._account_id is None:
                with translated("AWS STS"):
                    sts = self._session.client("sts", config=_control_config())
                    self._account_id = str(sts.get_caller_identity()["Account"])
            return self._account_id

    def request_production_access(self, request: AccessRequest) -> None:
        wanted: dict[str, Any] = {
            "MailType": request.mail_type,
            "WebsiteURL": request.website_url,
            "ContactLanguage": request.contact_language,
            "UseCaseDescription": request.use_case,
            "ProductionAccessEnabled": True,
        }
        if request.contacts:
            wanted["AdditionalContactEmailAddresses"] = list(request.contacts)
        with translated("SES"):
            try:
                self._control.put_account_details(**wanted)
            except ClientError as e:
                if error_code(e) != "ConflictException":
                    raise
                raise Conflict(
                    "AWS is still reviewing an earlier request for production access. "
                    "Wait for its answer, or write to its support case."
                ) from e

    def create_tenant(self, name: str) -> TenantState:
        with translated("SES"):
            if not _created(
                lambda: self._control.create_tenant(TenantName=name, SuppressionAttributes=_OWN_SUPPRESSIONS)
            ):
                self._control.put_tenant_suppression_attributes(TenantName=name, **_OWN_SUPPRESSIONS)
        return self.get_tenant(name)

    def get_tenant(self, name: str) -> TenantState:
        with translated("SES"):
            return ses_answers.tenant_state(self._control.get_tenant(TenantName=name)["Tenant"])

    def find_tenant(self, name: str) -> TenantState | None:
        with translated("SES"):
            said = _found(lambda: self._control.get_tenant(TenantName=name))
        return said and ses_answers.tenant_state(said["Tenant"])

    def get_reputation(self, tenant_arn: str) -> ReputationState:
        with translated("SES"):
            said = self._control.get_reputation_entity(**_entity(tenant_arn))
        return ses_answers.reputation_state(said.get("ReputationEntity", {}))

    def set_reputation_policy(self, tenant_arn: str, policy: str) -> None:
        partition = self._session.get_partition_for_region(self.region)
        arn = f"arn:{partition}:ses:{self.region}:aws:reputation-policy/{policy}"
        with translated("SES"):
            self._control.update_reputation_entity_policy(**_entity(tenant_arn), ReputationEntityPolicy=arn)

    def list_findings(self, tenant_arn: str) -> list[ReputationFinding]:
        wanted: dict[str, Any] = {"Filter": {"RESOURCE_ARN": tenant_arn, "STATUS": "OPEN"}}
        found: list[ReputationFinding] = []
        while True:
            with translated("SES"):
                page = self._control.list_recommendations(**wanted)
            found += map(ses_answers.reputation_finding, page.get("Recommendations", ()))
            if not page.get("NextToken"):
                return found
            wanted["NextToken"] = page["NextToken"]

    def list_suppressed(self, tenant_name: str | None, after: str | None = None) -> SuppressedPage:
        wanted: dict[str, Any] = {**_list_of(tenant_name), "PageSize": SUPPRESSED_A_PAGE}
        wanted |= {"NextToken": after} if after else {}
        with translated("SES"):
            return ses_answers.suppressed_page(self._control.list_suppressed_destinations(**wanted))

    def put_suppressed(self, tenant_name: str | None, address: str, reason: str) -> None:
        wanted = {"EmailAddress": address, "Reason": reason, **_list_of(tenant_name)}
        with translated("SES"):
            self._control.put_suppressed_destination(**wanted)

    def release_suppressed(self, tenant_name: str | None, address: str) -> None:
        gone = {"EmailAddress": address, **_list_of(tenant_name)}
        with translated("SES"):
            _found(lambda: self._control.delete_suppressed_destination(**gone))

    def set_tenant_sending(self, arn: str, *, enabled: bool) -> None:
        """Our own of SES's three statuses. REINSTATED, which sends despite open findings, only where AWS
        itself has paused the tenant."""
        status = self._enabling_status(arn) if enabled else "DISABLED"
        with translated("SES"):
            self._control.update_reputation_entity_customer_managed_status(
                **_entity(arn), SendingStatus=status
            )

    def associate(self, tenant_name: str, resource_arn: str) -> None:
        with translated("SES"):
            _created(
                lambda: self._control.create_tenant_resource_association(
                    TenantName=tenant_name, ResourceArn=resource_arn
                )
            )

    def associations(self, tenant_name: str) -> frozenset[str]:
        # Without a filter: the wire knows other resource types than botocore's model, and refuses the latter.
        with translated("SES"):
            pages = self._control.get_paginator("list_tenant_resources").paginate(TenantName=tenant_name)
            return frozenset(row["ResourceArn"] for page in pages for row in page.get("TenantResources", ()))

    def create_configuration_set(self, name: str) -> str:
        with translated("SES"):
            _created(lambda: self._control.create_configuration_set(ConfigurationSetName=name))
        return self.configuration_set_arn(name)

    def has_configuration_set(self, name: str) -> bool:
        with translated("SES"):
            said = _found(lambda: self._control.get_configuration_set(ConfigurationSetName=name))
        return said is not None

    def configuration_set_arn(self, name: str) -> str:
        return self._arn(f"configuration-set/{name}")

    def create_event_destination(self, configuration_set: str, topic_arn: str) -> None:
        """All ten event types to the topic; one that exists is pointed at it."""
        wanted = {
            "ConfigurationSetName": configuration_set,
            "EventDestinationName": EVENT_DESTINATION,
            "EventDestination": {
                "Enabled": True,
                "MatchingEventTypes": sorted(EVENT_TYPES),
                "SnsDestination": {"TopicArn": topic_arn},
            },
        }
        with translated("SES"):
            if not _created(lambda: self._control.create_configuration_set_event_destination(**wanted)):
                self._control.update_configuration_set_event_destination(**wanted)

    def find_event_destination(self, configuration_set: str) -> EventDestination | None:
        with translated("SES"):
            said = _found(
                lambda: self._control.get_configuration_set_event_destinations(
                    ConfigurationSetName=configuration_set
                )
            )
        for destination in (said or {}).get("EventDestinations", ()):
            if destination["Name"] == EVENT_DESTINATION:
                return ses_answers.event_destination(destination)
        return None

    def create_identity(self, name: str, configuration_set: str, owner: str) -> bool:
        wanted = {"EmailIdentity": name, "ConfigurationSetName": configuration_set, "Tags": [_tag(owner)]}
        with translated("SES"):
            return _created(lambda: self._control.create_email_identity(**wanted))

    def tag_identity(self, name: str, owner: str) -> None:
        arn = self.identity_arn(name)
        with translated("SES"):
            self._control.tag_resource(ResourceArn=arn, Tags=[_tag(owner)])

    def set_configuration_set(self, identity: str, configuration_set: str) -> None:
        with translated("SES"):
            self._control.put_email_identity_configuration_set_attributes(
                EmailIdentity=identity, ConfigurationSetName=configuration_set
            )

    def get_identity(self, name: str) -> IdentityState:
        with translated("SES"):
            return ses_answers.identity_state(self._control.get_email_identity(EmailIdentity=name))

    def find_identity(self, name: str) -> IdentityState | None:
        with translated("SES"):
            said = _found(lambda: self._control.get_email_identity(EmailIdentity=name))
        return None if said is None else ses_answers.identity_state(said)

    def verification_token(self, domain: str) -> str | None:
        with translated("SES"):
            try:
                return str(self._older_api().verify_domain_identity(Domain=domain)["VerificationToken"])
            except ClientError as e:
                if not may_not_call(e):
                    raise
                logger.info("no verification token for %s: %s", domain, e)
                return None

    def restart_verification(self, domain: str) -> None:
        with translated("SES"):
            self._control.put_email_identity_dkim_signing_attributes(
                EmailIdentity=domain, SigningAttributesOrigin="AWS_SES"
            )

    def set_mail_from(self, identity: str, domain: str | None) -> None:
        # REJECT_MESSAGE would refuse all mail until SES has found the records.
        wanted = {"EmailIdentity": identity, "BehaviorOnMxFailure": "USE_DEFAULT_VALUE"}
        if domain is not None:
            wanted["MailFromDomain"] = domain
        with translated("SES"):
            self._control.put_email_identity_mail_from_attributes(**wanted)

    def delete_identity(self, name: str, tenant_name: str) -> None:
        arn = self.identity_arn(name)
        with translated("SES"):
            _found(
                lambda: self._control.delete_tenant_resource_association(
                    TenantName=tenant_name, ResourceArn=arn
                )
            )
            _found(lambda: self._control.delete_email_identity(EmailIdentity=name))

    def identity_arn(self, name: str) -> str:
        return self._arn(f"identity/{name}")

    def send_bulk(self, mail: BulkMail) -> list[EntryResult]:
        if reason := forbidden(mail):
            return [EntryResult(Outcome.REFUSED, code="INVALID_PARAMETER", reason=reason)] * len(mail.entries)
        try:
            answer = self._bulk.send(orjson.dumps(ses_mail.bulk_request(mail)))
        except SEND_FAILED as e:
            return [entry_result(e)] * len(mail.entries)
        results = answer.get("BulkEmailEntryResults") or []
        if len(results) != len(mail.entries):
            reason = (
                f"SES gave {len(results)} answers for {len(mail.entries)} recipients; its events will tell."
            )
            return [EntryResult(Outcome.UNKNOWN, reason=reason)] * len(mail.entries)
        return [ses_mail.bulk_entry_result(result) for result in results]

    def send_one(self, mail: BulkMail) -> EntryResult:
        if reason := forbidden(mail):
            return EntryResult(Outcome.REFUSED, code="INVALID_PARAMETER", reason=reason)
        return self._sent(ses_mail.single_request(mail))

    def send_plain(self, mail: PlainMail) -> EntryResult:
        return self._sent(ses_mail.plain_request(mail))

    def _sent(self, request: dict[str, Any]) -> EntryResult:
        try:
            answer = self._sending.send_email(**request)
        except SEND_FAILED as e:
            return entry_result(e)
        if not answer.get("MessageId"):
            return EntryResult(
                Outcome.UNKNOWN, reason="SES answered without a message id; its events will tell."
            )
        return EntryResult(Outcome.ACCEPTED, provider_message_id=answer["MessageId"])

    def _enabling_status(self, arn: str) -> str:
        return "REINSTATED" if self.get_reputation(arn).aws_status == "DISABLED" else "ENABLED"

    def _arn(self, resource: str) -> str:
        partition = self._session.get_partition_for_region(self.region)
        return f"arn:{partition}:ses:{self.region}:{self.caller_account_id()}:{resource}"

    def _older_api(self) -> Any:
        """SES v1, made when first asked for: few calls need it."""
        with self._lock:
            if self._older_client is None:
                self._older_client = self._control_client("ses")
            return self._older_client

    def _control_client(self, service: str) -> Any:
        client = self._session.client(service, config=_control_config())
        if pace := self._pace:
            # Before every HTTP request. It is signed by then: AWS takes a signature for five minutes.
            client.meta.events.register("before-send", lambda **_: pace())
        return client


def _entity(tenant_arn: str) -> dict[str, str]:
    return {"ReputationEntityType": "RESOURCE", "ReputationEntityReference": tenant_arn}


def _list_of(tenant_name: str | None) -> dict[str, str]:
    """Whose suppression list: without a tenant the account's."""
    return {} if tenant_name is None else {"TenantName": tenant_name}


def _tag(owner: str) -> dict[str, str]:
    return {"Key": ses_answers.OWNER_TAG, "Value": owner}


def _created(call: Callable[[], Any]) -> bool:
    """False when it exists already."""
    try:
        call()
    except ClientError as e:
        if error_code(e) != "AlreadyExistsException":
            raise
        return False
    return True


def _found(call: Callable[[], Any]) -> Any:
    """The call's answer; None when there is no such thing (any more)."""
    try:
        return call()
    except ClientError as e:
        if error_code(e) != "NotFoundException":
            raise
        return None


def _control_config() -> Config:
    # Reads and idempotent creations: botocore may repeat them.
    return Config(retries={"mode": "standard", "total_max_attempts": 3}, connect_timeout=3, read_timeout=10)


def sending_config(connections: int, read_timeout_seconds: float) -> Config:
    # SES has no idempotency token, so no call is repeated below us: a time-out repeated is a second mail.
    # Validating 50 entries costs more than sending them; the contract tests do it instead.
    return Config(
        retries={"total_max_attempts": 1},
        parameter_validation=False,
        max_pool_connections=connections,
        connect_timeout=3,
        read_timeout=read_timeout_seconds,
        tcp_keepalive=True,
    )
