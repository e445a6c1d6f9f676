"""The bench itself: when a target counts as missed, and that its stub is SES as botocore knows it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from bench import endpoint
from bench.cases.pace import call_size, percentile, small_finishes
from bench.endpoint import Endpoint
from bench.stub import Options, worst_second
from bench.table import Row
from core.providers import ses_mail
from core.providers.base import BulkEntry, BulkMail


def row(*ratios: float, target: float, **judged: bool) -> Row:
    return Row("case", "1/s", "1/s", ratios, target, **judged)


def test_the_median_round_is_judged() -> None:
    assert row(0.5, 0.8, 0.9, target=0.75).is_met
    assert not row(0.5, 0.7, 0.9, target=0.75).is_met


def test_a_ratio_can_be_too_large() -> None:
    assert row(1.1, 1.3, 9.0, target=1.3, at_most=True).is_met
    assert not row(1.1, 1.31, 9.0, target=1.3, at_most=True).is_met


def test_what_must_never_happen_may_happen_in_no_round() -> None:
    assert not row(0.0, 0.0, 1.0, target=0, at_most=True, every_round=True).is_met
    assert not row(0.9, 1.0, 1.0, target=1.0, every_round=True).is_met


def test_a_campaign_that_never_finished_misses_its_target() -> None:
    assert not row(math.inf, target=1.3, at_most=True).is_met


def test_a_line_of_the_table_says_whether_the_target_was_met() -> None:
    met, missed = row(0.8, target=0.75).as_line(), row(0.7, 0.71, 0.6, target=0.75).as_line()

    assert met.endswith(">= 0.75    ok")
    assert "0.700 [0.600..0.710] n=3" in missed
    assert missed.endswith("MISSED")


def test_the_worst_second_is_any_second_not_one_of_the_clock() -> None:
    assert worst_second([0.0, 0.6, 1.4, 1.59, 1.6], [1, 10, 10, 10, 100]) == 120
    assert worst_second([0.0, 1.0, 2.0], [5, 5, 5]) == 5
    assert worst_second([], []) == 0


def test_a_call_is_a_tenth_of_a_second_and_at_most_what_ses_takes() -> None:
    assert [call_size(rate) for rate in (1, 14, 200, 2000)] == [1, 1, 20, 50]


def test_the_ninety_fifth_percentile_of_nine_is_the_last() -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], 0.95) == 9.0


def test_the_large_tenant_is_not_taken_for_a_small_one_when_it_has_as_many() -> None:
    through, halfway = {"accepted": 200, "last_at": 9.5}, {"accepted": 100, "last_at": 4.0}

    assert small_finishes({"shop1": through, "shop2": through, "shop3": halfway}) == [9.5]


@pytest.fixture(scope="module")
def stub() -> Iterator[Endpoint]:
    with endpoint.started() as stub:
        yield stub


@pytest.fixture(scope="module")
def ses(stub: Endpoint) -> Any:
    config = Config(retries={"total_max_attempts": 1})  # validated: requests are SES's, too
    keys = {"aws_access_key_id": "bench", "aws_secret_access_key": "bench"}
    return boto3.client("sesv2", endpoint_url=stub.url, region_name="eu-west-1", config=config, **keys)


def mail(*addresses: str) -> BulkMail:
    entries = tuple(BulkEntry(address, f"{n}-a1", {"name": "Ann"}) for n, address in enumerate(addresses, 1))
    return BulkMail(
        from_address="news@acme-mail.io",
        subject="Hello {{name}}",
        html="<p>Hello {{name}}</p>",
        text="",
        entries=entries,
        tenant_name="acme",
        configuration_set="postyard-acme",
    )


def test_the_stub_accepts_each_recipient_of_a_bulk_call(stub: Endpoint, ses: Any) -> None:
    stub.reset(Options(keep=True, rate=10))

    answer = ses.send_bulk_email(**ses_mail.bulk_request(mail("ann@example.com", "ben@example.com")))
    ses.send_bulk_email(**ses_mail.bulk_request(mail("ann@example.com")))

    results = answer["BulkEmailEntryResults"]
    assert [result["Status"] for result in results] == ["SUCCESS", "SUCCESS"]
    assert len({result["MessageId"] for result in results}) == 2
    stats = stub.stats()
    assert (stats["calls"], stats["accepted"], stats["recipients"], stats["repeated"]) == (2, 3, 2, 1)
    assert (stats["worst_second"], stats["worst_second_of_rate"]) == (3, 0.3)
    assert stats["tenants"]["acme"]["accepted"] == 3


def test_the_stub_throttles_entries_inside_an_answer_that_succeeds(stub: Endpoint, ses: Any) -> None:
    stub.reset(Options(throttled=1000))

    [result] = ses.send_bulk_email(**ses_mail.bulk_request(mail("ann@example.com")))["BulkEmailEntryResults"]

    assert result["Status"] == "ACCOUNT_THROTTLED"
    assert (stub.stats()["accepted"], stub.stats()["throttled"]) == (0, 1)


def test_the_stub_refuses_whole_calls_as_ses_does(stub: Endpoint, ses: Any) -> None:
    stub.reset(Options(refused=1000))

    with pytest.raises(ClientError) as refusal:
        ses.send_bulk_email(**ses_mail.bulk_request(mail("ann@example.com")))

    assert refusal.value.response["Error"]["Code"] == "TooManyRequestsException"
    assert stub.stats()["accepted"] == 0


def test_the_stub_takes_single_mail_and_tells_its_rate(stub: Endpoint, ses: Any) -> None:
    stub.reset(Options(rate=200))

    assert ses.send_email(**ses_mail.single_request(mail("ann@example.com")))["MessageId"]
    assert ses.get_account()["SendQuota"]["MaxSendRate"] == 200
    assert stub.stats()["accepted"] == 1


def test_the_stub_answers_as_late_as_it_is_told_to(stub: Endpoint, ses: Any) -> None:
    stub.reset(Options(latency_ms=100))
    begun = time.monotonic()

    ses.send_bulk_email(**ses_mail.bulk_request(mail("ann@example.com")))

    assert time.monotonic() - begun >= 0.1
