"""Machines: which opens and clicks no person made."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.db.states import EventType
from core.events.machines import By, MadeBy, Sign, made_by, signs_of
from core.providers.base import ProviderEvent

DELIVERED_AT = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0"
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
YANDEX = "Mozilla/5.0 (compatible; YandexImageProxy; +http://yandex.com/bots)"
YAHOO = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"
OUTLOOK = (
    "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; Trident/7.0; Microsoft Outlook 16.0.5083; ms-office)"
)


def said(type: EventType, seconds: float = 600, **values: Any) -> ProviderEvent:
    return ProviderEvent(
        uid=f"{type}-{seconds}-{values}",
        type=type,
        recipient="ann@example.com",
        provider_message_id="ses-1",
        msg_uid="1-a",
        occurred_at=DELIVERED_AT + timedelta(seconds=seconds),
        topic_arn=None,
        tenant_tag=None,
        **values,
    )


def opened(seconds: float = 600, user_agent: str | None = CHROME, **values: Any) -> ProviderEvent:
    return said(EventType.OPEN, seconds, user_agent=user_agent, **values)


def clicked(
    seconds: float = 660, link: str = "a", user_agent: str | None = CHROME, **values: Any
) -> ProviderEvent:
    return said(EventType.CLICK, seconds, link=f"https://example.com/{link}", user_agent=user_agent, **values)


DELIVERY = said(EventType.DELIVERY, 0)


def sign(event: ProviderEvent, *others: ProviderEvent) -> Sign | None:
    return signs_of([event, *others])[0]


def test_a_delivery_at_the_end_of_time_stops_nobody_from_reading_the_rest() -> None:
    delivery = said(EventType.DELIVERY, (datetime.max.replace(tzinfo=UTC) - DELIVERED_AT).total_seconds() - 1)

    assert sign(opened(), delivery) == Sign.QUICK


@pytest.mark.parametrize("user_agent", [CHROME, GMAIL, YAHOO, YANDEX, OUTLOOK, "okhttp/4.9.3", "", None])
def test_who_looks_at_a_mail_is_a_person_also_behind_a_proxy(user_agent: str | None) -> None:
    assert sign(opened(user_agent=user_agent, bot_likely=False), DELIVERY) is None


@pytest.mark.parametrize("user_agent", [GMAIL, YAHOO, YANDEX, "okhttp/4.9.3"])
def test_what_loads_pictures_for_people_does_not_click_for_them(user_agent: str) -> None:
    assert sign(clicked(user_agent=user_agent), DELIVERY) is Sign.PROGRAM


@pytest.mark.parametrize(
    "user_agent",
    [
        "python-requests/2.31.0",
        "curl/8.5.0",
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/534+ (KHTML, like Gecko) BingPreview/1.0b",
        "Barracuda Sentinel (EE)",
        "Mozilla/5.0 (compatible; Proofpoint URL Defense)",
    ],
)
def test_programs_that_say_who_they_are_are_machines(user_agent: str) -> None:
    assert sign(opened(user_agent=user_agent), DELIVERY) is Sign.PROGRAM
    assert sign(clicked(user_agent=user_agent), DELIVERY) is Sign.PROGRAM


def test_apple_mail_loads_pictures_of_mail_that_nobody_has_read() -> None:
    assert sign(opened(user_agent="Mozilla/5.0"), DELIVERY) is Sign.APPLE
    assert sign(opened(user_agent="Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)")) is None


def test_ses_is_believed_when_it_says_likely_and_about_haste_when_it_says_unlikely() -> None:
    assert sign(opened(bot_likely=True), DELIVERY) is Sign.SES
    assert sign(opened(1, bot_likely=False), DELIVERY) is None
    assert sign(opened(bot_likely=False, user_agent="curl/8.5.0"), DELIVERY) is Sign.PROGRAM
    assert sign(opened(bot_likely=None), DELIVERY) is None


@pytest.mark.parametrize(("seconds", "found"), [(-5, Sign.QUICK), (1.9, Sign.QUICK), (2, None)])
def test_nobody_reads_within_two_seconds(seconds: float, found: Sign | None) -> None:
    assert sign(opened(seconds), DELIVERY) is found
    assert sign(clicked(seconds), DELIVERY) is found


def test_an_open_is_a_persons_while_no_delivery_is_known() -> None:
    assert sign(opened(0)) is None


def test_three_links_in_ten_seconds_are_a_machine_and_the_click_after_them_a_person() -> None:
    burst = [clicked(60, "a"), clicked(64, "b"), clicked(70, "c")]
    later = clicked(300, "a")
    assert signs_of([DELIVERY, *burst, later]) == [None, *[Sign.BURST] * 3, None]
    assert made_by([DELIVERY, *burst, later]).clicked_by == By.PERSON
    assert made_by([DELIVERY, *burst]).clicked_by == By.MACHINE


@pytest.mark.parametrize(
    "clicks",
    [
        [clicked(60, "a"), clicked(64, "b"), clicked(70.5, "c")],
        [clicked(60, "a"), clicked(61, "b"), clicked(62, "a"), clicked(63, "b")],
    ],
)
def test_fewer_or_slower_clicks_are_a_person(clicks: list[ProviderEvent]) -> None:
    assert made_by(clicks).clicked_by == By.PERSON


def test_an_open_from_the_address_of_a_burst_is_the_same_machine() -> None:
    burst = [clicked(60 + n, link, ip_address="192.0.2.9") for n, link in enumerate("abc")]
    assert sign(opened(61, ip_address="192.0.2.9"), *burst) is Sign.BURST
    assert sign(opened(61, ip_address="198.51.100.7"), *burst) is None
    assert sign(opened(61), *burst) is None
    assert sign(opened(90, ip_address="192.0.2.9"), *burst) is None


def test_a_click_opens_nothing() -> None:
    """Facts are kept apart: who clicks without loading pictures has clicked, and no open was seen."""
    assert made_by([DELIVERY, clicked()]) == MadeBy(None, By.PERSON)


def test_a_person_counts_whatever_machines_did_besides() -> None:
    events = [DELIVERY, opened(1), opened(user_agent="curl/8.5.0"), opened()]
    for order in itertools.permutations(events):
        assert made_by(order).opened_by == By.PERSON
    assert made_by(events[:3]).opened_by == By.MACHINE


seen = st.one_of(
    st.just(DELIVERY),
    st.builds(opened, st.sampled_from([0, 30, 65]), st.sampled_from([CHROME, "Mozilla/5.0", GMAIL])),
    st.builds(
        clicked,
        st.integers(58, 75),
        st.sampled_from("abcd"),
        ip_address=st.sampled_from([None, "192.0.2.9", "192.0.2.8"]),
    ),
)


@given(events=st.lists(seen, max_size=14), data=st.data())
def test_order_and_copies_make_no_difference(events: list[ProviderEvent], data: st.DataObject) -> None:
    mixed = data.draw(st.permutations(events + events[:4]))
    assert made_by(mixed) == made_by(events)
    assert dict(zip(mixed, signs_of(mixed), strict=True)) == dict(zip(events, signs_of(events), strict=True))


@given(clicks=st.lists(st.builds(clicked, st.integers(0, 40), st.sampled_from("abcd")), max_size=12))
def test_bursts_are_those_that_looking_at_every_pair_of_moments_finds(clicks: list[ProviderEvent]) -> None:
    moments = [click.occurred_at for click in clicks]
    for click, found in zip(clicks, signs_of(clicks), strict=True):
        windows = [
            {each.link for each in clicks if since <= each.occurred_at <= since + timedelta(seconds=10)}
            for since in moments
            if since <= click.occurred_at <= since + timedelta(seconds=10)
        ]
        assert (found is Sign.BURST) == any(len(links) >= 3 for links in windows)


def test_thousands_of_clicks_of_one_message_cost_little() -> None:
    clicks = [clicked(n / 100, str(n % 7)) for n in range(20_000)]
    assert made_by(clicks).clicked_by == By.MACHINE


@pytest.mark.parametrize(
    "user_agent", ["a" * 100_000, "Mozilla/5.0 (" * 20_000, "\0<img src=x onerror=alert(1)>"]
)
def test_a_hostile_user_agent_is_only_text(user_agent: str) -> None:
    assert sign(opened(user_agent=user_agent)) in (None, Sign.PROGRAM)
