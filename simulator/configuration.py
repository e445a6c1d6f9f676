"""Account, configuration sets and event destinations."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from simulator.errors import SesError, already_exists, bad_request, not_found
from simulator.paging import page
from simulator.state import Account, ConfigurationSet
from simulator.tenants import refuse_while_associated

if TYPE_CHECKING:
    from simulator.world import Call, World

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TARGETS = (
    "SnsDestination",
    "EventBridgeDestination",
    "KinesisFirehoseDestination",
    "CloudWatchDestination",
    "PinpointDestination",
)
_KEPT_OPTIONS = ("TrackingOptions", "DeliveryOptions", "ReputationOptions", "VdmOptions", "ArchivingOptions")
MAX_DESTINATIONS = 10
PENDING = "PENDING"
GRANTED = "GRANTED"
REVIEWS = (PENDING, GRANTED, "DENIED", "FAILED")
REVIEW_SECONDS = 60.0
SANDBOX_LIMITS = {"max_send_rate": 1.0, "max_24_hour_send": 200.0}  # developer guide, "Production access"
FIRST_LIMITS = {"max_send_rate": 14.0, "max_24_hour_send": 50_000.0}  # at the least, once it is granted
_FIRST_CASE = 170_000_000_000
_DETAILS = (
    "MailType",
    "WebsiteURL",
    "ContactLanguage",
    "UseCaseDescription",
    "AdditionalContactEmailAddresses",
)
VALIDATED = "Successfully validated SNS topic for Amazon SES event publishing."


def get(world: World, name: str) -> ConfigurationSet:
    row = world.configuration_sets.get(name)
    if row is None:
        raise not_found(f"Configuration set <{name}> does not exist.")
    return row


def get_account(world: World, call: Call) -> dict[str, Any]:
    account = world.account
    _end_review(world)
    answer: dict[str, Any] = {
        "DedicatedIpAutoWarmupEnabled": False,
        "EnforcementStatus": account.enforcement_status,
        "ProductionAccessEnabled": account.production_access,
        "SendingEnabled": account.sending_enabled,
        "SendQuota": {
            "Max24HourSend": float(account.max_24_hour_send),
            "MaxSendRate": float(account.max_send_rate),
            "SentLast24Hours": float(world.limits.sent_last_24_hours(world.clock.now())),
        },
        "SuppressionAttributes": {"SuppressedReasons": account.suppressed_reasons},
        "VdmAttributes": {"VdmEnabled": "DISABLED"},
    }
    if account.details:
        review = {"Status": account.review or GRANTED, "CaseId": f"{_FIRST_CASE + account.reviews}"}
        answer["Details"] = {**account.details, "ReviewDetails": review}
    return answer


def _end_review(world: World) -> None:
    account = world.account
    if account.review_until and world.clock.now() >= account.review_until:
        decide_review(account, GRANTED)
        world.save_account()


def decide_review(account: Account, decision: str) -> None:
    account.review, account.review_until = decision, None
    if decision == GRANTED:
        least = {name: limit for name, limit in FIRST_LIMITS.items() if name not in account.limits_before}
        leave_sandbox(account)
        for name, limit in least.items():
            setattr(account, name, max(getattr(account, name), limit))


def enter_sandbox(account: Account, given: Collection[str]) -> None:
    """With AWS's limits for it, but for those that were `given`."""
    account.production_access = False
    for name, limit in SANDBOX_LIMITS.items():
        if name not in given:
            account.limits_before[name] = getattr(account, name)
            setattr(account, name, limit)


def leave_sandbox(account: Account, given: Collection[str] = ()) -> None:
    """With the limits from before it, but for those that were `given`."""
    account.production_access = True
    for name, limit in account.limits_before.items():
        if name not in given:
            setattr(account, name, limit)
    account.limits_before = {}


def put_account_details(world: World, call: Call) -> dict[str, Any]:
    """Asks for production access: under review for a minute, then granted, unless the control API decides."""
    account = world.account
    _end_review(world)
    if account.review == PENDING:
        raise SesError("ConflictException", "An account review is in progress.")
    account.details = {name: call.input[name] for name in _DETAILS if name in call.input}
    if not account.production_access and call.input.get("ProductionAccessEnabled") is not False:
        account.review, account.review_until = PENDING, world.clock.now() + REVIEW_SECONDS
        account.reviews += 1
    world.save_account()
    return {}


def put_account_sending_attributes(world: World, call: Call) -> dict[str, Any]:
    world.account.sending_enabled = bool(call.input.get("SendingEnabled"))
    world.save_account()
    return {}


def put_account_suppression_attributes(world: World, call: Call) -> dict[str, Any]:
    world.account.suppressed_reasons = call.input.get("SuppressedReasons") or []
    world.save_account()
    return {}


def create_configuration_set(world: World, call: Call) -> dict[str, Any]:
    name = call.input["ConfigurationSetName"]
    if not _NAME.fullmatch(name):
        raise bad_request(
            "Configuration set name must be 1 to 64 characters: letters, numbers, hyphens and underscores."
        )
    if name in world.configuration_sets:
        raise already_exists(f"Configuration set <{name}> already exists.")
    row = ConfigurationSet(
        name=name,
        created_at=world.clock.now(),
        sending_enabled=(call.input.get("SendingOptions") or {}).get("SendingEnabled", True),
        options={key: call.input[key] for key in _KEPT_OPTIONS if call.input.get(key)},
        tags=call.input.get("Tags") or [],
    )
    _set_suppression(row, call.input.get("SuppressionOptions") or {})
    world.configuration_sets.put(name, row)
    return {}


