"""The ASGI app: SES, Resend and control here, every other AWS service at MiniStack.

One request, traced: app.Simulator → ses.answer → sending.send_bulk_email → delivery.accept (log, outcome,
events) → outbox → bus.publish (SNS → SQS) → the consumer's ReceiveMessage.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from dataclasses import dataclass, field

from simulator import bus, control, legacy, resend, ses, sqs, verification
from simulator.dns import Server
from simulator.http import BodyTooLarge, Receive, Request, Response, Scope, Send
from simulator.settings import Settings
from simulator.store import Store
from simulator.world import World

log = logging.getLogger(__name__)

LOOKS_AT_DNS_EVERY = 5.0


@dataclass(slots=True)
class Simulator:
    settings: Settings
    dns_sockets: tuple[socket.socket, socket.socket]
    world: World = field(init=False)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _dns: Server = field(init=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await bus.app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        try:
            request = Request(scope, receive)
            if path.startswith(control.PREFIX):
                await (await control.answer(self.world, request)).send(send)
            elif path.startswith(ses.PREFIX):
                await _send(await ses.answer(self.world, request, send), send)
            elif path.startswith(resend.PREFIX):
                await _send(await resend.answer(self.world, request, send), send)
            elif legacy.is_meant(request):
                await _send(await legacy.answer(self.world, request, send), send)
            else:
                await sqs.pass_on(self.world, request, scope, send)
        except BodyTooLarge:
            await Response.json(413, {"message": "The request is larger than is taken here."}).send(send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self._start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self._stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _start(self) -> None:
        self.world = World(Store(self.settings.data))
        self.world.load()
        self._dns = Server(self.world.zone, self.world.dns_faults)
        await self._dns.start(*self.dns_sockets)
        loops = (
            self.world.outbox.run(),
            self.world.resend_webhooks.run(self.world),
            self._look_at_dns(),
            sqs.save_changes(self.world),
        )
        for each in loops:
            self._tasks.append(asyncio.create_task(each))

    async def _stop(self) -> None:
        self._dns.close()
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self.world.outbox.forget_deleted()
        self.world.bus.save(self.world.outbox.fed(), whole=True)
        self.world.store.close()

    async def _look_at_dns(self) -> None:
        """SES looks at every identity's records from time to time, asked or not."""
        while True:
            await asyncio.sleep(LOOKS_AT_DNS_EVERY)
            try:
                verification.check_all(self.world)
            except Exception:
                log.error("The identities' DNS could not be looked at.", exc_info=True)


async def _send(answered: Response | None, send: Send) -> None:
    if answered is not None:
        await answered.send(send)
