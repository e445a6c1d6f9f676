"""The setup of a tenant: its checklist, what it has in AWS, drift, repair and the reputation policy."""

from __future__ import annotations

from collections.abc import Callable

import boto3
import pytest
from sqlalchemy import delete, update
from streamlit.testing.v1 import AppTest

from core import drift, tenants
from core.access import SYSTEM, Role
from core.app import App
from core.db.models import Tenant, TenantResource, User
from tests.campaigning import ingest_until_idle, send_until_idle
from tests.conftest import Cast, verified_sender
from tests.simulators import Simulator
from tests.ui.conftest import Console, open_page, said
from tests.ui.visits import shown

People = Callable[..., User]
TENANTS = "pages/operations/tenants.py"
# A refusal, not a fault of SES's: botocore does not repeat it.
REFUSED = {"kind": "error", "status": 400, "code": "BadRequestException", "times": 0}
HOSTILE = "<b> ![x](http://evil.example/x.png)"


def setup(console: Console, user: User, tenant: str = "acme") -> AppTest:
    at = console(user, tenant=tenant)
    at.query_params["view"] = "Setup"
    at = open_page(at, TENANTS)
    assert not at.exception
    return at


def keys(at: AppTest) -> set[str | None]:
    return {button.key for button in at.button}


def links(at: AppTest) -> list[str]:
    return [link.proto.label for link in at.get("page_link")]


def change(app: App, slug: str, **values: object) -> None:
    with app.db.begin() as session:
        session.execute(update(Tenant).where(Tenant.slug == slug).values(**values))


def state_of(app: App, tenant_id: int, key: str) -> str:
    with app.db.read() as session:
        row = session.get(TenantResource, (tenant_id, key))
        assert row is not None
        return row.state


# Adding


def test_adding_a_tenant_shows_the_steps_as_they_are_done(console: Console, people: People, app: App) -> None:
    at = open_page(console(people("dora", Role.OPERATOR)), TENANTS)
    at = add(at, "Acme Retail", "acme")
    assert "Acme Retail is set up in SES" in said(at)
    assert "8 of 8 as they should be" in shown(at)
    assert links(at)[0] == "Add a sender"


@pytest.mark.parametrize("slug", ["globex", "", "Not Good"])
def test_a_short_name_that_cannot_be_had_is_refused_before_anything_is_shown_as_done(
    console: Console, people: People, two_tenants: None, slug: str
) -> None:
    at = open_page(console(people("dora", Role.OPERATOR), tenant="acme"), TENANTS)
    at = add(at, "Initech", slug)
    assert "short name" in at.error[0].value
    assert not at.status
    assert at.query_params["tenant"] == "acme"
    assert at.text_input("tenants.new.slug").label == "Short name"


def test_what_ses_refused_half_way_is_named_in_the_list_and_repaired_by_a_button(
    console: Console, people: People, app: App, simulator: Simulator
) -> None:
    simulator.faults(REFUSED | {"operation": "CreateConfigurationSet"})
    at = add(open_page(console(people("dora", Role.OPERATOR)), TENANTS), "Acme Retail", "acme")
    assert "configuration set could not be made" in "".join(error.value for error in at.error)
    assert "**Configuration set** · failed" in said(at), "its steps stand where one waited for them"
    simulator.faults()
    at = open_page(console(people("erin", Role.OPERATOR), tenant="acme"), TENANTS)
    [setup_cell] = at.dataframe[0].value["Setup"]
    assert setup_cell.startswith("configuration set failed, SNS topic missing")
    assert "Its setup in AWS is not complete: configuration set failed" in said(at)
    at.button("tenants.repair").click().run()
    assert "makes or mends: configuration set, SNS topic" in said(at)
    at.button("confirm.yes").click().run()
    assert "Acme Retail is complete in SES" in said(at)
    assert "Setup" not in at.dataframe[0].value
    assert tenants.get_by_slug(app, SYSTEM, "acme").provisioned_at is not None


def test_a_repair_that_is_refused_says_so_and_the_page_goes_on(
    console: Console, people: People, app: App, cast: Cast, simulator: Simulator
) -> None:
    at = setup(console, people("dora", Role.OPERATOR))
    simulator.faults(REFUSED | {"operation": "GetTenant"})
    at.button("tenants.repair").click().run()
    at.button("confirm.yes").click().run()
    assert at.error or "not as they should be all the same" in "".join(each.value for each in at.warning)
    assert not at.success
    assert not at.exception


def add(at: AppTest, name: str, slug: str) -> AppTest:
    at.button("tenants.add").click().run()
    at.text_input("tenants.new.name").input(name)
    at.text_input("tenants.new.slug").input(slug)
    return at.button("tenants.new.save").click().run()


# Checklist


def test_the_checklist_leads_to_the_pages_where_something_is_to_be_done(
    console: Console, people: People, app: App, cast: Cast
) -> None:
    at = setup(console, people("dora", Role.OPERATOR))
    assert "**Domain verified** :orange-badge[To do]" in said(at)
    assert "Senders" in links(at)
    assert "tenants.prove" not in keys(at), "nobody is verified whom it could be sent from"


