"""The Senders page about DNS: what it says of each record, and that strangers' answers act in none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update
from streamlit.testing.v1 import AppTest

from core import access, senders
from core.app import App
from core.db.models import Identity, Sender, User
from core.dns import Finding, Kind
from tests.conftest import Cast
from tests.ui.conftest import Console
from tests.ui.visits import Visit, shown, visits

HIDDEN = "v=spf1 \u202e\u200b\u3164 ~all"
WRITTEN = r"v=spf1 \u202e\u200b\u3164 ~all"


@pytest.fixture
def page(console: Console, people: Callable[..., User], cast: Cast) -> Visit:
    return visits(console, people, cast, "pages/sending/senders.py")


@pytest.fixture
def news(app: App, cast: Cast) -> Sender:
    return senders.add(app, access.SYSTEM, cast.acme.id, "news@acme-mail.io")


@pytest.fixture
def opened(page: Visit, cast: Cast, news: Sender) -> Callable[[], AppTest]:
    """Its records, as bob sees them."""

    def open_it() -> AppTest:
        return page(cast.bob).button(key=f"senders.records.{news.id}").click().run()

    return open_it


def note(app: App, sender: Sender, **values: Any) -> None:
    """As if a check had found this out."""
    with app.db.begin() as session:
        session.execute(update(Identity).where(Identity.id == sender.identity_id).values(**values))


def findings(app: App, sender: Sender) -> list[Finding]:
    return senders.findings(app, access.SYSTEM, sender.tenant_id, sender.id)


def found(app: App, sender: Sender, **of_all: Any) -> list[dict[str, Any]]:
    return [{**each.as_json(), "verdict": "found", "mistake": "", "advice": "", **of_all}
            for each in findings(app, sender)]  # fmt: skip


def of(app: App, sender: Sender, kind: Kind, **values: Any) -> dict[str, Any]:
    [one] = [each for each in findings(app, sender)
             if each.record.kind is kind and "bounce" not in each.record.name]  # fmt: skip
    return {**one.as_json(), **values}


def test_before_the_first_look_nothing_is_counted_and_spf_comes_with_a_warning(
    opened: Callable[[], AppTest], app: App, news: Sender
) -> None:
    note(app, news, dns_findings=[], checked_at=None)
    at = opened()
    assert "Not checked yet" in shown(at)
    assert "0 of" not in shown(at)
    [warning] = [each.value for each in at.warning if "no SPF record yet" in each.value]
    assert "include:amazonses.com" in warning


def test_nothing_hides_in_advice_or_in_a_value_to_publish(
    opened: Callable[[], AppTest], app: App, news: Sender
) -> None:
    spf = of(app, news, Kind.SPF, verdict="different", mistake="spf without ses", found=[HIDDEN],
             advice=f"Change {HIDDEN}.", better=HIDDEN)  # fmt: skip
    note(app, news, dns_findings=[spf])
    at = opened()
    assert [code.value for code in at.code].count(WRITTEN) == 2
    assert r"\u202e" in "".join(each.value for each in at.warning)
    assert not set("\u202e\u200b\u3164") & set(shown(at))


def test_where_only_the_owner_can_merge_no_value_is_offered_to_copy(
    opened: Callable[[], AppTest], app: App, news: Sender
) -> None:
    both = ["v=spf1 include:a.example -all", "v=spf1 mx -all"]
    spf = of(app, news, Kind.SPF, verdict="different", mistake="two spf", found=both, advice="Merge them.")
    note(app, news, dns_findings=[*(each for each in found(app, news) if each["key"] != spf["key"]), spf])
    at = opened()
    values = [code.value for code in at.code]
    assert set(both) < set(values)
    assert values.count("v=spf1 include:amazonses.com ~all") == 1, "that of the MAIL FROM domain"
    assert "No value to copy" in shown(at)


def test_where_nothing_is_to_be_done_nothing_looks_like_work(
    opened: Callable[[], AppTest], app: App, news: Sender
) -> None:
    dmarc = of(app, news, Kind.DMARC, verdict="found", mistake="dmarc inherited", advice="Nothing to do: …")
    others = [each for each in found(app, news) if each["key"] != dmarc["key"]]
    note(app, news, dns_findings=[*others, dmarc])
    at = opened()
    assert not at.warning
    assert "Found, look at it" not in shown(at)
    assert ":material/info: Nothing to do" in shown(at)


def test_that_a_domain_does_not_exist_is_said_once(
    opened: Callable[[], AppTest], app: App, news: Sender
) -> None:
    gone = "acme-mail.io does not exist in DNS: register it, or correct its spelling."
    note(app, news, dns_findings=found(app, news, verdict="missing", mistake="no zone", advice=gone))
    at = opened()
    assert shown(at).count("does not exist in DNS") == 1
    assert "does not exist in DNS" in at.warning[0].value


def test_an_international_domain_is_shown_in_its_own_letters(page: Visit, app: App, cast: Cast) -> None:
    sender = senders.add(app, cast.bob, cast.acme.id, "news@bücher-post.de")
    at = page(cast.bob)
    assert "xn--" not in shown(at)
    assert "news@bücher-post.de" in at.button(key=f"senders.open.{sender.id}").label
    at.button(key=f"senders.records.{sender.id}").click().run()
    assert "news@bücher-post.de" in shown(at)
    assert "`xn--bcher-post-9db.de` is how DNS writes bücher-post.de" in shown(at)
    assert f"_dmarc.{senders.records(app, cast.bob, cast.acme.id, sender.id)[0].name.split('.', 2)[2]}" in [
        code.value for code in at.code
    ]


def test_on_a_finished_domain_nothing_asks_for_records_any_more(
    opened: Callable[[], AppTest], app: App, news: Sender
) -> None:
    note(app, news, dns_findings=found(app, news), checked_at=app.now(), verified_for_sending=True,
         verification_status="SUCCESS", dkim_status="SUCCESS")  # fmt: skip
    at = opened()
    assert "Add these records" not in shown(at)
    assert "sender.share" not in {button.key for button in at.button}
    assert "Everything is published." in shown(at)


@pytest.mark.parametrize(
    ("verdict", "advice", "said"),
    [("missing", "Add the MX.", "Add the MX. Then press Verify now."), ("found", "", "press Verify now")],
)
def test_a_failed_mail_from_says_why_and_what_to_do(
    opened: Callable[[], AppTest], app: App, news: Sender, verdict: str, advice: str, said: str
) -> None:
    note(app, news, mail_from_status="FAILED", dns_findings=found(app, news, verdict=verdict, advice=advice))
    [warning] = [each.value for each in opened().warning if "amazonses.com" in each.value]
    assert said in warning
