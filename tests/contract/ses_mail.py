"""A mail, and a tenant at SES that may send it, for the tests of adapters."""

from __future__ import annotations

from typing import Any

from core.providers.base import BulkEntry, BulkMail
from core.providers.ses import SesProvider
from tests.simulators import Simulator

REGION = "ap-southeast-1"


def mail(count: int = 2, **changes: Any) -> BulkMail:
    values: dict[str, Any] = {
        "from_address": "Acme News <news@acme-mail.io>",
        "subject": "Hello {{first_name}}",
        "html": "<p>{{first_name__html}}</p>",
        "text": "{{first_name}}",
        "entries": tuple(
            BulkEntry(
                address=f"r{number}@example.com",
                msg_uid=f"{number}-abc",
                fields={"first_name": 'Zoë "Z"', "first_name__html": "Zoë &quot;Z&quot;"},
                headers={"List-Unsubscribe": "<https://u.acme-mail.io/u/1>"},
            )
            for number in range(count)
        ),
        "tenant_name": "acme",
        "configuration_set": "postyard-acme",
        "tags": {"tenant": "acme", "campaign": "7", "user": "a@b c"},
    }
    return BulkMail(**{**values, **changes})


def ready_to_send(ses: SesProvider, simulator: Simulator) -> None:
    ses.create_tenant("acme")
    configuration_set = ses.create_configuration_set("postyard-acme")
    ses.create_identity("acme-mail.io", "postyard-acme", "acme")
    identity = ses.get_identity("acme-mail.io")
    ses.associate("acme", configuration_set)
    ses.associate("acme", ses.identity_arn("acme-mail.io"))
    simulator.put_dns(
        [
            {
                "type": "CNAME",
                "name": f"{token}._domainkey.acme-mail.io",
                "value": f"{token}.{identity.signing_hosted_zone}",
            }
            for token in identity.dkim_tokens
        ]
    )
    assert ses.get_identity("acme-mail.io").verified_for_sending
