"""SES answers: what SES says about accounts, tenants and identities, in the words of base.py. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from core.providers.base import (
    AccessRequest,
    AccountState,
    EventDestination,
    IdentityState,
    ReputationFinding,
    ReputationState,
    Suppressed,
    SuppressedPage,
    TenantState,
)

DEFAULT_SIGNING_ZONE = "dkim.amazonses.com"
OWNER_TAG = "postyard:tenant"  # letters, digits, white space and _ . : / = + - are allowed
OWN_KEY = "EXTERNAL"  # Bring Your Own DKIM: its token is a selector, which no CNAME of SES's stands behind


def account_state(said: dict[str, Any]) -> AccountState:
    quota, details = said.get("SendQuota", {}), said.get("Details", {})
    review = details.get("ReviewDetails", {})
    return AccountState(
        max_send_rate=float(quota.get("MaxSendRate", 1.0)),
        max_24_hour_send=float(quota.get("Max24HourSend", 200.0)),
        sent_last_24_hours=float(quota.get("SentLast24Hours", 0.0)),
        production_access=bool(said.get("ProductionAccessEnabled", False)),
        sending_enabled=bool(said.get("SendingEnabled", False)),
        enforcement_status=str(said.get("EnforcementStatus", "HEALTHY")),
        review_status=review.get("Status"),
        review_case_id=review.get("CaseId"),
        access_request=_access_request(details).as_json() if details else {},
    )


def _access_request(details: dict[str, Any]) -> AccessRequest:
    return AccessRequest(
        mail_type=details.get("MailType", ""),
        website_url=details.get("WebsiteURL", ""),
        use_case=details.get("UseCaseDescription", ""),
        contact_language=details.get("ContactLanguage", "EN"),
        contacts=tuple(details.get("AdditionalContactEmailAddresses", ())),
    )


def tenant_state(tenant: dict[str, Any]) -> TenantState:
    own = tenant.get("SuppressionAttributes", {})
    return TenantState(
        tenant_id=tenant["TenantId"],
        arn=tenant["TenantArn"],
        sending_status=tenant.get("SendingStatus", "ENABLED"),
        own_suppressions=own.get("SuppressionScope") == "TENANT"
        and {"BOUNCE", "COMPLAINT"} <= set(own.get("SuppressedReasons", ())),
    )


def suppressed_page(said: dict[str, Any]) -> SuppressedPage:
    rows = said.get("SuppressedDestinationSummaries", ())
    entries = tuple(
        Suppressed(row["EmailAddress"], row["Reason"], row["LastUpdateTime"].astimezone(UTC)) for row in rows
    )
    return SuppressedPage(entries, said.get("NextToken"))


def reputation_state(entity: dict[str, Any]) -> ReputationState:
    by_customer, by_aws = entity.get("CustomerManagedStatus", {}), entity.get("AwsSesManagedStatus", {})
    return ReputationState(
        # …:reputation-policy/standard. An entity that names none is under none.
        policy=entity.get("ReputationManagementPolicy", "").rpartition("/")[2] or "none",
        customer_status=by_customer.get("Status", "ENABLED"),
        aws_status=by_aws.get("Status", "ENABLED"),
        aws_cause=by_aws.get("Cause", ""),
        sending_status=entity.get("SendingStatusAggregate", "ENABLED"),
        impact=entity.get("ReputationImpact"),
    )


def reputation_finding(said: dict[str, Any]) -> ReputationFinding:
    return ReputationFinding(
        type=said.get("Type", ""),
        description=said.get("Description", ""),
        impact=said.get("Impact", ""),
        opened_at=_utc(said.get("CreatedTimestamp")),
    )


def event_destination(said: dict[str, Any]) -> EventDestination:
    return EventDestination(
        topic_arn=said.get("SnsDestination", {}).get("TopicArn"),
        event_types=frozenset(said.get("MatchingEventTypes", ())),
        enabled=bool(said.get("Enabled", False)),
    )


def identity_state(said: dict[str, Any]) -> IdentityState:
    dkim, mail_from = said.get("DkimAttributes", {}), said.get("MailFromAttributes", {})
    checked = said.get("VerificationInfo", {})
    return IdentityState(
        verification_status=said.get("VerificationStatus", "PENDING"),
        verified_for_sending=bool(said.get("VerifiedForSendingStatus", False)),
        dkim_status=dkim.get("Status", "NOT_STARTED"),
        dkim_tokens=() if dkim.get("SigningAttributesOrigin") == OWN_KEY else tuple(dkim.get("Tokens", ())),
        signing_hosted_zone=dkim.get("SigningHostedZone") or DEFAULT_SIGNING_ZONE,
        mail_from_domain=mail_from.get("MailFromDomain") or None,
        mail_from_status=mail_from.get("MailFromDomainStatus") or None,
        error_type=checked.get("ErrorType"),
        configuration_set=said.get("ConfigurationSetName") or None,
        owner=next((tag["Value"] for tag in said.get("Tags", ()) if tag["Key"] == OWNER_TAG), None),
        verification_info=_verification_info(checked),
    )


def _verification_info(checked: dict[str, Any]) -> dict[str, Any]:
    said = {
        "last_checked_at": _iso(checked.get("LastCheckedTimestamp")),
        "last_success_at": _iso(checked.get("LastSuccessTimestamp")),
        "error_type": checked.get("ErrorType"),
        "primary_name_server": checked.get("SOARecord", {}).get("PrimaryNameServer"),
    }
    return {name: value for name, value in said.items() if value}


def _iso(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at else None


def _utc(at: datetime | None) -> datetime | None:
    return at.astimezone(UTC) if at else None  # botocore gives the machine's own zone
