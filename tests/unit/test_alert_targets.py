"""Where a channel may lead, and what is shown of it."""

from __future__ import annotations

import pytest

from core.errors import InputError
from core.notices import sealing, targets
from core.notices.targets import ChannelKind, WebAddress
from core.notices.webhook import may_dial

SLACK = "https://hooks.slack.com/services/T024BE7LH/B024BE7LH/7Hx9SecretOfTheChannel"


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.slack.com/services/x",
        "ftp://hooks.slack.com/x",
        "https://",
        "https://hooks.slack.com",
        "https:///services/x",
        "https://user@hooks.slack.com/x",
        "https://user:word@hooks.slack.com/x",
        "https://hooks.slack.com@evil.example/x",
        "https://hooks.slack.com\\@127.0.0.1/x",
        "https://hooks.slack.com/x#y",
        "https://hooks.slack.com/a b",
        "https://hooks.slack.com/a\r\nX-Evil: 1",
        "https://hooks.slack.com/ä",
        "https://höoks.slack.com/x",
        "https://[::1]/x",
        "https://[fd00:ec2::254]/x",
        "https://127.0.0.1/x",
        "https://127.1/x",
        "https://2130706433/x",
        "https://0x7f000001/x",
        "https://0x7f.1/x",
        "https://0177.0.0.1/x",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1./x",
        "https://localhost/x",
        "https://localhost./x",
        "https://box.localhost/x",
        "https://internal.corp/x",
        "https://metadata.google.internal/x",
        "https://printer.local/x",
        "https://com/x",
        "https://.slack.com/x",
        "https://-a.slack.com/x",
        "https://a..slack.com/x",
        "https://hooks.slack.com:0/x",
        "https://hooks.slack.com:65536/x",
        "https://hooks.slack.com:/x",
        "https://hooks.slack.com/" + "x" * 2000,
        f"https://{'a' * 64}.slack.com/x",
        "x",
        "",
    ],
)
def test_an_address_that_is_no_webhook_of_the_internet_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InputError) as told:
        targets.checked(ChannelKind.WEBHOOK, url)
    assert told.value.field == "target"
    for word in ("evil", "user", "10.0.0.1", "meta-data", "internal.corp"):
        assert word not in str(told.value).replace("a user name", "")


def test_what_is_dialled_is_what_was_written() -> None:
    assert targets.web_address(SLACK) == WebAddress("hooks.slack.com", 443, SLACK.partition("com")[2])
    other = targets.web_address("HTTPS://Chat.Acme-Mail.io.:8443/hooks/x?y=1&z=/../a")
    assert (other.host, other.port, other.path) == ("chat.acme-mail.io", 8443, "/hooks/x?y=1&z=/../a")
    assert other.authority == "chat.acme-mail.io:8443"


def test_of_a_secret_address_only_its_end_is_shown_and_nothing_of_a_short_one() -> None:
    assert targets.shown("webhook", SLACK) == "…nnel"
    assert targets.shown("webhook", "https://chat.acme-mail.io/h/ab12") == "…"
    assert "SecretOfTheChannel" not in repr(targets.web_address(SLACK))
    assert targets.shown("email", "ann@example.com") == "ann@example.com"
    assert "enter it again" in targets.shown("webhook", None)


@pytest.mark.parametrize("address", ["", "ann", "ann@", "a b@example.com", "ann@example.com\r\nBcc: x@y.z",
                                     "änn@example.com", "Ann <ann@example.com>"])  # fmt: skip
def test_an_address_that_takes_no_mail_is_refused(address: str) -> None:
    with pytest.raises(InputError):
        targets.checked(ChannelKind.EMAIL, address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200", "0.0.0.0",
        "224.0.0.1", "255.255.255.255", "168.63.129.16", "192.0.0.192", "::1", "::", "fe80::1",
        "fd00:ec2::254",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::", "ff02::1",
    ],
)  # fmt: skip
def test_no_address_of_our_own_network_or_a_clouds_is_dialled(address: str) -> None:
    assert not may_dial(address)


@pytest.mark.parametrize("address", ["3.68.170.153", "2600:1f18::1"])
def test_addresses_of_the_internet_are(address: str) -> None:
    assert may_dial(address)


def test_what_is_sealed_opens_at_its_place_with_its_key_alone() -> None:
    sealed = sealing.seal(b"k" * 32, "channel 1 of tenant 2", SLACK)
    assert "Secret" not in sealed
    assert sealing.unseal(b"k" * 32, "channel 1 of tenant 2", sealed) == SLACK
    assert sealing.unseal(b"k" * 32, "channel 2 of tenant 2", sealed) is None
    assert sealing.unseal(b"x" * 32, "channel 1 of tenant 2", sealed) is None
    assert sealing.unseal(b"k" * 32, "channel 1 of tenant 2", sealed[:-6] + "AAAA==") is None
    assert sealing.unseal(b"k" * 32, "channel 1 of tenant 2", "") is None
    assert sealing.seal(b"k" * 32, "channel 1 of tenant 2", SLACK) != sealed
    assert sealing.digest(b"k" * 32, SLACK) == sealing.digest(b"k" * 32, SLACK) != sealing.digest(b"x", SLACK)
