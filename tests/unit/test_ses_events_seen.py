"""What SES says of who opened or clicked, in every envelope, and what strangers write into it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.db.states import EventType
from core.providers.ses_events import MAX_IP_ADDRESS, MAX_LINK, MAX_USER_AGENT, parse
from tests.unit.test_ses_events import in_sns, one, sample

HOSTILE = "<img src=x onerror=alert(1)>"


def opened(**values: Any) -> dict[str, Any]:
    record = sample("open")
    return {**record, "open": {**record["open"], **values}}


def test_an_open_says_with_what_from_where_and_what_ses_thinks() -> None:
    event = one(sample("open"))
    assert event.user_agent is not None
    assert event.user_agent.endswith("(via ggpht.com GoogleImageProxy)")
    assert (event.ip_address, event.bot_likely, event.link) == ("66.102.8.97", False, None)


def test_a_click_says_its_link_too() -> None:
    record = sample("click")
    for body in (
        json.dumps(record),
        in_sns(record),
        json.dumps({"detail-type": "Email Clicked", "detail": record}),
    ):
        [event] = parse(body)
        assert event.type is EventType.CLICK
        assert (event.link, event.bot_likely) == ("https://acme.example/offer?u=1", True)
        assert (event.user_agent, event.ip_address) == ("Mozilla/5.0 ...", "192.0.2.1")


@pytest.mark.parametrize(
    ("written", "read"),
    [("Likely", True), ("Unlikely", False), ("", None), ("Perhaps", None), (None, None), (["Likely"], None)],
)
def test_a_word_that_ses_adds_some_day_is_no_word_about_machines(written: Any, read: bool | None) -> None:
    assert one(opened(isBotEvent=written)).bot_likely is read


def test_an_open_from_before_ses_told_machines_apart_is_read_as_ever() -> None:
    record = sample("open")
    del record["open"]["isBotEvent"], record["open"]["userAgent"], record["open"]["ipAddress"]
    event = one(record)
    assert (event.bot_likely, event.user_agent, event.ip_address) == (None, None, None)


def test_what_strangers_write_is_kept_as_text_and_no_longer_than_needed() -> None:
    event = one(opened(userAgent=HOSTILE * 1000, ipAddress="1" * 1000, link="https://a.io/" + "x" * 9000))
    assert event.user_agent == (HOSTILE * 1000)[:MAX_USER_AGENT]
    assert event.ip_address == "1" * MAX_IP_ADDRESS
    assert event.link is not None
    assert len(event.link) == MAX_LINK


@pytest.mark.parametrize("written", [HOSTILE, 7, None, ["a"], {"a": 1}, "\0"])
@pytest.mark.parametrize("name", ["userAgent", "ipAddress", "link"])
def test_anything_in_its_place_is_read_or_left_out(name: str, written: Any) -> None:
    event = one(opened(**{name: written}))
    assert "\0" not in (event.user_agent or "") + (event.ip_address or "") + (event.link or "")


def test_of_other_events_nothing_is_said_about_who_looked() -> None:
    """A complaint names the reporter's own program."""
    event = one(sample("complaint"))
    assert (event.user_agent, event.ip_address, event.bot_likely) == (None, None, None)


@pytest.mark.parametrize("name", ["bounce_permanent_general", "complaint", "delivery"])
def test_the_old_shape_says_the_same_as_the_new_one(name: str) -> None:
    new = sample(name)
    old = {"notificationType" if key == "eventType" else key: value for key, value in new.items()}
    told, retold = one(new), one(old)
    for field in (
        "uid",
        "type",
        "recipient",
        "occurred_at",
        "bounce_type",
        "bounce_subtype",
        "feedback_type",
    ):
        assert getattr(told, field) == getattr(retold, field)
    assert told.counts_in_rates == retold.counts_in_rates


def test_a_type_of_tomorrow_with_fields_of_tomorrow_is_kept() -> None:
    record = {
        **sample("send"),
        "eventType": "Teleport",
        "Teleport": {"timestamp": "2027-01-01T00:00:00Z"},
        "more": 1,
    }
    event = one(record)
    assert (event.type, event.occurred_at.year) == (EventType.OTHER, 2027)
    assert event.raw == json.dumps(record)
