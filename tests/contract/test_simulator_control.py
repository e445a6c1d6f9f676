"""The control API and the DNS server: what tests and demos steer the simulated world with."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from typing import Any

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.resolver
import pytest

from tests.contract.simulator_clients import Clients
from tests.simulators import Simulator


@pytest.fixture
def clients(simulator: Simulator) -> Clients:
    return Clients.of(simulator)


def resolver(simulator: Simulator) -> dns.resolver.Resolver:
    host, port = simulator.dns.split(":")
    made = dns.resolver.Resolver(configure=False)
    made.nameservers, made.port, made.lifetime = [host], int(port), 3
    return made


def values(simulator: Simulator, name: str, kind: str) -> list[str]:
    return sorted(each.to_text() for each in resolver(simulator).resolve(name, kind))


def record(kind: str, name: str, value: str) -> dict[str, str]:
    return {"type": kind, "name": name, "value": value, "purpose": "ignored"}


def test_health_answers(simulator: Simulator) -> None:
    assert simulator.call("GET", "/_sim/health") == {"ok": True}


def test_a_web_page_cannot_steer_it(simulator: Simulator) -> None:
    request = urllib.request.Request(
        simulator.url + "/_sim/reset", method="POST", headers={"Origin": "https://evil.example.org"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    with refused.value as answer:
        assert answer.status == 403


def test_a_reset_goes_back_to_what_was_kept(clients: Clients) -> None:
    simulator = clients.simulator
    clients.ready()
    simulator.scenario(account={"max_send_rate": 7})
    clients.send("first@example.com")
    simulator.keep("one mail")
    clients.send("second@example.com")
    clients.ses.create_tenant(TenantName="globex")
    simulator.scenario(account={"max_send_rate": 8})

    for _ in range(2):
        simulator.reset(to="one mail")
        assert [each["to"] for each in simulator.messages()] == ["first@example.com"]
        assert simulator.call("GET", "/_sim/scenario")["account"]["max_send_rate"] == 7
        assert [each["TenantName"] for each in clients.ses.list_tenants()["Tenants"]] == ["acme"]
        told = {(each["eventType"], each["mail"]["destination"][0]) for each in clients.records(2)}
        assert told == {("Send", "first@example.com"), ("Delivery", "first@example.com")}
        clients.send("third@example.com")

    status, sentence = simulator.refusal("POST", "/_sim/reset", {"to": "nothing"})
    assert (status, sentence) == (400, "Nothing is kept as 'nothing'; keep it first.")


def test_a_reset_empties_everything(clients: Clients) -> None:
    clients.ready()
    clients.simulator.scenario(
        account={"max_send_rate": 7}, addresses={"a@example.com": "bounce"}, event_delay_seconds=9
    )
    clients.simulator.faults({"kind": "error", "operation": "SendEmail", "times": 5})
    clients.simulator.advance_clock(500)
    clients.simulator.reset()
    assert clients.simulator.messages() == []
    assert clients.simulator.call("GET", "/_sim/dns") == []
    assert clients.simulator.call("GET", "/_sim/faults") == []
    assert clients.simulator.call("GET", "/_sim/outbox") == {"pending": 0, "in_queues": 0}
    assert clients.ses.list_tenants()["Tenants"] == []
    assert clients.ses.list_email_identities()["EmailIdentities"] == []
    assert clients.ses.list_configuration_sets()["ConfigurationSets"] == []
    assert clients.sns.list_topics()["Topics"] == []
    assert clients.sqs.list_queues().get("QueueUrls", []) == []
    account = clients.ses.get_account()
    assert account["SendQuota"] == {"Max24HourSend": 500_000.0, "MaxSendRate": 200.0, "SentLast24Hours": 0.0}
    assert account["ProductionAccessEnabled"]
    assert account["SendingEnabled"]


def test_what_was_on_its_way_before_a_reset_never_arrives(clients: Clients) -> None:
    clients.ready()
    clients.simulator.scenario(event_delay_seconds=0.3)
    clients.send("before@example.com")
    clients.simulator.reset()
    clients.ready()
    clients.send("after@example.com")
    time.sleep(0.4)
    assert {each["mail"]["destination"][0] for each in clients.records(2)} == {"after@example.com"}


def test_a_put_replaces_the_values_of_the_names_it_names(simulator: Simulator) -> None:
    simulator.put_dns(
        [record("TXT", "acme-mail.io", "one"), record("MX", "acme-mail.io", "10 mx.acme-mail.io")]
    )
    simulator.put_dns([record("TXT", "ACME-mail.io", "two"), record("TXT", "acme-mail.io.", "three")])
    assert values(simulator, "acme-mail.io", "TXT") == ['"three"', '"two"']
    assert [each.lower() for each in values(simulator, "Acme-Mail.IO", "MX")] == ["10 mx.acme-mail.io."]
    simulator.call("DELETE", "/_sim/dns", {"records": [record("TXT", "acme-mail.io", "two")]})
    assert values(simulator, "acme-mail.io", "TXT") == ['"three"']
    simulator.call("DELETE", "/_sim/dns", [{"type": "TXT", "name": "acme-mail.io"}])
    assert [each["type"] for each in simulator.call("GET", "/_sim/dns")] == ["MX"]


def test_names_without_records_are_told_apart(simulator: Simulator) -> None:
    simulator.put_dns([record("TXT", "_dmarc.acme-mail.io", "v=DMARC1; p=none")])
    with pytest.raises(dns.resolver.NXDOMAIN):
        values(simulator, "www.acme-mail.io", "A")
    with pytest.raises(dns.resolver.NXDOMAIN):
        values(simulator, "nowhere.example", "A")
    for name in ("_dmarc.acme-mail.io", "acme-mail.io"):
        with pytest.raises(dns.resolver.NoAnswer):
            values(simulator, name, "MX")


def test_a_zone_has_authority(simulator: Simulator) -> None:
    simulator.put_dns([record("A", "www.eu.acme-mail.io", "192.0.2.7")])
    assert dns.resolver.zone_for_name("www.eu.acme-mail.io", resolver=resolver(simulator)).to_text() == (
        "acme-mail.io."
    )
    assert values(simulator, "acme-mail.io", "NS") == ["ns1.acme-mail.io.", "ns2.acme-mail.io."]
    assert values(simulator, "ns1.acme-mail.io", "A") == ["127.0.0.1"]


def test_aliases_are_followed_and_loops_end(simulator: Simulator) -> None:
    simulator.put_dns(
        [
            record("CNAME", "a.acme-mail.io", "b.acme-mail.io"),
            record("TXT", "b.acme-mail.io", "found"),
            record("CNAME", "x.acme-mail.io", "y.acme-mail.io"),
            record("CNAME", "y.acme-mail.io", "x.acme-mail.io"),
        ]
    )
    assert values(simulator, "a.acme-mail.io", "TXT") == ['"found"']
    assert values(simulator, "a.acme-mail.io", "CNAME") == ["b.acme-mail.io."]
    with pytest.raises((dns.resolver.NoAnswer, dns.resolver.NXDOMAIN, dns.resolver.NoNameservers)):
        values(simulator, "x.acme-mail.io", "TXT")


def test_a_long_answer_is_truncated_and_complete_over_tcp(simulator: Simulator) -> None:
    texts = [record("TXT", "big.acme-mail.io", f"{number:02d}" + "x" * 400) for number in range(20)]
    simulator.put_dns(texts)
    host, port = simulator.dns.split(":")
    query = dns.message.make_query("big.acme-mail.io", "TXT")
    short = dns.query.udp(query, host, port=int(port), timeout=3)
    assert short.flags & dns.flags.TC
    assert len(dns.query.tcp(query, host, port=int(port), timeout=3).answer[0]) == 20
    assert len(values(simulator, "big.acme-mail.io", "TXT")) == 20


def test_the_clock_only_adds_to_real_time(simulator: Simulator) -> None:
    before = simulator.call("POST", "/_sim/clock", {"advance_seconds": 0})["now"]
    after = simulator.call("POST", "/_sim/clock", {"advance_seconds": 86_400})["now"]
    assert after[:10] > before[:10]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/_sim/dns", {"type": "TXT"}),
        ("PUT", "/_sim/dns", [{"type": "TXT", "name": "acme-mail.io"}]),
        ("PUT", "/_sim/dns", [{"type": "NONSENSE", "name": "acme-mail.io", "value": "x"}]),
        ("PUT", "/_sim/dns", [{"type": "A", "name": "acme-mail.io", "value": "not an address"}]),
        ("PUT", "/_sim/dns", [{"type": "TXT", "name": "a..b", "value": "x"}]),
        ("POST", "/_sim/clock", {"advance_seconds": "soon"}),
        ("POST", "/_sim/scenario", {"weather": "rain"}),
        ("POST", "/_sim/scenario", {"account": {"colour": "red"}}),
        ("POST", "/_sim/scenario", {"account": {"max_send_rate": "fast"}}),
        ("POST", "/_sim/scenario", {"default": {"bounce": 2}}),
        ("POST", "/_sim/scenario", {"domains": {"example.com": 1}}),
        ("POST", "/_sim/scenario", {"addresses": {"a@example.com": "eaten"}}),
        ("POST", "/_sim/scenario", {"tenants": {"nobody": {"aws_status": "DISABLED"}}}),
        ("POST", "/_sim/scenario", {"account": {"review": "GRANTED"}}),
        ("POST", "/_sim/scenario", [1]),
        ("POST", "/_sim/tenants", {"name": "nobody", "aws_status": "DISABLED"}),
        ("POST", "/_sim/faults", {"kind": "error"}),
        ("GET", "/_sim/messages?limit=many", None),
        ("GET", "/_sim/messages?from=a", None),
    ],
)
def test_a_control_request_that_cannot_be_used_gets_a_sentence(
    simulator: Simulator, method: str, path: str, body: Any
) -> None:
    status, text = simulator.refusal(method, path, body)
    assert status == 400
    assert text.endswith(".")


def test_an_unknown_control_lists_what_there_is(simulator: Simulator) -> None:
    status, text = simulator.refusal("POST", "/_sim/weather", {})
    assert status == 404
    assert "POST /_sim/reset" in text


def test_nothing_of_a_refused_scenario_is_kept(simulator: Simulator) -> None:
    simulator.refusal("POST", "/_sim/scenario", {"account": {"max_send_rate": 1}, "default": {"bounce": 7}})
    assert simulator.call("GET", "/_sim/scenario")["account"]["max_send_rate"] == 200.0
