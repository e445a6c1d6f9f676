"""People: what they decide while mail is under way, and how they put things right at the end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from core import access, campaigns, installation, sending, suppressions, tenants, unknown
from core.app import App
from core.errors import PostyardError
from core.sending.claim import Call
from tests.faults.simulation.actors import Scene

Deed = tuple[str, Callable[[App], object]]
MARIA = access.command_line("maria")
# What she tries with a campaign, one after the other: one whose last moment has passed cannot start.
MOVES = {
    "DRAFT": (campaigns.start, campaigns.cancel),
    "PAUSED": (campaigns.resume,),
    "BLOCKED": (campaigns.resume, campaigns.cancel),
}
MARIA_LOOKS_EVERY_SECONDS = 40.0


class People:
    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._world = scene.world
        self.lasts_seconds = 0.0

    def plan(self) -> None:
        """When whoever does what: starts, and what comes between."""
        random, plan = self._world.random, self._world.plan
        is_slow = plan.slow_campaign or plan.per_minute
        self.lasts_seconds = 120.0 if is_slow else random.choice([20.0, 40.0, 60.0])
        for campaign_id, (tenant_id, _) in self._scene.watch.campaigns.items():
            after = random.choice([0.0, 0.3, random.uniform(0, self.lasts_seconds / 2)])
            if plan.slow_campaign and campaign_id == min(self._scene.watch.campaigns):
                self._act(self._slow(tenant_id, campaign_id), 0.0)
            self._act(_start(tenant_id, campaign_id), after)
        if is_slow and random.random() < 0.9:
            tenant_id, _ = self._campaign()
            self._act(_pause(tenant_id), random.uniform(1, 20))
        for _ in range(plan.acts):
            deeds = (self._pause_tenant, self._move_campaign, self._suppress, self._send)
            deed = random.choices(deeds, (3, 3, 3, 1))[0]
            self._act(deed(), random.choice([random.expovariate(2), random.uniform(0, self.lasts_seconds)]))
        self._scene.meddle = self._meddle
        if random.random() < 0.15:
            self._act(("a new version is deployed", self._deploy), random.uniform(0, 2))
        for _ in range(2):
            if plan.clock_steps and random.random() < 0.7:
                self._act(self._set_clock(), random.uniform(0, self.lasts_seconds))

    def put_right(self) -> None:
        """An operator who lets everything go on, until all has been sent."""
        self._act(("maria looks after it", self._look_after), 0.0)

    def resend_unknown(self) -> None:
        for campaign_id, (tenant_id, _) in self._scene.watch.campaigns.items():
            self._act(
                (f"decide about unknown of campaign {campaign_id}", _decide(tenant_id, campaign_id)), 0.0
            )

    def _act(self, deed: Deed, after: float) -> None:
        self._scene.act(*deed, after)

    def _look_after(self, app: App) -> None:
        scene = self._scene
        while not scene.is_over.is_set():
            held = installation.find_hold(app, MARIA)
            if held is not None:
                _try(lambda: installation.let_go(app, MARIA))
            for (tenant_id,) in scene.stage.query("SELECT id FROM tenants WHERE sending_status = 'DISABLED'"):
                _try(lambda tenant_id=tenant_id: tenants.resume(app, MARIA, tenant_id, "All is well."))
            for campaign_id, (tenant_id, status) in scene.watch.campaigns.items():
                for move in MOVES.get(status, ()):
                    if _try(lambda m=move, t=tenant_id, c=campaign_id: m(app, MARIA, t, c)):
                        break
            self._world.sleep(MARIA_LOOKS_EVERY_SECONDS)

    def _meddle(self, call: Call) -> None:
        """Whatever concerns a call that is armed and has not begun."""
        tenant_id, campaign_id = call.tenant_id, call.campaign_id
        deeds: list[Deed] = [
            _pause(tenant_id),
            (
                f"suppress {call.mail.entries[0].address} of tenant {tenant_id}",
                lambda app: suppressions.add(app, MARIA, tenant_id, call.mail.entries[0].address),
            ),
        ]
        if campaign_id is not None:
            for move in (campaigns.cancel, campaigns.cancel, campaigns.pause):
                deeds.append(
                    (
                        f"{move.__name__} campaign {campaign_id}",
                        lambda app, m=move: m(app, MARIA, tenant_id, campaign_id),
                    )
                )
        self._act(self._world.random.choice(deeds), 0.0)

    def _deploy(self, app: App) -> None:
        self._scene.stop_schedulers()
        self._scene.add_scheduler(after=self._world.random.uniform(0, 1))

    def _campaign(self) -> tuple[int, int]:
        campaign_id, (tenant_id, _) = self._world.random.choice(list(self._scene.watch.campaigns.items()))
        return tenant_id, campaign_id

    def _pause_tenant(self) -> Deed:
        tenant_id, _ = self._campaign()
        if self._world.random.random() < 0.5:
            self._act(
                (f"resume tenant {tenant_id}", lambda app: tenants.resume(app, MARIA, tenant_id, "Fine.")),
                self._world.random.uniform(0, 2 * self.lasts_seconds),
            )
        return _pause(tenant_id)

    def _move_campaign(self) -> Deed:
        tenant_id, campaign_id = self._campaign()
        random = self._world.random
        what = random.choice(["pause", "cancel", "cancel", "resume", "last moment"])
        if what == "last moment":
            return self._end_soon(tenant_id, campaign_id)
        if what == "pause" and random.random() < 0.5:
            again = lambda app: campaigns.resume(app, MARIA, tenant_id, campaign_id)  # noqa: E731
            self._act((f"resume campaign {campaign_id}", again), random.uniform(0, self.lasts_seconds))
        move = getattr(campaigns, what)
        return f"{what} campaign {campaign_id}", lambda app: move(app, MARIA, tenant_id, campaign_id)

    def _end_soon(self, tenant_id: int, campaign_id: int) -> Deed:
        seconds = self._world.random.uniform(1, 30)

        def end(app: App) -> object:
            until = app.now() + timedelta(seconds=seconds)
            return campaigns.set_pace(
                app, MARIA, tenant_id, campaign_id, rate_per_second=None, send_until=until
            )

        return f"campaign {campaign_id} ends in {seconds:.0f} s", end

    def _slow(self, tenant_id: int, campaign_id: int) -> Deed:
        rate = self._world.plan.slow_campaign

        def slow(app: App) -> object:
            return campaigns.set_pace(
                app, MARIA, tenant_id, campaign_id, rate_per_second=rate, send_until=None
            )

        return f"campaign {campaign_id} at {rate} a second", slow

    def _suppress(self) -> Deed:
        row = self._world.random.choice(list(self._scene.watch.rows.values()))
        return f"suppress {row.address} of tenant {row.tenant_id}", lambda app: suppressions.add(
            app, MARIA, row.tenant_id, row.address
        )

    def _send(self) -> Deed:
        tenant_id, _ = self._campaign()
        sender_id = self._scene.stage.query(f"SELECT id FROM senders WHERE tenant_id = {tenant_id}")[0][0]
        to = f"person{self._world.random.randrange(10)}@example.com"

        def send(app: App) -> object:
            return sending.send(
                app, MARIA, tenant_id, sender_id=sender_id, to=to, subject="Code", html="<p>{{whose}}</p>",
                fields={"whose": f"of {to}"},
            )  # fmt: skip

        return f"send to {to} of tenant {tenant_id}", send

    def _set_clock(self) -> Deed:
        by = timedelta(seconds=self._world.random.choice([-20, 20, -20, 20, -3600, 3600]))

        def step(app: App) -> None:
            self._world.clock_off += by

        return f"the clock goes by {by.total_seconds():.0f} s", step


def _pause(tenant_id: int) -> Deed:
    return f"pause tenant {tenant_id}", lambda app: tenants.pause(app, MARIA, tenant_id, "Too many bounces.")


def _start(tenant_id: int, campaign_id: int) -> Deed:
    return f"start campaign {campaign_id}", lambda app: campaigns.start(app, MARIA, tenant_id, campaign_id)


def _decide(tenant_id: int, campaign_id: int) -> Callable[[App], Any]:
    def decide(app: App) -> None:
        found = unknown.unknown_of(app, MARIA, tenant_id, campaign_id)
        if found.resendable:
            unknown.resend(app, MARIA, tenant_id, campaign_id, expected=found.resendable)

    return decide


def _try(deed: Callable[[], object]) -> bool:
    try:
        deed()
    except PostyardError:
        return False
    return True
