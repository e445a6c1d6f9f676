"""A tenant's stream of outcomes: windows, what lasts, one domain's trouble, probation, late complaints."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import pytest

from core.reputation import Signal, Stream, rule_of
from core.reputation.maturity import share_come
from core.reputation.rule import Level
from core.reputation.stream import BUCKET, WINDOWS

LAST_1000, LAST_10000 = WINDOWS
ANY = Level(rate=0, z=0, lower_bound=0, evidence=0)
_domains = itertools.cycle([f"example{n}.com" for n in range(7)])


class Step(NamedTuple):
    campaign_id: int
    domain: str
    outcomes: int
    permanent_bounces: int
    delivered: int
    complaints: int


def new_stream(**values: object) -> Stream:
    return Stream(rule_of(), **values)  # type: ignore[arg-type]


def bounce(stream: Stream, times: int = 1, campaign_id: int = 1, domain: str | None = None) -> None:
    for _ in range(times):
        stream.feed(Step(campaign_id, domain or next(_domains), 1, 1, 0, 0), 0)


def complain(stream: Stream, times: int = 1, campaign_id: int = 1, hour: int = 0) -> None:
    for _ in range(times):
        stream.feed(Step(campaign_id, "example.com", 0, 0, 0, 1), hour)


def test_the_fifth_bounce_of_a_bad_list_pauses_with_its_evidence() -> None:
    stream = new_stream()
    stream.pass_good(20, 1)
    bounce(stream, 4)
    assert stream.pause is None
    bounce(stream)
    assert stream.pause is not None
    assert (stream.pause.signal, stream.pause.campaign_id) == (Signal.BOUNCE, 1)
    assert (stream.pause.bad, stream.pause.among) == (5, 25)
    assert 0.05 < stream.pause.lower_bound < 0.2


def test_a_bad_campaign_is_seen_behind_much_good_mail_of_another() -> None:
    stream = new_stream()
    stream.pass_good(50_000, 1)
    stream.pass_good(20, 2)
    bounce(stream, 5, campaign_id=2)
    assert stream.pause is not None
    assert stream.pause.campaign_id == 2


def test_transactional_mail_is_judged_by_the_windows() -> None:
    stream = new_stream()
    stream.pass_good(20)
    bounce(stream, 5, campaign_id=0)
    assert stream.pause is not None
    assert (stream.pause.campaign_id, stream.pause.scope) == (None, LAST_1000)


def test_many_small_campaigns_are_judged_together() -> None:
    stream = new_stream()
    for campaign_id in range(1, 6):
        stream.pass_good(30, campaign_id)
        bounce(stream, 4, campaign_id)
    assert stream.pause is not None
    assert stream.pause.scope == LAST_1000


def test_good_mail_pushes_bounces_out_of_the_windows() -> None:
    stream = new_stream()
    stream.is_judged = False
    bounce(stream, 90, campaign_id=0)
    counts = [window.bounces for window in stream.windows]
    stream.pass_good(950)
    assert counts == [90, 90]
    assert [window.bounces for window in stream.windows] == [0, 90]
    stream.pass_good(9_000)
    assert [window.bounces for window in stream.windows] == [0, 0]


def test_the_windows_are_the_last_nine_hundred_and_some_outcomes() -> None:
    stream = new_stream()
    stream.is_judged = False
    for number in range(3_456):
        stream.feed(Step(0, "example.com", 1, number % 2, 1 - number % 2, 0), 0)
    window = stream.windows[0]
    among = stream.outcomes - BUCKET * window.first
    assert 900 < among <= 1_000
    assert abs(window.bounces - among / 2) <= 1


def test_a_stream_that_is_read_again_goes_on_where_it_was() -> None:
    stream = new_stream()
    for _ in range(40):
        stream.pass_good(60, 1)
        bounce(stream, campaign_id=1)
    again = new_stream(
        outcomes=stream.outcomes, delivered=stream.delivered, buckets=stream.buckets,
        bounce_cusum=stream.bounce_cusum, campaigns=stream.campaigns,
    )  # fmt: skip
    assert [vars_of(window) for window in again.windows] == [vars_of(window) for window in stream.windows]


def vars_of(window: object) -> list[object]:
    return [getattr(window, name) for name in ("buckets", "first", "bounces")]


def test_good_mail_passed_at_once_is_the_same_as_one_by_one() -> None:
    at_once, singly = new_stream(), new_stream()
    for stream in (at_once, singly):
        bounce(stream, 3, domain="example.com")
    at_once.pass_good(250, 1, 0)
    for _ in range(250):
        singly.feed(Step(1, "example.com", 1, 0, 1, 0), 0)
    assert at_once.bounce_cusum == pytest.approx(singly.bounce_cusum)
    assert (at_once.outcomes, at_once.delivered) == (singly.outcomes, singly.delivered)
    assert at_once.campaigns == singly.campaigns


def test_a_rate_that_is_only_somewhat_high_pauses_when_it_lasts() -> None:
    stream = new_stream()
    for _ in range(200):
        stream.pass_good(11, 1)  # 8.3 %
        bounce(stream)
        if stream.pause:
            break
    assert stream.pause is not None
    assert stream.pause.is_lasting
    assert stream.pause.rate == pytest.approx(1 / 12, abs=0.005)


def test_what_lasts_is_told_from_where_it_began() -> None:
    stream = new_stream()
    stream.pass_good(20_000, 1)
    bounce(stream, 8, campaign_id=1)
    assert stream.pause is not None
    assert stream.pause.is_lasting
    assert (stream.pause.bad, stream.pause.among) == (8, 8)


def test_a_warning_is_found_before_the_pause() -> None:
    stream = new_stream()
    stream.pass_good(60, 1)
    bounce(stream, 4)
    assert stream.pause is None
    assert stream.warnings[Signal.BOUNCE].bad == 4


def test_one_domains_trouble_warns_first_and_pauses_once_that_was_seen() -> None:
    stream = new_stream()
    stream.pass_good(20, 1)
    bounce(stream, 12, domain="example.com")
    assert stream.pause is None
    assert stream.warnings[Signal.BOUNCE].top_domain == ("example.com", 1.0)
    stream.warned.add(Signal.BOUNCE)
    bounce(stream, domain="example.com")
    assert stream.pause is not None


def test_twenty_bounces_at_one_domain_pause_whether_anybody_was_told_or_not() -> None:
    stream = new_stream()
    bounce(stream, 19, domain="example.com")
    assert stream.pause is None
    bounce(stream, domain="example.com")
    assert stream.pause is not None
    assert stream.pause.bad == 20


def test_four_in_five_at_one_domain_is_not_that_domains_trouble() -> None:
    stream = new_stream()
    bounce(stream, 1, domain="example.net")
    bounce(stream, 4, domain="example.com")
    assert stream.pause is not None
    assert stream.pause.top_domain == ("example.com", 0.8)


def test_on_probation_the_third_bounce_pauses_and_after_a_thousand_outcomes_the_fifth() -> None:
    early, late = new_stream(probation_left=1_000), new_stream(probation_left=1_000)
    late.pass_good(1_000, 1)
    assert late.probation_left == 0
    for stream in (early, late):
        stream.pass_good(7, 2)
        bounce(stream, 3, campaign_id=2)
    assert early.pause is not None
    assert late.pause is None


def test_nothing_is_judged_of_who_is_paused_but_all_is_counted() -> None:
    stream = new_stream()
    stream.is_judged = False
    bounce(stream, 50)
    complain(stream, 50)
    assert (stream.pause, stream.warnings) == (None, {})
    assert stream.campaigns[1].permanent_bounces == stream.campaigns[1].complaints == 50


def test_the_fourth_complaint_in_eight_hundred_deliveries_pauses() -> None:
    stream = new_stream()
    stream.pass_good(800, 1, 0)
    complain(stream, 3)
    assert stream.pause is None
    assert stream.warnings[Signal.COMPLAINT].bad == 3
    complain(stream)
    assert stream.pause is not None
    assert (stream.pause.signal, stream.pause.bad, stream.pause.among) == (Signal.COMPLAINT, 4, 800)


def test_complaints_are_measured_against_the_mail_whose_complaints_have_come() -> None:
    young = new_stream(weight=lambda hour: 0.05)
    young.pass_good(10_000, 1, 0)
    complain(young, 4)
    assert young.pause is not None
    assert young.pause.among == pytest.approx(500)
    old = new_stream()
    old.pass_good(10_000, 1, 0)
    complain(old, 4)
    assert old.pause is None


def test_complaints_that_come_in_clumps_are_no_drift() -> None:
    """After an outage, say: nothing was delivered between them."""
    stream = new_stream()
    for hour in range(50):
        stream.pass_good(1_000, 1, hour)
    complain(stream, 7, hour=49)
    assert stream.complaint_cusum > 6
    assert stream.pause is None


def test_a_complaint_rate_that_is_only_somewhat_high_pauses_when_it_lasts() -> None:
    stream = new_stream()
    for hour in range(100):
        stream.pass_good(300, hour + 1, hour)
        complain(stream, campaign_id=hour + 1, hour=hour)
        if stream.pause:
            break
    assert stream.pause is not None
    assert stream.pause.is_lasting
    assert stream.pause.scope == "the last 5,000 delivered messages"


def test_complaints_that_come_as_their_mail_matures_are_no_drift() -> None:
    share = {0: 0.0}
    stream = new_stream(weight=lambda hour: share[hour])
    stream.pass_good(50_000, 1, 0)
    for step in range(1, 26):  # half of the expected fifty at 0.1 %, as their mail matures
        share[0] = step * 0.02
        stream.immature = stream.campaigns[1].immature = 50_000 * (1 - share[0])
        complain(stream)
    assert stream.pause is None


def test_complaints_about_old_mail_are_measured_against_old_mail() -> None:
    stream = new_stream(weight=lambda hour: 1.0 if hour < 60 else 0.02)
    for hour in range(61):
        stream.pass_good(1_000, hour + 1, hour)
    complain(stream, 30, campaign_id=50, hour=49)
    assert stream.pause is not None
    assert stream.pause.campaign_id == 50
    spread = new_stream(weight=lambda hour: 1.0 if hour < 60 else 0.02)
    for hour in range(61):
        spread.pass_good(1_000, hour + 1, hour)
    for hour in range(10, 60):
        complain(spread, campaign_id=hour + 1, hour=hour)
    assert spread.pause is None
    [window] = spread.found(Signal.COMPLAINT, ANY)
    assert (window.bad, window.among) == (50, 50_020)


def test_complaints_older_than_the_window_count_no_more() -> None:
    stream = new_stream()
    stream.is_judged = False
    stream.pass_good(1_000, 1, 0)
    complain(stream, 100, hour=0)
    stream.pass_good(60_000, 2, 1)
    complain(stream, campaign_id=2, hour=1)
    [window] = stream.found(Signal.COMPLAINT, ANY)
    assert (window.scope, window.bad, window.among) == ("the last 50,000 delivered messages", 1, 60_000)


@pytest.mark.parametrize(("hours", "share"), [(0, 0), (6, 0.5), (1.29, 0.1), (27.9, 0.9), (500, 1)])
def test_half_of_the_complaints_have_come_after_the_median(hours: float, share: float) -> None:
    assert share_come(hours, 6.0) == pytest.approx(share, abs=0.002)
