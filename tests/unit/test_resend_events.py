"""Resend's webhooks, read: one event per recipient, whatever it says and whatever it leaves out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.db.states import BounceType, EventType
from core.providers.base import ProviderEvent
from core.providers.resend_events import parse
from core.providers.ses_events import UnreadableEvent
from tests.signing import resend_event

TAGS = {"tenant": "acme", "campaign_id": "7", "msg_uid": "12-abc"}


def read(name: str, to: str = "Ann@Example.com", **values: Any) -> ProviderEvent:
    [event] = parse(resend_event(name, "e-1", to, **{"tags": TAGS, **values}).decode(), "msg_1")
    return event


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("email.sent", EventType.SEND),
        ("email.delivered", EventType.DELIVERY),
        ("email.complained", EventType.COMPLAINT),
        ("email.opened", EventType.OPEN),
        ("email.clicked", EventType.CLICK),
        ("email.delivery_delayed", EventType.DELIVERY_DELAY),
        ("email.failed", EventType.REJECT),
        ("email.bounced", EventType.BOUNCE),
        ("email.suppressed", EventType.BOUNCE),
        ("email.scheduled", EventType.OTHER),
        ("email.teleported", EventType.OTHER),
    ],
)
def test_each_type_is_one_of_ours(name: str, kind: EventType) -> None:
    event = read(name)

    assert (event.type, event.recipient, event.provider_message_id) == (kind, "ann@example.com", "e-1")
    assert (event.msg_uid, event.tenant_tag, event.topic_arn) == ("12-abc", "acme", None)
    assert event.occurred_at == datetime(2026, 5, 4, 9, 0, 5, 126000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "kind"),
    [("Permanent", BounceType.PERMANENT), ("Transient", BounceType.TRANSIENT),
     ("Undetermined", BounceType.UNDETERMINED), ("permanent", BounceType.PERMANENT),
     ("New", BounceType.UNDETERMINED), (None, BounceType.UNDETERMINED)],
)  # fmt: skip
def test_a_bounce_says_how_final_it_is(written: str | None, kind: BounceType) -> None:
    event = read(
        "email.bounced",
        bounce={
            "type": written,
            "subType": "General",
            "message": "Mailbox full",
            "diagnosticCode": ["smtp; 5"],
        },
    )

    assert (event.bounce_type, event.bounce_subtype, event.diagnostic) == (kind, "General", "smtp; 5")


def test_what_resend_did_not_send_for_its_own_list_counts_in_no_rate() -> None:
    event = read(
        "email.suppressed", suppressed={"message": "On the list", "type": "OnAccountSuppressionList"}
    )

    assert (event.bounce_type, event.bounce_subtype, event.counts_in_rates) == (
        BounceType.PERMANENT,
        "OnAccountSuppressionList",
        False,
    )


def test_a_click_says_what_and_when_and_with_which_program() -> None:
    click = {
        "ipAddress": "203.0.113.9",
        "link": "https://acme-mail.io/a",
        "timestamp": "2026-05-04T10:00:00Z",
        "userAgent": "Mozilla/5.0",
    }
    event = read("email.clicked", click=click)

    assert (event.link, event.ip_address, event.user_agent) == (
        click["link"],
        click["ipAddress"],
        click["userAgent"],
    )
    assert event.occurred_at == datetime(2026, 5, 4, 10, 0, tzinfo=UTC)


def test_tags_come_as_an_object_or_as_a_list() -> None:
    listed = [{"name": name, "value": value} for name, value in TAGS.items()]

    assert read("email.sent", tags=listed).msg_uid == read("email.sent").msg_uid == "12-abc"
    for tags in (None, [], {}, "x", [1], [{"name": 1}], {"msg_uid": 5}):
        assert read("email.sent", tags=tags).msg_uid is None


def test_delivered_again_it_is_the_same_and_otherwise_another() -> None:
    body = resend_event("email.opened", "e-1", "ann@example.com").decode()
    other = resend_event("email.clicked", "e-1", "ann@example.com").decode()

    [first], [again] = parse(body, "msg_1"), parse(body, "msg_1")
    [second_opening], [click] = parse(body, "msg_2"), parse(other, "msg_1")
    assert first.uid == again.uid
    assert len({first.uid, second_opening.uid, click.uid}) == 3


def test_several_recipients_are_several_events() -> None:
    events = parse(resend_event("email.sent", "e-1", "a@x.io", "B <b@X.io>", "a@x.io").decode(), "m")

    assert [event.recipient for event in events] == ["a@x.io", "b@x.io"]
    assert len({event.uid for event in events}) == 2


@pytest.mark.parametrize("name", ["domain.updated", "contact.created", "email.received", "suppression.added"])
def test_what_is_about_no_mail_of_ours_is_nothing(name: str) -> None:
    assert parse(json.dumps({"type": name, "data": {}}), "msg_1") == []


@pytest.mark.parametrize(
    "body",
    ["", "null", "[]", "{}", '{"type": 5}', '{"type": "email.sent"}', "{" * 9000,
     '{"type": "email.sent", "created_at": "2026-05-04T09:00:00Z", "data": {"to": ["a@x.io"]}}',
     '{"type": "email.sent", "created_at": "x", "data": {"to": ["a@x.io"], "email_id": "1"}}',
     '{"type": "email.sent", "created_at": "2026-05-04T09:00:00Z", "data": {"to": [], "email_id": "1"}}'],
)  # fmt: skip
def test_what_says_too_little_is_unreadable(body: str) -> None:
    with pytest.raises(UnreadableEvent):
        parse(body, "msg_1")


def test_an_id_that_no_index_takes_is_none() -> None:
    with pytest.raises(UnreadableEvent):
        parse(json.dumps({"type": "email.sent", "created_at": "2026-05-04T09:00:00Z",
                          "data": {"email_id": "e" * 257, "to": ["ann@example.com"]}}), "msg_1")  # fmt: skip


def test_hostile_text_is_cut_and_has_no_nul() -> None:
    event = read(
        "email.clicked",
        to="\0x@x.io",
        click={"link": "a\0" * 9000, "userAgent": "b" * 9000, "ipAddress": "c" * 99},
    )

    assert "\0" not in f"{event.recipient}{event.link}"
    assert (len(event.link or ""), len(event.user_agent or ""), len(event.ip_address or "")) == (
        2000,
        500,
        64,
    )


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
values = st.recursive(
    scalars, lambda each: st.lists(each) | st.dictionaries(st.text(max_size=8), each), max_leaves=8
)


@given(
    data=st.dictionaries(
        st.sampled_from(["email_id", "to", "tags", "bounce", "click", "created_at"]), values, max_size=6
    ),
    name=st.sampled_from(["email.bounced", "email.clicked", "email.sent"]) | st.text(max_size=10),
    created_at=values | st.just("2026-05-04T09:00:00Z"),
)
def test_nothing_else_is_ever_raised(data: dict[str, Any], name: str, created_at: Any) -> None:
    try:
        events = parse(json.dumps({"type": name, "created_at": created_at, "data": data}), "msg_1")
    except UnreadableEvent:
        return
    for event in events:
        assert event.occurred_at.tzinfo is not None
