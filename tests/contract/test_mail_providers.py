"""One set of cases for every way out: SES and Resend by the simulator, SES by MiniStack's own SES v2 too."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from core.providers.base import BulkEntry, BulkMail, MailProvider, Outcome
from core.providers.ses import SesProvider
from tests.contract.ministack import MiniStack, running_ministack
from tests.contract.ses_mail import REGION, mail
from tests.contract.ways import WAYS, Simulated, Way, resend
from tests.simulators import free_port

EVERYWHERE = ["ses", "resend", "ministack"]


def but_ministack(reason: str) -> list[Any]:
    return ["ses", "resend", pytest.param("ministack", marks=pytest.mark.skip(reason=f"MiniStack {reason}"))]


@pytest.fixture(scope="module")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniStack]:
    with running_ministack(tmp_path_factory.mktemp("ministack")) as ministack:
        yield ministack


@pytest.fixture
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Way:
    return WAYS[request.param](request, monkeypatch)


def keyed(count: int = 2, **changes: Any) -> BulkMail:
    return mail(count, **{"idempotency_key": "campaign-7/1", **changes})


def outcomes(provider: MailProvider, sent: BulkMail) -> list[Outcome]:
    """Of the whole mail in one call and of its first recipient alone."""
    alone = replace(sent, entries=sent.entries[:1], idempotency_key="alone")
    return [*(each.outcome for each in provider.send_bulk(sent)), provider.send_one(alone).outcome]


def entry(address: str, **fields: str) -> BulkEntry:
    return BulkEntry(address, "1-a", {"first_name": "Ann", "first_name__html": "Ann", **fields})


@pytest.mark.parametrize("way", EVERYWHERE, indirect=True)
def test_each_recipient_gets_a_mail_of_its_own_and_each_result_its_id_in_order(way: Way) -> None:
    people = [entry("a@example.com", first_name="Ann"), entry("b@example.com", first_name="Ben")]
    results = way.provider.send_bulk(keyed(entries=tuple(people)))
    one = way.provider.send_one(
        keyed(entries=(entry("c@example.com", first_name="Cy"),), idempotency_key="c")
    )
    assert [(each["message_id"], each["to"], each["subject"]) for each in way.arrived()] == [
        (results[0].provider_message_id, "a@example.com", "Hello Ann"),
        (results[1].provider_message_id, "b@example.com", "Hello Ben"),
        (one.provider_message_id, "c@example.com", "Hello Cy"),
    ]
    assert {each.outcome for each in (*results, one)} == {Outcome.ACCEPTED}


@pytest.mark.parametrize("way", EVERYWHERE, indirect=True)
@pytest.mark.parametrize("name", ["Zoë & 친구들 📬", 'The "A", <Team>; 50 %', "back\\slash"])
def test_hostile_names_and_values_arrive_as_they_are(way: Way, name: str) -> None:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    fields = {"first_name": name, "first_name__html": f"&lt;{name}&gt;"}
    sent = keyed(from_address=f'"{quoted}" <news@acme-mail.io>', entries=(entry("a@example.com", **fields),))
    assert outcomes(way.provider, sent) == [Outcome.ACCEPTED] * 2
    for message in way.arrived():
        assert (message["subject"], message["text"]) == (f"Hello {name}", name)
        assert message["html"] == f"<p>&lt;{name}&gt;</p>"
        assert message["from"].replace("\\", "").replace('"', "").removesuffix(" <news@acme-mail.io>") == (
            name.replace("\\", "").replace('"', "")
        )


@pytest.mark.parametrize("way", EVERYWHERE, indirect=True)
def test_a_full_call_goes_out_at_once(way: Way) -> None:
    count = way.provider.largest_call
    results = way.provider.send_bulk(keyed(count))
    assert [each.outcome for each in results] == [Outcome.ACCEPTED] * count
    assert [each["message_id"] for each in way.arrived()] == [each.provider_message_id for each in results]
    assert len({each.provider_message_id for each in results}) == count


@pytest.mark.parametrize("way", EVERYWHERE, indirect=True)
def test_a_sender_whose_domain_is_not_verified_is_refused(way: Way) -> None:
    sent = keyed(from_address="Globex <news@globex-post.net>")
    assert outcomes(way.provider, sent) == [Outcome.REFUSED] * 3
    assert "not verified" in way.provider.send_one(replace(sent, entries=sent.entries[:1])).reason
    assert way.arrived() == []


@pytest.mark.parametrize("way", EVERYWHERE, indirect=True)
def test_one_recipient_is_refused_without_the_others(way: Way) -> None:
    bad = way.refused_recipient("a@example.com", "b@example.com")
    people = [entry("a@example.com"), entry(bad), entry("b@example.com")]
    results = way.provider.send_bulk(keyed(entries=tuple(people)))
    assert [each.outcome for each in results] == [Outcome.ACCEPTED, Outcome.REFUSED, Outcome.ACCEPTED]
    assert [each["message_id"] for each in way.arrived()] == [
        results[0].provider_message_id,
        results[2].provider_message_id,
    ]
    assert len(results[1].reason) > 20


@pytest.mark.parametrize("way", EVERYWHERE, indirect=True)
def test_a_wrong_key_is_told_and_never_shown(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    provider = way.with_wrong_key("hush-hush-4f1d")
    caplog.set_level(logging.DEBUG)
    results = provider.send_bulk(keyed())
    assert [each.outcome for each in results] == [Outcome.CREDENTIALS] * 2
    assert "hush-hush" not in f"{results} {provider} {caplog.text}"
    assert way.arrived() == []


@pytest.mark.parametrize("way", EVERYWHERE, indirect=True)
@pytest.mark.parametrize(
    "changes",
    [
        {"from_address": "Acme\r\nBcc: x@example.com <news@acme-mail.io>"},
        {"reply_to": "a@example.com\nBcc: x@example.com"},
        {"entries": (BulkEntry("a@example.com", "1-a", {}, {"X-Note": "a\r\nBcc: x@example.com"}),)},
        {"entries": (BulkEntry("a@example.com", "1-a", {}, {"X-Note\n": "a"}),)},
    ],
)
def test_a_line_break_in_a_header_never_leaves_the_house(way: Way, changes: dict[str, Any]) -> None:
    assert set(outcomes(way.provider, keyed(**changes))) == {Outcome.REFUSED}
    assert way.arrived() == []


@pytest.mark.parametrize("way", but_ministack("logs neither tags nor headers"), indirect=True)
def test_tags_headers_and_the_address_for_replies_travel_with_each_mail(way: Way) -> None:
    sent = keyed(reply_to="ann@acme-mail.io")
    assert outcomes(way.provider, sent) == [Outcome.ACCEPTED] * 3
    for message, uid in zip(way.arrived(), ["0-abc", "1-abc", "0-abc"], strict=True):
        assert message["tags"] == {"tenant": "acme", "campaign": "7", "user": "a_b_c", "msg_uid": uid}
        assert message["headers"] == {"List-Unsubscribe": "<https://u.acme-mail.io/u/1>"}
        assert message["reply_to"] == "ann@acme-mail.io"


@pytest.mark.parametrize("way", but_ministack("has no limit of calls"), indirect=True)
def test_who_is_too_fast_has_sent_nothing(way: Simulated) -> None:
    way.faults(kind="throttle")
    assert outcomes(way.provider, keyed()) == [Outcome.THROTTLED] * 3
    assert way.arrived() == []


@pytest.mark.parametrize("way", but_ministack("has a quota that nobody can lower"), indirect=True)
def test_who_has_used_up_the_quota_has_sent_nothing(way: Simulated) -> None:
    way.use_up_quota()
    assert outcomes(way.provider, keyed()) == [Outcome.QUOTA] * 3
    assert way.arrived() == []


@pytest.mark.parametrize("way", but_ministack("loses no answer"), indirect=True)
@pytest.mark.parametrize("seconds", [0, 1])
def test_a_mail_whose_answer_is_lost_is_accepted_once(way: Simulated, seconds: int) -> None:
    way.faults(kind="accept_then_time_out", seconds=seconds)
    assert outcomes(way.impatient(), keyed()) == [way.after_lost_answer] * 3
    assert [each["to"] for each in way.arrived()] == ["r0@example.com", "r1@example.com", "r0@example.com"]


@pytest.mark.parametrize("way", but_ministack("has no fault of its own"), indirect=True)
def test_a_fault_of_the_provider_is_never_taken_for_a_refusal(way: Simulated) -> None:
    way.faults(kind="error", status=503, times=0)
    assert outcomes(way.provider, keyed()) == [Outcome.UNKNOWN] * 3
    assert way.arrived() == []


def test_where_nobody_listens_nothing_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in (f"http://127.0.0.1:{free_port()}", "http://nowhere.invalid"):
        for name, value in MiniStack(url).environment().items():
            monkeypatch.setenv(name, value)
        for provider in (SesProvider(REGION), resend(url)):
            assert outcomes(provider, keyed()) == [Outcome.NOT_SENT] * 3
            assert url.removeprefix("http://") in provider.send_bulk(keyed())[0].reason
