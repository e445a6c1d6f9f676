"""The Senders page: what people see of their senders, and what its buttons do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from streamlit.testing.v1 import AppTest

from core import access, senders
from core.access import Actor
from core.app import App
from core.db.models import Identity, Sender, Tenant, User
from tests.conftest import Cast, verified_sender
from tests.simulators import Simulator
from tests.ui.conftest import Console
from tests.ui.visits import Visit, shown, visits

NEWS = "news@acme-mail.io"


@pytest.fixture
def page(console: Console, people: Callable[..., User], cast: Cast) -> Visit:
    return visits(console, people, cast, "pages/sending/senders.py")


@pytest.fixture
def news(app: App, cast: Cast) -> Sender:
    return senders.add(app, access.SYSTEM, cast.acme.id, NEWS)


def choose(at: AppTest, sender: Sender, option: str) -> AppTest:
    at.menu_button(key=f"senders.menu.{sender.id}").click(option)
    return at.run()


def note(app: App, sender: Sender, **values: Any) -> None:
    """As if a check had found this out."""
    with app.db.begin() as session:
        session.execute(update(Identity).where(Identity.id == sender.identity_id).values(**values))


def addresses(app: App, tenant_id: int) -> list[str]:
    return [view.sender.address for view in senders.list_senders(app, access.SYSTEM, tenant_id)]


def listed(at: AppTest) -> list[str]:
    """Each address leads to its sender's page."""
    return [button.label for button in at.button if str(button.key).startswith("senders.open.")]


def test_without_senders_there_is_one_button_to_press(page: Visit, cast: Cast) -> None:
    at = page(cast.bob)
    assert not at.exception
    assert "No senders yet" in shown(at)
    assert at.button(key="senders.first").label == "Add sender"


def test_an_analyst_sees_no_button_that_changes_anything(page: Visit, news: Sender, cast: Cast) -> None:
    at = page(cast.carol)
    assert listed(at) == [NEWS]
    assert {button.key for button in at.button if str(button.key).startswith("senders.")} == {
        f"senders.open.{news.id}",
        f"senders.records.{news.id}",
    }
    at.button(key=f"senders.records.{news.id}").click().run()
    assert "up to 72 hours" in shown(at)
    assert {button.key for button in at.button if str(button.key).startswith("sender")} == {"senders.back"}
    assert not at.menu_button


def test_an_account_manager_may_do_everything_but_delete(page: Visit, news: Sender, cast: Cast) -> None:
    at = page(cast.bob)
    labels = at.menu_button(key=f"senders.menu.{news.id}").options
    assert [label.split(": ")[-1] for label in labels] == [
        "Verify now", "DNS records", "Send to your DNS person", "Make default",
    ]  # fmt: skip


def test_a_sender_is_added_in_two_steps(page: Visit, app: App, cast: Cast) -> None:
    at = page(cast.bob)
    at.button(key="senders.first").click().run()
    at.text_input(key="senders.address").input(NEWS)
    at.text_input(key="senders.display_name").input("Acme News")
    at.button(key="senders.continue").click().run()
    assert not at.exception
    [view] = senders.list_senders(app, cast.bob, cast.acme.id)
    assert (view.sender.address, view.sender.display_name) == (NEWS, "Acme News")
    expected = senders.records(app, cast.bob, cast.acme.id, view.sender.id)
    values = {code.value for code in at.code}
    assert {record.value for record in expected} <= values
    assert {record.name for record in expected} <= values
    assert "Step 2 of 2" in shown(at)
    assert "up to 72 hours" in shown(at)


def test_a_single_address_is_verified_by_mail_and_needs_no_records(page: Visit, app: App, cast: Cast) -> None:
    at = page(cast.bob)
    at.button(key="senders.first").click().run()
    at.text_input(key="senders.address").input("dev@acme-mail.io")
    at.checkbox(key="senders.alone").check()
    at.button(key="senders.continue").click().run()
    assert not at.exception
    assert "Amazon SES has written to" in shown(at)
    assert not at.code
    assert "Step 2" not in shown(at)


