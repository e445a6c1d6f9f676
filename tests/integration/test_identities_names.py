"""Names: honest domains of any script are taken, forged and reserved ones are refused."""

from __future__ import annotations

import idna
import pytest

from core.app import App
from core.errors import Conflict, InputError
from core.identities import add, checked_name
from core.identities.names import look_alike
from tests.conftest import Cast

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("münchen-post.de", "xn--mnchen-post-thb.de"),
        ("xn--mnchen-post-thb.de", "xn--mnchen-post-thb.de"),
        ("straße-post.de", "xn--strae-post-83a.de"),
        ("smørrebrød-post.dk", "xn--smrrebrd-post-cnbf.dk"),
        ("kapı-posta.com.tr", "xn--kap-posta-xpb.com.tr"),
        ("почта-россии.рф", "xn----7sbza0acdlkaf3d.xn--p1ai"),
        ("россия-почта.com", "xn----8sbwxcfdjao8c6e.com"),
        ("日本語.jp", "xn--wgv71a119e.jp"),
        ("ニュース配信.jp", "xn--zck9awe6dy69pcb8e.jp"),
        ("한국어abc.kr", "xn--abc-lt8l948gbwt.kr"),
        ("news.acme.github.io", "news.acme.github.io"),
        ("hawaiʻi.us", "xn--hawaii-mjd.us"),
    ],
)
def test_honest_domains_are_taken_as_dns_writes_them(typed: str, kept: str) -> None:
    assert checked_name(typed) == kept


def test_a_word_that_reads_as_latin_is_honest_below_an_ending_of_its_own_script() -> None:
    assert checked_name("сахар.рф").endswith(".xn--p1ai")
    with pytest.raises(InputError, match="another alphabet"):
        checked_name("сахар.com")


@pytest.mark.parametrize(
    "name",
    [
        "аррӏе.com",  # Cyrillic throughout
        "xn--80ak6aa92e.com",  # the same, as DNS writes it
        "news@mail.аррӏе.com",
        "gοοgle.com",  # Greek omicrons
        "xn--ggle-0nda.com",
        "pаypal.io",  # one Cyrillic letter
        "ɡoogle.com",  # a phonetic g
        "acme-почта.com",
    ],
)
def test_a_domain_that_is_made_to_look_like_another_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"mixes letters|another alphabet") as caught:
        checked_name(name)
    assert caught.value.field == "address"
    assert "Type the domain again" in str(caught.value)


@pytest.mark.parametrize(
    "domain",
    [
        "example.com",
        "example.de",
        "mail.example.co.uk",
        "test.com",
        "news.test.com",
        "acme.test",
        "acme.invalid",
        "acme.localhost",
        "acme.local",
        "acme.internal",
        "acme.onion",
        "1.0.0.10.in-addr.arpa",
        "acme.example",
        "acme.tesｔ",  # a full-width letter, stop or digit is an ASCII one in DNS
        "acme.com．test",
        "acme.ᵗest",
        "ｅxample.com",
    ],
)
def test_reserved_domains_are_refused(domain: str) -> None:
    with pytest.raises(InputError, match="reserved: nobody can own it"):
        checked_name(domain)


@pytest.mark.parametrize("domain", ["co.uk", "com.tr", "xn--o1ac.xn--90a3ac"])
def test_what_many_people_have_domains_below_is_refused(domain: str) -> None:
    with pytest.raises(InputError, match="the one of them that is yours"):
        checked_name(domain)


@pytest.mark.parametrize(
    "name", ["127.1", "0x7f.0x1", "10.0.0.1", "１.2.3.0ｘ7f", "a@10.0.0.1", "a@[::1]", "a@[IPv6:::1]"]
)
def test_no_ip_address_in_any_writing(name: str) -> None:
    with pytest.raises(InputError, match="IP address"):
        checked_name(name)


@pytest.mark.parametrize("name", ["xn--a.io", "xn--.io", "xn--acme-.io"])
def test_what_only_pretends_to_be_encoded_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="Check how it is written"):
        checked_name(name)


LOOK_ALIKES = ("acme-maił.io", "acɱe-mail.io", "əcme-mail.io", "acmə-mail.io", "ɐcme-mail.io", "acme-mɐil.io",
               "ᴀcme-mail.io", "acmǝ-mail.io", "acme-maıl.io", "acme-mɑil.io")  # fmt: skip


def dns(name: str) -> str:
    return ".".join(idna.encode(label).decode() for label in name.split("."))


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("acrne-mail.io", "acme-mail.io", True),
        ("acme-rnail.io", "news.acme-mail.io", True),
        ("acme1.io", "acmel.io", True),
        ("g1obex-p0st.net", "globex-post.net", True),
        ("xn--acm-mail-d1a.io", "acme-mail.io", True),  # acmé-mail.io
        ("acme-mail.io", "acme-mail.net", False),
        ("mail.acme-mail.io", "news.acme-mail.io", False),  # one owner
        ("acme-post.io", "acme-mail.io", False),
        ("acrne.github.io", "acme.github.io", True),
        *((dns(written), "acme-mail.io", True) for written in LOOK_ALIKES),
        (dns("hawaiʻi.us"), "hawaii.us", True),
        (dns("møbel-post.no"), "mobel-post.no", True),
        (dns("łódź-post.pl"), "lodz-mail.pl", False),
    ],
)
def test_what_the_eye_does_not_tell_apart(one: str, other: str, alike: bool) -> None:
    assert look_alike(one, other) is look_alike(other, one) is alike


@SQLITE
def test_a_domain_that_looks_like_anothers_is_refused_without_a_word_about_them(app: App, cast: Cast) -> None:
    add(app, cast.bob, cast.acme.id, "acme-mail.io")
    for name in ("acrne-mail.io", "news.acrne-mail.io", "bob@acmé-mail.io"):
        with pytest.raises(Conflict, match="looks almost like a domain that is in use here") as caught:
            add(app, cast.charlie, cast.globex.id, name)
        assert "acme" not in str(caught.value).replace("xn--acm-mail-d1a", "")
    assert add(app, cast.bob, cast.acme.id, "acrne-mail.io").name == "acrne-mail.io", "a tenant may own both"
