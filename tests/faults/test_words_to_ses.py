"""A pause and a resume that SES hears the wrong way round: it must be told again."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace

from core import tenants
from core.access import Actor
from core.app import App
from core.db.models import Tenant
from core.errors import ProviderError
from tests.conftest import Cast

SECONDS = 10.0


@dataclass
class Overtaking:
    """An SES that hears of the pause only after the resume; who resumed learns last that it was heard."""

    heard: list[bool] = field(default_factory=list)
    is_away: bool = True
    asks_to_pause: threading.Event = field(default_factory=threading.Event)
    is_resumed: threading.Event = field(default_factory=threading.Event)
    pausing: threading.Thread | None = None

    def email(self, region: str) -> Overtaking:
        return self

    def set_tenant_sending(self, arn: str, *, enabled: bool) -> None:
        if self.is_away:
            raise ProviderError("SES does not answer", permanent=False)
        if not enabled:
            self.asks_to_pause.set()
            assert self.is_resumed.wait(SECONDS)
        self.heard.append(enabled)
        if enabled and self.pausing is not None:
            self.is_resumed.set()
            self.pausing.join(SECONDS)


def test_a_pause_that_ses_hears_after_the_resume_is_taken_back(app: App, cast: Cast, alice: Actor) -> None:
    ses = Overtaking()
    app = replace(app, providers=ses)
    tenants.pause(app, cast.bob, cast.acme.id, "list is old")
    ses.is_away = False
    ses.pausing = threading.Thread(target=tenants.sync_due, args=(app,))
    ses.pausing.start()
    assert ses.asks_to_pause.wait(SECONDS)
    tenants.resume(app, alice, cast.acme.id, "list was cleaned")
    assert ses.heard == [True, False]
    ses.pausing = None

    tenants.sync_due(app)
    assert ses.heard[-1] is True
    with app.db.read() as session:
        assert session.get_one(Tenant, cast.acme.id).ses_status_synced