@pytest.mark.parametrize("address", ["not-an-address", "news@localhost", "news@example.com"])
def test_an_address_that_cannot_be_used_is_refused_and_kept_in_its_field(
    page: Visit, app: App, cast: Cast, address: str
) -> None:
    at = page(cast.bob)
    at.button(key="senders.first").click().run()
    at.text_input(key="senders.address").input(address)
    at.button(key="senders.continue").click().run()
    assert len(at.error) == 1
    assert at.text_input(key="senders.address").value == address
    assert addresses(app, cast.acme.id) == []


def test_verify_now_turns_the_badge_green_when_dns_holds_the_records(
    page: Visit, app: App, cast: Cast, news: Sender, simulator: Simulator
) -> None:
    records = senders.records(app, access.SYSTEM, cast.acme.id, news.id)
    simulator.put_dns([record.as_json() for record in records])
    at = page(cast.bob)
    assert "Pending" in shown(at)
    at.button(key=f"senders.verify.{news.id}").click().run()
    assert "is verified" in at.success[0].value
    assert "Verified" in shown(at)
    assert f"DKIM success · {len(records)} of {len(records)} records found" in shown(at)


def test_what_ses_misses_is_said_in_words(page: Visit, cast: Cast, news: Sender) -> None:
    at = page(cast.bob)
    at.button(key=f"senders.verify.{news.id}").click().run()
    choose(at, news, "records")
    assert "SES has not found the records in DNS yet." in shown(at)
    assert "Missing" in shown(at)


def test_the_cooldown_is_said_in_a_sentence_and_counted_on_the_button(
    page: Visit, cast: Cast, news: Sender
) -> None:
    at = page(cast.bob)
    at.button(key=f"senders.verify.{news.id}").click().run()
    at.button(key=f"senders.verify.{news.id}").click().run()
    assert "Try again in" in at.error[0].value
    choose(at, news, "records")
    assert at.button(key="sender.verify").label.startswith("Verify again in ")
    assert at.button(key="sender.verify").disabled


def test_a_failed_sender_says_why_and_what_to_do(page: Visit, app: App, cast: Cast, news: Sender) -> None:
    [first, *_] = senders.findings(app, access.SYSTEM, cast.acme.id, news.id)
    wrong = {**first.as_json(), "verdict": "different", "advice": "Switch the proxy off for this record."}
    note(app, news, verification_status="FAILED", error_type="TYPE_NOT_FOUND", dns_findings=[wrong])
    at = page(cast.carol)
    assert "Failed" in shown(at)
    assert "after 72 hours: 1 DKIM record changed" in shown(at)
    assert "Switch the proxy off" not in shown(at)
    at.button(key=f"senders.open.{news.id}").click().run()
    assert "looked for the DKIM records for 72 hours and gave up" in shown(at)
    assert "Switch the proxy off for this record." in shown(at)


def test_a_broken_sender_says_since_when_and_what_happens(
    page: Visit, app: App, cast: Cast, news: Sender
) -> None:
    dkim = senders.findings(app, access.SYSTEM, cast.acme.id, news.id)[:3]
    note(app, news, broken_at=app.now() - timedelta(hours=3), broken_reason="A DKIM record is missing.",
         dns_findings=[{**each.as_json(), "verdict": "missing"} for each in dkim])  # fmt: skip
    at = page(cast.carol)
    assert "Failed" in shown(at)
    [line] = [each.value for each in at.markdown if "Broken since" in each.value]
    assert line.endswith(": 3 DKIM records missing]")
    assert "A DKIM record is missing." not in shown(at)
    at.button(key=f"senders.open.{news.id}").click().run()
    assert "A DKIM record is missing." in shown(at)
    assert "Its campaigns wait, and go on by themselves" in shown(at)
    with app.db.begin() as session:
        session.execute(update(Tenant).values(fallback_policy="unmatched_sender"))
    at.run()
    assert "Its campaigns wait" not in shown(at)
    assert "its campaigns go through Resend where the tenant's fallback policy allows it" in shown(at)


