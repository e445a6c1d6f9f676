"""The checklist's test message, when several people press its button in the same moment."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import update

from core import checklist
from core.access import Actor
from core.app import App
from core.db.models import Message
from core.errors import Conflict
from tests.conftest import Cast, verified_sender
from tests.simulators import Simulator

PEOPLE = 3


def test_of_several_who_send_a_test_message_at_once_one_does(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    together = threading.Barrier(PEOPLE)

    def prove(actor: Actor) -> str:
        together.wait()
        try:
            return str(checklist.prove_pipeline(app, actor, cast.acme.id))
        except Conflict as e:
            return str(e)

    with ThreadPoolExecutor(PEOPLE) as pool:
        for _ in range(3):
            said = list(pool.map(prove, [cast.bob] * PEOPLE))
            assert ["under way already" in each for each in said].count(False) == 1, said
            with app.db.begin() as session:
                session.execute(update(Message).values(status="failed"))