def _set_suppression(row: ConfigurationSet, given: dict[str, Any]) -> None:
    row.suppressed_reasons = given.get("SuppressedReasons")
    row.suppression_scope = given.get("SuppressionScope")


def get_configuration_set(world: World, call: Call) -> dict[str, Any]:
    row = get(world, call.input["ConfigurationSetName"])
    answer = {
        "ConfigurationSetName": row.name,
        "Tags": row.tags,
        "SendingOptions": {"SendingEnabled": row.sending_enabled},
        "ReputationOptions": {"ReputationMetricsEnabled": False},
        **row.options,
    }
    if row.suppressed_reasons is not None:
        options: dict[str, Any] = {"SuppressedReasons": row.suppressed_reasons}
        if row.suppression_scope:
            options["SuppressionScope"] = row.suppression_scope
        answer["SuppressionOptions"] = options
    return answer


def delete_configuration_set(world: World, call: Call) -> dict[str, Any]:
    row = get(world, call.input["ConfigurationSetName"])
    refuse_while_associated(world, call.arn(f"configuration-set/{row.name}"))
    world.configuration_sets.remove(row.name)
    return {}


def list_configuration_sets(world: World, call: Call) -> dict[str, Any]:
    return page(call, [row.name for row in world.configuration_sets], "ConfigurationSets", 50)


def put_suppression_options(world: World, call: Call) -> dict[str, Any]:
    row = get(world, call.input["ConfigurationSetName"])
    _set_suppression(row, call.input)
    world.configuration_sets.put(row.name, row)
    return {}


def put_sending_options(world: World, call: Call) -> dict[str, Any]:
    row = get(world, call.input["ConfigurationSetName"])
    row.sending_enabled = bool(call.input.get("SendingEnabled"))
    world.configuration_sets.put(row.name, row)
    return {}


def create_event_destination(world: World, call: Call) -> dict[str, Any]:
    row = get(world, call.input["ConfigurationSetName"])
    name = call.input["EventDestinationName"]
    if any(each["Name"] == name for each in row.destinations):
        raise already_exists(f"Event destination <{name}> already exists in configuration set <{row.name}>.")
    if len(row.destinations) >= MAX_DESTINATIONS:
        raise SesError(
            "LimitExceededException", f"Configuration set <{row.name}> has {MAX_DESTINATIONS} destinations."
        )
    destination = _destination(world, call, name)
    row.destinations.append(destination)
    world.configuration_sets.put(row.name, row)
    _greet(world, destination)
    return {}


def _destination(world: World, call: Call, name: str) -> dict[str, Any]:
    given = call.input["EventDestination"]
    targets = [target for target in _TARGETS if given.get(target)]
    if len(targets) != 1:
        raise bad_request("An event destination must have exactly one destination type.")
    if not given.get("MatchingEventTypes"):
        raise bad_request("An event destination must name at least one matching event type.")
    if targets[0] == "SnsDestination" and not world.bus.topic_exists(given["SnsDestination"]["TopicArn"]):
        raise bad_request(f"SNS topic <{given['SnsDestination']['TopicArn']}> not found.")
    if targets[0] == "EventBridgeDestination" and not given[targets[0]]["EventBusArn"].endswith("/default"):
        raise bad_request("Only the default event bus is supported.")
    return {
        "Name": name,
        "Enabled": bool(given.get("Enabled")),
        "MatchingEventTypes": given["MatchingEventTypes"],
        targets[0]: given[targets[0]],
    }


def _greet(world: World, destination: dict[str, Any]) -> None:
    """SES tests a new SNS destination with a message that is no JSON."""
    if "SnsDestination" in destination:
        topic = destination["SnsDestination"]["TopicArn"]
        world.outbox.add([(world.clock.now(), topic, "", VALIDATED)])


def _position(row: ConfigurationSet, call: Call) -> int:
    name = call.input["EventDestinationName"]
    for number, each in enumerate(row.destinations):
        if each["Name"] == name:
            return number
    raise not_found(f"Event destination <{name}> does not exist in configuration set <{row.name}>.")


def get_event_destinations(world: World, call: Call) -> dict[str, Any]:
    return {"EventDestinations": get(world, call.input["ConfigurationSetName"]).destinations}


def update_event_destination(world: World, call: Call) -> dict[str, Any]:
    row = get(world, call.input["ConfigurationSetName"])
    number = _position(row, call)
    row.destinations[number] = _destination(world, call, call.input["EventDestinationName"])
    world.configuration_sets.put(row.name, row)
    return {}


def delete_event_destination(world: World, call: Call) -> dict[str, Any]:
    row = get(world, call.input["ConfigurationSetName"])
    del row.destinations[_position(row, call)]
    world.configuration_sets.put(row.name, row)
    return {}


OPERATIONS = {
    "GetAccount": get_account,
    "PutAccountDetails": put_account_details,
    "PutAccountSendingAttributes": put_account_sending_attributes,
    "PutAccountSuppressionAttributes": put_account_suppression_attributes,
    "CreateConfigurationSet": create_configuration_set,
    "GetConfigurationSet": get_configuration_set,
    "DeleteConfigurationSet": delete_configuration_set,
    "ListConfigurationSets": list_configuration_sets,
    "PutConfigurationSetSuppressionOptions": put_suppression_options,
    "PutConfigurationSetSendingOptions": put_sending_options,
    "CreateConfigurationSetEventDestination": create_event_destination,
    "GetConfigurationSetEventDestinations": get_event_destinations,
    "UpdateConfigurationSetEventDestination": update_event_destination,
    "DeleteConfigurationSetEventDestination": delete_event_destination,
}
