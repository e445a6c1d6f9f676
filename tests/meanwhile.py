"""SES as it is, but for one thing: something happens before it is asked, or it is silent about a tenant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

from core.app import App, Providers
from core.errors import ProviderError
from core.providers.base import EmailProvider, EventQueue


@dataclass
class _Ses:
    inner: Any
    providers: Meanwhile

    def __getattr__(self, operation: str) -> Any:
        self.providers.asked(operation)
        return getattr(self.inner, operation)


@dataclass
class _SilentSes:
    inner: Any
    about: str

    def __getattr__(self, operation: str) -> Any:
        answer = getattr(self.inner, operation)

        def ask(*args: Any, **kwargs: Any) -> Any:
            if any(self.about in str(each) for each in args):
                raise ProviderError("SES did not answer.", permanent=False)
            return answer(*args, **kwargs)

        return ask


@dataclass
class SilentAbout:
    """Whoever names the tenant, alone or within an ARN, gets no answer: as from a server that is broken."""

    inner: Providers
    tenant: str

    def email(self, region: str) -> EmailProvider:
        return cast(EmailProvider, _SilentSes(self.inner.email(region), self.tenant))

    def queue(self, region: str) -> EventQueue:
        return self.inner.queue(region)


@dataclass
class Meanwhile:
    """`happens` once, before the first use of `operation`."""

    inner: Providers
    operation: str
    happens: Callable[[], object] | None

    def asked(self, operation: str) -> None:
        if operation == self.operation and self.happens is not None:
            happens, self.happens = self.happens, None
            happens()

    def email(self, region: str) -> EmailProvider:
        return cast(EmailProvider, _Ses(self.inner.email(region), self))

    def queue(self, region: str) -> EventQueue:
        return self.inner.queue(region)


def meanwhile(app: App, operation: str, happens: Callable[[], object]) -> App:
    return replace(app, providers=Meanwhile(app.providers, operation, happens))