def test_the_pipeline_is_proven_by_a_message_that_comes_back(
    console: Console, people: People, app: App, cast: Cast, simulator: Simulator
) -> None:
    verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    at = setup(console, people("bob", Role.ACCOUNT_MANAGER, "acme"))
    at.button("tenants.prove").click().run()
    assert "on its way" in said(at)
    assert at.button("tenants.prove").disabled
    assert "**Events come back** :blue-badge[Under way]" in said(at)
    send_until_idle(app)
    ingest_until_idle(app)
    at.run()
    assert "A test message came back after" in said(at)
    assert at.button("tenants.prove").label == "Test again"


# What is in AWS


def test_drift_is_looked_for_shown_and_repaired(
    console: Console, people: People, app: App, cast: Cast, simulator: Simulator
) -> None:
    drift.check(app, SYSTEM, cast.acme.id)
    simulator_forgets_the_destination(app, cast.acme)
    at = setup(console, people("dora", Role.OPERATOR))
    assert "8 of 8 as they should be" in shown(at)
    at.button("tenants.check").click().run()
    assert "**Event destination** · missing" in said(at)
    assert "1 thing is not as it should be" in at.warning[0].value
    assert "7 of 8 as they should be" in shown(at)
    at.run()
    assert list(at.dataframe[0].value["Setup"]) == ["event destination missing", "Complete"]
    at.button("tenants.repair").click().run()
    at.button("confirm.cancel").click().run()
    assert state_of(app, cast.acme.id, "event destination") == "missing"
    at.button("tenants.repair").click().run()
    at.button("confirm.yes").click().run()
    assert "Acme Retail is complete in SES" in said(at)
    assert state_of(app, cast.acme.id, "event destination") == "done"


def simulator_forgets_the_destination(app: App, tenant: Tenant) -> None:
    """As somebody would with the AWS console."""
    client = boto3.client("sesv2", region_name="ap-southeast-1")
    name = str(tenant.configuration_set)
    found = client.get_configuration_set_event_destinations(ConfigurationSetName=name)
    for destination in found["EventDestinations"]:
        client.delete_configuration_set_event_destination(
            ConfigurationSetName=name, EventDestinationName=destination["Name"]
        )


def test_a_tenant_nobody_has_looked_at_says_so(
    console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    with bare_app.db.begin() as session:
        session.execute(delete(TenantResource))
    assert "Nobody has looked yet" in said(setup(console, people("dora", Role.OPERATOR)))


# Reputation


def test_a_policy_is_chosen_after_it_was_explained(
    console: Console, people: People, app: App, cast: Cast
) -> None:
    at = setup(console, people("dora", Role.OPERATOR))
    assert "tenants.policy.save" not in keys(at)
    at.radio[0].set_value("Strict").run()
    at.button("tenants.policy.save").click().run()
    assert "at any finding" in said(at)
    at.button("confirm.yes").click().run()
    assert "policy strict at SES" in said(at)
    assert tenants.get_by_slug(app, SYSTEM, "acme").reputation_policy == "strict"
    assert tenants.get_by_slug(app, SYSTEM, "globex").reputation_policy == "standard"


def test_findings_and_a_pause_of_aws_are_told_as_text_alone(
    console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    finding = {
        "type": HOSTILE,
        "description": HOSTILE,
        "impact": "HIGH",
        "opened_at": "2026-11-22T05:00:00+00:00",
    }
    change(
        bare_app, "acme", aws_status="DISABLED", aws_status_cause=HOSTILE,
        reputation_checked_at=bare_app.now(), reputation_findings=[finding],
    )  # fmt: skip
    at = setup(console, people("dora", Role.OPERATOR))
    told = [str(element.value) for kind in (at.markdown, at.error, at.caption) for element in kind]
    with_it = [each for each in told if "evil.example" in each]
    assert len(with_it) >= 3
    assert all(r"\<b\> `![x](http://evil.example/x.png)`" in each for each in with_it)


# Who may what


@pytest.mark.parametrize(
    ("role", "offered"),
    [
        (Role.OPERATOR, {"tenants.check", "tenants.repair", "tenants.pause", "tenants.add"}),
        (Role.ACCOUNT_MANAGER, {"tenants.pause"}),
        (Role.ANALYST, set()),
    ],
)
def test_set_up_is_seen_by_everybody_and_changed_by_staff(
    console: Console, people: People, two_tenants: None, role: Role, offered: set[str]
) -> None:
    at = setup(console, people("dora", role, *(() if role == Role.OPERATOR else ("acme",))))
    assert keys(at) - {"sign_out"} == offered
    assert bool(at.radio) == (role == Role.OPERATOR)
    assert "Ready to send" in said(at)
    assert "Amazon SES pauses the tenant at a finding of high impact." in said(at) + at_captions(at)


def at_captions(at: AppTest) -> str:
    return " ".join(caption for radio in at.radio for caption in radio.proto.captions)


def test_a_tenant_one_is_not_assigned_to_shows_nothing_of_its_setup(
    console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    change(bare_app, "globex", provisioned_at=None, aws_status_cause="globex secret")
    at = setup(console, people("bob", Role.ACCOUNT_MANAGER, "acme"), tenant="globex")
    assert "Acme" in [header.value for header in at.subheader]
    assert "globex" not in shown(at).lower()
