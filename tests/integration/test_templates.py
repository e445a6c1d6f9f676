"""Templates: named contents of a tenant, in versions that never change."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core import audit, templates
from core.access import Actor
from core.app import App, build_app
from core.db.models import Template
from core.errors import InputError, NotFound, PermissionDenied
from core.settings import Settings
from tests.conftest import Cast
from tests.offline import two_tenants

MISSING = "There is no such template. The Campaigns page lists them."


@pytest.fixture
def app(settings: Settings) -> Iterator[App]:
    app = build_app(settings)
    yield app
    app.db.dispose()


@pytest.fixture
def cast(app: App) -> Cast:
    return two_tenants(app)


def save(app: App, actor: Actor, tenant_id: int, name: str = "Welcome", subject: str = "Hi") -> Template:
    return templates.save(app, actor, tenant_id, name, subject, "<p>{{first_name}}</p>", "", {"plan": "free"})


def test_a_template_is_kept_with_its_content(app: App, cast: Cast, alice: Actor) -> None:
    saved = save(app, cast.bob, cast.acme.id)
    content = templates.get_content(app, cast.carol, cast.acme.id, saved.id)
    assert (content.subject, content.html, content.fallbacks) == (
        "Hi", "<p>{{first_name}}</p>", {"plan": "free"},
    )  # fmt: skip
    assert audit.list_entries(app, alice, tenant_id=cast.acme.id)[0].subject == "Welcome"


def test_saving_again_is_a_new_version_and_the_old_one_stays(app: App, cast: Cast) -> None:
    first = save(app, cast.bob, cast.acme.id)
    second = save(app, cast.bob, cast.acme.id, name=" Welcome  ", subject="Hello")
    save(app, cast.bob, cast.acme.id, name="Goodbye")
    assert (first.version, second.version) == (1, 2)
    assert templates.get_content(app, cast.bob, cast.acme.id, first.id).subject == "Hi"
    shown = templates.list_templates(app, cast.carol, cast.acme.id)
    assert [(template.name, template.version) for template in shown] == [("Goodbye", 1), ("Welcome", 2)]


def test_another_tenants_templates_are_not_there(app: App, cast: Cast, alice: Actor) -> None:
    saved = save(app, cast.bob, cast.acme.id)
    save(app, alice, cast.globex.id)
    with pytest.raises(NotFound) as foreign:
        templates.get_content(app, cast.charlie, cast.globex.id, saved.id)
    with pytest.raises(NotFound) as absent:
        templates.get_content(app, cast.charlie, cast.globex.id, 999)
    assert str(foreign.value) == str(absent.value) == MISSING
    for call in (save, templates.list_templates):
        with pytest.raises(NotFound, match="no such tenant"):
            call(app, cast.charlie, cast.acme.id)
    assert [template.version for template in templates.list_templates(app, cast.charlie, cast.globex.id)] == [
        1
    ]


def test_an_analyst_may_read_templates_and_not_save_them(app: App, cast: Cast) -> None:
    with pytest.raises(PermissionDenied):
        save(app, cast.carol, cast.acme.id)


@pytest.mark.parametrize("name", ["", "  ", "x" * 121])
def test_a_template_needs_a_name(app: App, cast: Cast, name: str) -> None:
    with pytest.raises(InputError, match="name of at most"):
        save(app, cast.bob, cast.acme.id, name=name)


def test_what_could_not_be_sent_is_not_stored(app: App, cast: Cast) -> None:
    with pytest.raises(InputError, match="left open"):
        save(app, cast.bob, cast.acme.id, subject="Hi {{first_name")
    assert templates.list_templates(app, cast.bob, cast.acme.id) == []