def test_a_better_value_stands_in_place_of_the_expected_one(
    page: Visit, app: App, cast: Cast, news: Sender
) -> None:
    found = senders.findings(app, access.SYSTEM, cast.acme.id, news.id)
    [spf] = [each for each in found if each.record.name == "acme-mail.io"]
    merged = "v=spf1 include:_spf.acme-mail.io include:amazonses.com ~all"
    hidden = "v=spf1 include:_spf.acme-mail.io \u202e~all"
    note(app, news, dns_findings=[
        {**spf.as_json(), "verdict": "different", "mistake": "spf without ses", "found": [hidden],
         "better": merged, "advice": "Change the SPF record that is there."},
    ])  # fmt: skip
    at = page(cast.carol)
    at.button(key=f"senders.records.{news.id}").click().run()
    values = [code.value for code in at.code]
    assert merged in values
    assert "v=spf1 include:_spf.acme-mail.io \\u202e~all" in values
    assert "Change the SPF record that is there." in at.warning[0].value


def test_an_unverified_sender_cannot_be_made_the_default(page: Visit, cast: Cast, news: Sender) -> None:
    at = choose(page(cast.bob), news, "default")
    assert "Domain must be verified" in at.error[0].value


def test_deleting_asks_first_says_what_is_left_to_do_and_can_be_undone(
    page: Visit, app: App, cast: Cast, alice: Actor, simulator: Simulator
) -> None:
    sender = verified_sender(app, simulator, cast.acme.id, NEWS)
    at = choose(page(alice), sender, "delete")
    assert "For 7 days it can be restored" in shown(at)
    assert addresses(app, cast.acme.id) == [NEWS]
    at.button(key="confirm.yes").click().run()
    assert addresses(app, cast.acme.id) == []
    assert "These DNS records may be taken out after" in shown(at)
    assert "_domainkey.acme-mail.io" in shown(at)
    at.button(key="senders.deleted.done").click().run()
    assert "No senders yet" in shown(at)
    assert "Can be restored until" in shown(at)
    at.button(key=f"senders.restore.{sender.id}").click().run()
    assert f"`{NEWS}` is back" in at.success[0].value
    assert "There is none." in shown(at)
    at.button(key="senders.offer.no").click().run()
    assert "There is none." not in shown(at)
    assert addresses(app, cast.acme.id) == [NEWS]


def test_undoing_the_deletion_of_the_default_offers_to_make_it_so_again(
    page: Visit, app: App, cast: Cast, alice: Actor, simulator: Simulator
) -> None:
    sender = verified_sender(app, simulator, cast.acme.id, NEWS)
    senders.set_default(app, cast.bob, cast.acme.id, sender.id)
    at = choose(page(alice), sender, "delete")
    at.button(key="confirm.yes").click().run()
    at.button(key="senders.undo").click().run()
    assert "is back, but it is no longer the default sender." in at.success[0].value
    at.button(key="senders.offer.yes").click().run()
    assert "is the default sender now" in at.success[0].value
    [view] = senders.list_senders(app, cast.bob, cast.acme.id)
    assert view.sender.is_default
    assert "senders.offer.yes" not in {button.key for button in at.button}


def test_remove_now_in_an_old_tab_spares_what_a_colleague_has_restored(
    page: Visit, app: App, cast: Cast, alice: Actor, news: Sender
) -> None:
    senders.remove(app, alice, cast.acme.id, news.id)
    at = page(alice)
    at.button(key=f"senders.for_good.{news.id}").click().run()
    senders.restore(app, alice, cast.acme.id, news.id)
    at.button(key="confirm.yes").click().run()
    assert "meanwhile. Look again." in at.error[0].value
    assert addresses(app, cast.acme.id) == [NEWS]
    assert app.providers.email(app.settings.region).find_identity("acme-mail.io") is not None


