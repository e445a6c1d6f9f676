"""Resend by the simulator: keys, limits, validation, and one mail for one idempotency key."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from core.settings import Settings
from core.up import Place
from tests.simulators import Simulator, running_simulator


def mail(recipient: str = "a@example.com", /, **changes: Any) -> dict[str, Any]:
    return {"from": "Acme <n@acme-mail.io>", "to": [recipient], "subject": "Hi", "text": "Hello", **changes}


def ask(
    simulator: Simulator, path: str, body: Any, key: str = "", method: str = "POST", **headers: str
) -> tuple[int, Any]:
    sent = {"Authorization": "Bearer re_test", "Content-Type": "application/json", **headers}
    if key:
        sent["Idempotency-Key"] = key
    request = urllib.request.Request(
        f"{simulator.url}/resend{path}", method=method, data=json.dumps(body).encode(), headers=sent
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as e:
        with e:
            return e.code, json.loads(e.read())


def refusal(answer: tuple[int, Any]) -> tuple[int, str]:
    status, said = answer
    assert said["statusCode"] == status
    assert len(said["message"]) > 10
    return status, said["name"]


@pytest.fixture
def resend(simulator: Simulator) -> Simulator:
    simulator.scenario(resend_domains=["acme-mail.io"])
    return simulator


def test_what_is_accepted_stands_in_the_log(resend: Simulator) -> None:
    resend.scenario(addresses={"gone@example.com": "bounce"})
    status, said = ask(resend, "/emails", mail(html="<p>{{x}}</p>", reply_to=["b@example.com"]))
    batch = [mail("c@example.com", tags=[{"name": "t", "value": "1"}]), mail("gone@example.com")]
    _, many = ask(resend, "/emails/batch", batch)
    first, second, third = resend.messages()
    assert (status, said) == (200, {"id": first["message_id"]})
    assert many == {"data": [{"id": second["message_id"]}, {"id": third["message_id"]}]}
    assert (first["provider"], first["html"], first["reply_to"]) == (
        "resend",
        "<p>{{x}}</p>",
        "b@example.com",
    )
    assert (second["tags"], third["outcome"]) == ({"t": "1"}, "bounce")


def test_nothing_of_it_counts_in_the_quota_of_ses(resend: Simulator) -> None:
    resend.scenario(account={"max_send_rate": 1, "max_24_hour_send": 1})
    assert ask(resend, "/emails/batch", [mail()] * 5)[0] == 200
    assert resend.call("GET", "/_sim/outbox")["pending"] == 0


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [("Bearer nonsense", (403, "invalid_api_key")), ("re_test", (403, "invalid_api_key"))],
)
def test_a_wrong_api_key_is_refused(resend: Simulator, authorization: str, expected: tuple[int, str]) -> None:
    assert refusal(ask(resend, "/emails", mail(), Authorization=authorization)) == expected


def test_what_is_not_there_is_told(resend: Simulator) -> None:
    assert refusal(ask(resend, "/nothing", mail())) == (404, "not_found")
    assert refusal(ask(resend, "/emails", mail(), method="PUT")) == (405, "method_not_allowed")
    request = urllib.request.Request(f"{resend.url}/resend/emails", method="POST", data=b"{}")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    with refused.value as answer:
        assert (answer.status, json.loads(answer.read())["name"]) == (401, "missing_api_key")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"from": ""}, (422, "missing_required_field")),
        ({"to": []}, (422, "missing_required_field")),
        ({"subject": ""}, (422, "missing_required_field")),
        ({"text": ""}, (422, "missing_required_field")),
        ({"from": "nobody"}, (422, "validation_error")),
        ({"from": "n@globex-post.net"}, (403, "validation_error")),
        ({"to": "nobody"}, (422, "validation_error")),
        ({"to": ["a@example.com"] * 51}, (422, "validation_error")),
        ({"reply_to": "nobody"}, (422, "validation_error")),
        ({"subject": "a\nb"}, (422, "validation_error")),
        ({"html": 7}, (422, "validation_error")),
        ({"headers": {"X-A": "a\nb"}}, (422, "validation_error")),
        ({"headers": ["X-A"]}, (422, "validation_error")),
        ({"tags": [{"name": "a b", "value": "1"}]}, (422, "validation_error")),
        ({"tags": [{"name": "a", "value": "é"}]}, (422, "validation_error")),
        ({"tags": {"a": "1"}}, (422, "validation_error")),
    ],
)
def test_what_cannot_be_sent_is_refused_and_a_strict_batch_with_it(
    resend: Simulator, changes: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert refusal(ask(resend, "/emails", mail(**changes))) == expected
    assert refusal(ask(resend, "/emails/batch", [mail(), mail(**changes)])) == expected
    assert resend.messages() == []


def test_a_permissive_batch_leaves_out_what_cannot_be_sent(resend: Simulator) -> None:
    batch = [mail("nobody"), mail("b@example.com"), "text"]
    status, said = ask(resend, "/emails/batch", batch, **{"x-batch-validation": "permissive"})
    assert (status, [each["index"] for each in said["errors"]]) == (200, [0, 2])
    assert [each["id"] for each in said["data"]] == [each["message_id"] for each in resend.messages()]


@pytest.mark.parametrize("batch", [[], [mail()] * 101, mail()])
def test_a_batch_has_from_one_to_a_hundred_mails(resend: Simulator, batch: Any) -> None:
    assert refusal(ask(resend, "/emails/batch", batch)) == (422, "validation_error")


def test_a_key_makes_one_mail_of_repetitions_for_24_hours(resend: Simulator) -> None:
    first = ask(resend, "/emails/batch", [mail(), mail()], key="one")
    assert ask(resend, "/emails/batch", [mail(), mail()], key="one") == first
    assert refusal(ask(resend, "/emails/batch", [mail()], key="one")) == (409, "invalid_idempotent_request")
    assert len(resend.messages()) == 2
    resend.advance_clock(86_401)
    assert ask(resend, "/emails/batch", [mail()], key="one")[0] == 200
    assert len(resend.messages()) == 3
    assert refusal(ask(resend, "/emails", mail(), key="k" * 257)) == (400, "invalid_idempotency_key")


def test_a_refused_request_does_not_use_its_key_up(resend: Simulator) -> None:
    assert ask(resend, "/emails", mail("nobody"), key="one")[0] == 422
    assert ask(resend, "/emails", mail(), key="one")[0] == 200


def test_a_key_under_way_is_told(resend: Simulator) -> None:
    resend.faults({"kind": "latency", "operation": "resend.emails", "seconds": 0.5})
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, resend, "/emails", mail(), "one")
        time.sleep(0.2)
        assert refusal(ask(resend, "/emails", mail(), key="one")) == (409, "concurrent_idempotent_requests")
        assert ask(resend, "/emails", mail(), key="one") != first.result()
    assert ask(resend, "/emails", mail(), key="one") == first.result()
    assert len(resend.messages()) == 1


def test_two_requests_a_second_when_the_scenario_says_so(resend: Simulator) -> None:
    resend.scenario(resend_calls_per_second=2)
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(ask(resend, "/emails", mail())[0])) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 200, 429, 429, 429]
    assert refusal(ask(resend, "/emails", mail())) == (429, "rate_limit_exceeded")
    resend.advance_clock(1.1)
    assert ask(resend, "/emails", mail())[0] == 200


def test_faults_strike_it_by_name_only(resend: Simulator) -> None:
    resend.faults({"kind": "error", "times": 0})
    assert ask(resend, "/emails", mail())[0] == 200
    resend.faults(
        {"kind": "throttle", "operation": "resend.batch", "code": "daily_quota_exceeded"},
        {"kind": "error", "operation": "resend.emails", "status": 502},
        {"kind": "error", "operation": "resend.batch", "entry": True},
    )
    assert refusal(ask(resend, "/emails/batch", [mail()])) == (429, "daily_quota_exceeded")
    assert refusal(ask(resend, "/emails", mail())) == (502, "internal_server_error")
    batch = ask(resend, "/emails/batch", [mail(), mail()], **{"x-batch-validation": "permissive"})
    assert [each["index"] for each in batch[1]["errors"]] == [0]


@pytest.mark.parametrize(
    "scenario", [{"resend_domains": "acme-mail.io"}, {"resend_domains": [1]}, {"resend_calls_per_second": -1}]
)
def test_a_scenario_that_cannot_be_is_refused(simulator: Simulator, scenario: dict[str, Any]) -> None:
    status, text = simulator.refusal("POST", "/_sim/scenario", scenario)
    assert (status, text[-1]) == (400, ".")


def test_a_key_outlives_the_process(tmp_path: Path) -> None:
    with running_simulator(tmp_path) as (simulator, process):
        simulator.scenario(resend_domains=["acme-mail.io"])
        first = ask(simulator, "/emails", mail(), key="one")
        process.kill()
    with running_simulator(tmp_path) as (simulator, _):
        assert ask(simulator, "/emails", mail(), key="one") == first
        assert len(simulator.messages()) == 1


def test_an_installation_on_one_machine_sends_through_it_unless_told_otherwise(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, 8501)
    environment = place.environment(Settings.load())
    sender, key = environment["POSTYARD_RESEND_FROM"], environment["POSTYARD_RESEND_API_KEY"]
    assert environment["POSTYARD_RESEND_URL"] == "http://127.0.0.1:8502/resend"
    answer = ask(simulator, "/emails", mail(**{"from": sender}), Authorization=f"Bearer {key}")
    assert answer[0] == 200
    monkeypatch.setenv("POSTYARD_RESEND_API_KEY", "re_own")
    assert place.environment(Settings.load(resend_from=sender))["POSTYARD_RESEND_API_KEY"] == "re_own"
