"""Certificates: SNS's alone, valid now, fetched once and not at anybody's wish."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from core.hooks import certificates
from core.hooks.answers import Again, Never
from core.hooks.certificates import Certificates
from tests import signing

NOW = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)
ADDRESS = signing.CERTIFICATE_URL


def addresses(count: int) -> list[str]:
    return [ADDRESS.replace("6209", f"{number:04x}") for number in range(count)]


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize(
    ("region", "name"),
    [
        ("ap-southeast-1", "sns.amazonaws.com"),
        ("ap-southeast-1", "sns.ap-southeast-1.amazonaws.com"),
        ("af-south-1", "sns-signing.af-south-1.amazonaws.com"),
        ("us-gov-east-1", "sns-us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "sns-cn-north-1.amazonaws.com.cn"),
    ],
)
def test_the_name_is_the_regions(region: str, name: str) -> None:
    for content in (
        signing.certificate(common_name=name),
        signing.certificate(common_name="x", names=(name,)),
    ):
        Certificates(signing.Served(content)).key(ADDRESS, region, NOW)


@pytest.mark.parametrize(
    "name",
    ["evil.com", "sns.amazonaws.com.evil.com", "*.amazonaws.com", "sns.us-east-1.amazonaws.com",
     "sns-signing.af-south-1.amazonaws.com", "amazonaws.com", "SNS", ""],
)  # fmt: skip
def test_another_name_is_refused(name: str) -> None:
    served = signing.Served(signing.certificate(common_name=name or "x", names=("also.example.com",)))

    with pytest.raises(Never):
        Certificates(served).key(ADDRESS, signing.REGION, NOW)


@pytest.mark.parametrize(
    ("since", "until"),
    [(NOW + timedelta(seconds=1), signing.UNTIL), (signing.FROM, NOW - timedelta(seconds=1))],
    ids=["not yet", "no more"],
)
def test_one_that_is_not_valid_now_is_refused(since: datetime, until: datetime) -> None:
    served = signing.Served(signing.certificate(since=since, until=until))

    with pytest.raises(Never):
        Certificates(served).key(ADDRESS, signing.REGION, NOW)


def test_one_that_ends_while_it_is_kept_is_refused_from_then_on() -> None:
    kept = Certificates(signing.Served(signing.certificate(until=NOW + timedelta(hours=1))))
    kept.key(ADDRESS, signing.REGION, NOW)

    with pytest.raises(Never):
        kept.key(ADDRESS, signing.REGION, NOW + timedelta(hours=2))


def test_one_that_was_renewed_at_its_address_is_fetched_again_and_not_for_every_request() -> None:
    served, clock = signing.Served(signing.certificate(until=NOW + timedelta(hours=1))), Clock()
    kept, later = Certificates(served, clock), NOW + timedelta(hours=2)
    kept.key(ADDRESS, signing.REGION, NOW)
    for _ in range(5):
        with pytest.raises(Never):
            kept.key(ADDRESS, signing.REGION, later)
    assert len(served.asked) == 2

    clock.seconds = certificates.REFUSED_SECONDS + 1
    served.content = signing.certificate()
    kept.key(ADDRESS, signing.REGION, later)


def test_a_weak_or_a_strange_key_is_refused() -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    for key in (weak, ec.generate_private_key(ec.SECP256R1())):
        with pytest.raises(Never):
            Certificates(signing.Served(signing.certificate(signed_with=key))).key(
                ADDRESS, signing.REGION, NOW
            )


@pytest.mark.parametrize("content", [b"", b"<html>", b"-----BEGIN CERTIFICATE-----\nAAAA\n", b"\xff" * 100])
def test_what_is_no_certificate_is_refused_and_not_asked_for_again_soon(content: bytes) -> None:
    served, clock = signing.Served(content), Clock()
    kept = Certificates(served, clock)
    for _ in range(5):
        with pytest.raises(Never):
            kept.key(ADDRESS, signing.REGION, NOW)
    assert len(served.asked) == 1

    clock.seconds = certificates.REFUSED_SECONDS + 1
    served.content = signing.certificate()
    kept.key(ADDRESS, signing.REGION, NOW)


def test_it_is_fetched_once_also_by_many_at_once() -> None:
    served = signing.Served()
    kept = Certificates(served)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: kept.key(ADDRESS, signing.REGION, NOW), range(64)))

    assert served.asked == [ADDRESS]


def test_when_sns_does_not_answer_it_is_asked_again_the_next_time() -> None:
    answers: list[bytes | None] = [None, signing.certificate()]

    def fetch(address: str) -> bytes:
        if (content := answers.pop(0)) is None:
            raise Again("certificate")
        return content

    kept = Certificates(fetch)
    with pytest.raises(Again):
        kept.key(ADDRESS, signing.REGION, NOW)
    kept.key(ADDRESS, signing.REGION, NOW)


def test_addresses_that_are_made_up_cause_few_requests_and_leave_what_is_kept() -> None:
    served, clock = signing.Served(b"nothing"), Clock()
    kept = Certificates(served, clock)
    served.content = signing.certificate()
    kept.key(ADDRESS, signing.REGION, NOW)
    served.content = b"nothing"
    for address in addresses(1000):
        with pytest.raises((Never, Again)):
            kept.key(address, signing.REGION, NOW)
    assert len(served.asked) == certificates.FETCHES_PER_MINUTE
    kept.key(ADDRESS, signing.REGION, NOW)

    for minute in range(1, 20):
        clock.seconds = minute * 61.0
        for address in addresses(20):
            with pytest.raises((Never, Again)):
                kept.key(address + str(minute), signing.REGION, NOW)
    kept.key(ADDRESS, signing.REGION, NOW)
    assert served.asked.count(ADDRESS) == 1


def test_whoever_waits_for_another_fetch_gives_up_soon() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def fetch(address: str) -> bytes:
        begun.set()
        go_on.wait(10)
        return signing.certificate()

    kept = Certificates(fetch)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(kept.key, ADDRESS, signing.REGION, NOW)
        begun.wait(10)
        with pytest.raises(Again):
            kept.key(addresses(1)[0], signing.REGION, NOW)
        go_on.set()
        first.result()
