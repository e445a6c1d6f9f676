"""The slots of a tenant's limits: none is lost, none counts too short, a day is one of the tenant's zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.tenants.limits import LENGTH, SLOT, SPANS, counts_until, first_slot, slot_of

ZONES = ("UTC", "Asia/Singapore", "Europe/Berlin", "America/New_York", "Africa/Cairo", "America/Havana",
         "Asia/Kathmandu", "Pacific/Chatham")  # fmt: skip
moments = st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))
zones = st.sampled_from(ZONES).map(ZoneInfo)


@given(moments, zones, st.sampled_from(SPANS))
def test_a_moment_lies_in_its_slot_and_its_slot_counts(now: datetime, zone: ZoneInfo, span: str) -> None:
    slot = slot_of(span, now, zone)
    assert slot <= now < counts_until(span, slot, zone)
    assert first_slot(span, now, zone) <= slot
    assert slot_of(span, slot, zone) == slot
    assert slot.utcoffset() == timedelta(0)


@given(moments, zones, st.sampled_from(sorted(SLOT)), st.floats(0, 4000))
def test_what_was_granted_counts_a_whole_minute_or_hour_and_a_slot_longer_at_most(
    granted: datetime, zone: ZoneInfo, span: str, later: float
) -> None:
    now = granted + timedelta(seconds=later)
    counts = slot_of(span, granted, zone) >= first_slot(span, now, zone)
    assert counts == (now < counts_until(span, slot_of(span, granted, zone), zone))
    if now < granted + LENGTH[span]:
        assert counts
    if now >= granted + LENGTH[span] + SLOT[span]:
        assert not counts


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", (2026, 3, 29), 23),
        ("Europe/Berlin", (2026, 10, 25), 25),
        ("Europe/Berlin", (2026, 7, 1), 24),
        ("Africa/Cairo", (2026, 4, 24), 23),  # its midnight does not exist
        ("America/Havana", (2026, 11, 1), 25),  # its midnight comes twice
    ],
)
def test_a_day_is_as_long_as_the_zone_makes_it(zone: str, day: tuple[int, int, int], hours: int) -> None:
    there = ZoneInfo(zone)
    slot = slot_of("day", datetime(*day, 12, tzinfo=there), there)
    assert counts_until("day", slot, there) - slot == timedelta(hours=hours)
    last_moment = counts_until("day", slot, there) - timedelta(microseconds=1)
    assert {slot_of("day", slot, there), slot_of("day", last_moment, there)} == {slot}
    assert slot.astimezone(there).date() == last_moment.astimezone(there).date()


def test_a_day_begins_at_the_zones_own_midnight() -> None:
    singapore = ZoneInfo("Asia/Singapore")
    assert slot_of("day", datetime(2026, 11, 23, 17, tzinfo=UTC), singapore) == datetime(
        2026, 11, 23, 16, tzinfo=UTC
    )