def test_removing_at_once_takes_the_domain_out_of_ses(
    page: Visit, app: App, cast: Cast, alice: Actor, news: Sender
) -> None:
    at = choose(page(alice), news, "delete")
    at.checkbox(key="senders.delete.at_once").check().run()
    assert "It cannot be restored" in shown(at)
    at.button(key="confirm.yes").click().run()
    assert "removed for good" in shown(at)
    assert "Deleted senders" not in shown(at)
    assert app.providers.email(app.settings.region).find_identity("acme-mail.io") is None


def test_the_second_of_two_people_is_told(
    page: Visit, app: App, cast: Cast, alice: Actor, simulator: Simulator
) -> None:
    sender = verified_sender(app, simulator, cast.acme.id, NEWS)
    at = choose(page(alice), sender, "delete")
    senders.set_default(app, cast.bob, cast.acme.id, sender.id)
    at.button(key="confirm.yes").click().run()
    assert "was changed by somebody else meanwhile" in at.error[0].value
    assert addresses(app, cast.acme.id) == [NEWS]


def test_a_link_for_the_dns_person_is_shown_once_and_can_be_revoked(
    page: Visit, cast: Cast, news: Sender
) -> None:
    at = choose(page(cast.bob), news, "share")
    at.text_input(key="onboarding.note").input("Sam at the agency")
    at.button(key="onboarding.make").click().run()
    assert not at.exception
    [address] = [code.value for code in at.code if "/onboarding/" in code.value]
    assert len(address.rpartition("/")[2]) >= 43
    assert "Sam at the agency" in shown(at)
    assert "Never opened" in shown(at)
    [revoke] = [button for button in at.button if str(button.key).startswith("onboarding.revoke.")]
    revoke.click().run()
    assert "Revoked" in shown(at)


def test_another_mail_from_domain_is_refused_beside_its_field_or_taken(
    page: Visit, app: App, cast: Cast, news: Sender
) -> None:
    at = choose(page(cast.bob), news, "records")
    at.button(key="sender.mail_from").click().run()
    at.text_input(key="mail_from.domain").input("bounce.somebody-else.net")
    at.button(key="mail_from.save").click().run()
    assert "lies below acme-mail.io" in at.error[0].value
    at.text_input(key="mail_from.domain").input("returns")
    at.button(key="mail_from.save").click().run()
    assert not at.error
    [view] = senders.list_senders(app, cast.bob, cast.acme.id)
    assert view.identity.mail_from_domain == "returns.acme-mail.io"
    assert "returns.acme-mail.io" in shown(at)


def test_the_records_can_be_taken_home_in_three_forms(page: Visit, cast: Cast, news: Sender) -> None:
    at = page(cast.carol)
    at.button(key=f"senders.records.{news.id}").click().run()
    labels = [button.label for button in at.get("download_button")]
    assert labels == ["BIND zone file", "Route 53 change batch", "Cloudflare import file"]


def test_senders_come_in_pages(page: Visit, app: App, cast: Cast, news: Sender) -> None:
    note(app, news, verified_for_sending=True)
    for number in range(20):
        senders.add(app, access.SYSTEM, cast.acme.id, f"team{number:02}@acme-mail.io")
    at = page(cast.carol)
    assert "Page 1 of 2, 21 senders" in shown(at)
    assert len(listed(at)) == 20
    assert NEWS in listed(at)
    assert "team19@acme-mail.io" not in listed(at)


def test_a_sender_that_is_gone_or_never_was_is_not_there(page: Visit, cast: Cast) -> None:
    at = page(cast.bob)
    for number in ("999999", "-1", "x", "9" * 40):
        at.query_params["sender"] = number
        at.run()
        assert not at.exception
        assert "There is no such sender here" in shown(at)


def test_another_tenants_slug_shows_nothing_of_it(page: Visit, app: App, cast: Cast) -> None:
    sender = senders.add(app, access.SYSTEM, cast.globex.id, "secret@globex-post.net")
    at = page(cast.bob, tenant="globex")
    assert not at.exception
    assert "globex" not in shown(at).lower()
    at.query_params["sender"] = str(sender.id)
    at.run()
    assert "globex" not in shown(at).lower()
    assert "There is no such sender here" in shown(at)
