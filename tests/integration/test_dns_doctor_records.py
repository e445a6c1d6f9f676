"""The DNS doctor on zones whose DKIM, ownership or MAIL FROM records are broken, one mistake each."""

from __future__ import annotations

import pytest

from core.dns import Mistake
from tests.dns_zones import DIFFERENT, DOMAIN, HOST, KEYS, MISSING, NEWS, OWNERSHIP, Broken, cname, quoted
from tests.simulators import Simulator

DKIM = [
    Broken(
        *("nothing-there-yet", "dkim1", MISSING, Mistake.NOTHING_THERE),
        f"Nothing is there yet,{cname(KEYS[0])},{KEYS[0]}.dkim.amazonses.com",
        without=["dkim1", "dkim2", "dkim3"],
    ),
    Broken(
        *("only-some-of-three", "dkim3", MISSING, Mistake.PARTIAL),
        f"2 of the 3,{cname(KEYS[2])}",
        without=["dkim3"],
    ),
    Broken(
        *("zone-doubled-in-the-name", "dkim1", MISSING, Mistake.NAME_DOUBLED),
        f"{cname(KEYS[0])}.{DOMAIN},enter only {KEYS[0]}._domainkey as",
        put=[("CNAME", f"{cname(KEYS[0])}.{DOMAIN}", f"{KEYS[0]}.dkim.amazonses.com")],
        without=["dkim1"],
    ),
    Broken(
        *("subdomain-left-out-of-the-name", "dkim1", MISSING, Mistake.NAME_SHORT),
        f"{cname(KEYS[0])},move it to {cname(KEYS[0], NEWS)},{KEYS[0]}._domainkey.news",
        put=[("CNAME", cname(KEYS[0]), f"{KEYS[0]}.dkim.amazonses.com")],
        without=["dkim1"],
        domain=NEWS,
    ),
    Broken(
        *("zone-appended-to-the-value", "dkim1", DIFFERENT, Mistake.ZONE_APPENDED),
        f"appended {DOMAIN},dot at the end,{KEYS[0]}.dkim.amazonses.com. with the dot",
        put=[("CNAME", cname(KEYS[0]), f"{KEYS[0]}.dkim.amazonses.com.{DOMAIN}")],
    ),
    Broken(
        *("proxied-by-cloudflare", "dkim2", DIFFERENT, Mistake.PROXIED),
        "104.21.5.6,DNS only",
        put=[("A", cname(KEYS[1]), "104.21.5.6")],
        without=["dkim2"],
    ),
    Broken(
        *("proxied-by-cloudflare-over-ipv6", "dkim2", DIFFERENT, Mistake.PROXIED),
        "2606:4700::6815:506,DNS only",
        put=[("AAAA", cname(KEYS[1]), "2606:4700::6815:506")],
        without=["dkim2"],
    ),
    Broken(
        *("address-instead-of-cname", "dkim2", DIFFERENT, Mistake.ADDRESS),
        f"192.0.2.7,CNAME with the value {KEYS[1]}.dkim.amazonses.com",
        put=[("A", cname(KEYS[1]), "192.0.2.7")],
        without=["dkim2"],
    ),
    Broken(
        *("txt-instead-of-cname", "dkim2", DIFFERENT, Mistake.TXT_INSTEAD),
        "A TXT record,remove it,add a CNAME",
        put=[("TXT", cname(KEYS[1]), f"{KEYS[1]}.dkim.amazonses.com")],
        without=["dkim2"],
    ),
    Broken(
        *("tokens-swapped", "dkim1", DIFFERENT, Mistake.TOKENS_SWAPPED),
        f"belongs to {cname(KEYS[1])},change this one to {KEYS[0]}.dkim.amazonses.com",
        put=[
            ("CNAME", cname(KEYS[0]), f"{KEYS[1]}.dkim.amazonses.com"),
            ("CNAME", cname(KEYS[1]), f"{KEYS[0]}.dkim.amazonses.com"),
        ],
    ),
    Broken(
        *("key-of-a-former-identity", "dkim1", DIFFERENT, Mistake.OTHER_IDENTITY),
        "old9999.dkim.amazonses.com,former identity",
        put=[("CNAME", cname(KEYS[0]), "old9999.dkim.amazonses.com")],
    ),
    Broken(
        *("other-signing-zone", "dkim1", DIFFERENT, Mistake.OTHER_ZONE),
        f"{KEYS[0]}.dkim.eu-west-1.amazonses.com,the whole of it",
        put=[("CNAME", cname(KEYS[0]), f"{KEYS[0]}.dkim.eu-west-1.amazonses.com")],
    ),
    Broken(
        *("another-provider", "dkim1", DIFFERENT, Mistake.OTHER_VALUE),
        f"dkim.globex-post.net,change it to {KEYS[0]}.dkim.amazonses.com",
        put=[("CNAME", cname(KEYS[0]), "dkim.globex-post.net")],
    ),
    Broken(
        *("cname-in-a-circle", "dkim1", DIFFERENT, Mistake.CNAME_LOOP),
        f"{cname(KEYS[0])} → round.{DOMAIN} → {cname(KEYS[0])}",
        put=[("CNAME", cname(KEYS[0]), f"round.{DOMAIN}"), ("CNAME", f"round.{DOMAIN}", cname(KEYS[0]))],
    ),
    Broken(
        *("wildcard-cname", "dkim1", MISSING, Mistake.WILDCARD),
        f"wildcard,{cname(KEYS[0])},www.{DOMAIN}",
        put=[("CNAME", f"*.{DOMAIN}", f"www.{DOMAIN}")],
        without=["dkim1", "dkim2", "dkim3"],
    ),
    Broken(
        *("wildcard-address", "dkim1", MISSING, Mistake.WILDCARD),
        "wildcard,192.0.2.9",
        put=[("A", f"*.{DOMAIN}", "192.0.2.9")],
        without=["dkim1", "dkim2", "dkim3"],
    ),
]

OWNED = [
    Broken(
        *("ownership-of-another-account", "ownership", DIFFERENT, Mistake.OTHER_OWNERSHIP),
        f"oldTokenOfAnAccount=,second TXT record,{OWNERSHIP}",
        put=[("TXT", f"_amazonses.{DOMAIN}", "oldTokenOfAnAccount=")],
    ),
    Broken(
        *("ownership-in-quotes", "ownership", DIFFERENT, Mistake.QUOTES),
        f"quotation marks,without any: {OWNERSHIP}",
        put=[("TXT", f"_amazonses.{DOMAIN}", quoted(OWNERSHIP))],
        better=OWNERSHIP,
    ),
    Broken(
        *("ownership-at-a-doubled-name", "ownership", MISSING, Mistake.NAME_DOUBLED),
        "enter only _amazonses as its name",
        put=[("TXT", f"_amazonses.{DOMAIN}.{DOMAIN}", OWNERSHIP)],
        without=["ownership"],
    ),
]

MAIL_FROM = [
    Broken(
        *("two-mx-records", "mx", DIFFERENT, Mistake.TWO_MX),
        "2 MX records,exactly one,remove 10 feedback-smtp.eu-west-1.amazonses.com",
        put=[
            ("MX", f"bounce.{DOMAIN}", f"10 {HOST}"),
            ("MX", f"bounce.{DOMAIN}", "10 feedback-smtp.eu-west-1.amazonses.com"),
        ],
    ),
    Broken(
        *("mx-once-more-with-the-zone-appended", "mx", DIFFERENT, Mistake.TWO_MX),
        f"2 MX records,remove 10 {HOST}.{DOMAIN}",
        put=[("MX", f"bounce.{DOMAIN}", f"10 {HOST}"), ("MX", f"bounce.{DOMAIN}", f"10 {HOST}.{DOMAIN}")],
    ),
    Broken(
        *("mx-beside-a-mail-server", "mx", DIFFERENT, Mistake.MX_SHARED),
        f"20 mail.{DOMAIN} is in the way,choose another MAIL FROM domain,if nothing receives mail at bounce.",
        put=[("MX", f"bounce.{DOMAIN}", f"10 {HOST}"), ("MX", f"bounce.{DOMAIN}", f"20 mail.{DOMAIN}")],
    ),
    Broken(
        *("mx-to-two-mail-servers", "mx", DIFFERENT, Mistake.MX_OTHER_HOST),
        f"10 mail.{DOMAIN}\\, 20 mail.{DOMAIN},choose another MAIL FROM domain,if nothing receives mail",
        put=[
            ("MX", f"bounce.{DOMAIN}", f"10 mail.{DOMAIN}"),
            ("MX", f"bounce.{DOMAIN}", f"20 mail.{DOMAIN}"),
        ],
    ),
    Broken(
        *("mx-of-two-other-regions", "mx", DIFFERENT, Mistake.MX_OTHER_REGION),
        f"eu-west-1,change,10 {HOST}",
        put=[
            ("MX", f"bounce.{DOMAIN}", "10 feedback-smtp.eu-west-1.amazonses.com"),
            ("MX", f"bounce.{DOMAIN}", "10 feedback-smtp.us-east-1.amazonses.com"),
        ],
    ),
    Broken(
        *("mx-that-wants-no-mail", "mx", DIFFERENT, Mistake.OTHER_VALUE),
        f"holds 0 .,change it to 10 {HOST}",
        put=[("MX", f"bounce.{DOMAIN}", "0 .")],
    ),
    Broken(
        *("mx-of-another-region", "mx", DIFFERENT, Mistake.MX_OTHER_REGION),
        f"eu-west-1,change,10 {HOST}",
        put=[("MX", f"bounce.{DOMAIN}", "10 feedback-smtp.eu-west-1.amazonses.com")],
    ),
    Broken(
        *("mx-to-another-host", "mx", DIFFERENT, Mistake.MX_OTHER_HOST),
        f"mail.{DOMAIN},another MAIL FROM domain",
        put=[("MX", f"bounce.{DOMAIN}", f"10 mail.{DOMAIN}")],
    ),
    Broken(
        *("mx-with-the-zone-appended", "mx", DIFFERENT, Mistake.ZONE_APPENDED),
        f"appended {DOMAIN},{HOST}. with the dot",
        put=[("MX", f"bounce.{DOMAIN}", f"10 {HOST}.{DOMAIN}")],
    ),
    Broken(
        *("mx-with-the-priority-in-the-host", "mx", DIFFERENT, Mistake.MX_PRIORITY),
        "priority was typed into the host",
        put=[("MX", f"bounce.{DOMAIN}", f"10 10\\032{HOST}")],
    ),
    Broken(
        *("mx-at-a-doubled-name", "mx", MISSING, Mistake.NAME_DOUBLED),
        "enter only bounce as its name",
        put=[("MX", f"bounce.{DOMAIN}.{DOMAIN}", f"10 {HOST}")],
        without=["mx"],
    ),
    Broken(
        *("mx-only-of-the-parent", "mx", MISSING, Mistake.NOTHING_THERE),
        f"Nothing is there yet,bounce.{NEWS}",
        put=[("MX", f"bounce.{DOMAIN}", f"10 {HOST}")],
        without=["mx"],
        domain=NEWS,
    ),
    Broken(
        *("mail-from-cname-in-the-way", "mx", DIFFERENT, Mistake.CNAME_IN_THE_WAY),
        f"bounce.{DOMAIN} is a CNAME to shop.globex-post.net,choose another MAIL FROM domain",
        put=[
            ("CNAME", f"bounce.{DOMAIN}", "shop.globex-post.net"),
            ("A", "shop.globex-post.net", "192.0.2.1"),
        ],
        without=["mx", "mail_from_spf"],
    ),
    Broken(
        *("mail-from-under-a-wildcard-cname", "mx", MISSING, Mistake.WILDCARD),
        "wildcard,shop.globex-post.net",
        put=[("CNAME", f"*.{DOMAIN}", "shop.globex-post.net"), ("A", "shop.globex-post.net", "192.0.2.1")],
        without=["mx", "mail_from_spf"],
    ),
    Broken(
        *("mail-from-txt-without-ses", "mail_from_spf", DIFFERENT, Mistake.SPF_WITHOUT_SES),
        "does not name SES,v=spf1 include:amazonses.com -all",
        put=[("TXT", f"bounce.{DOMAIN}", "v=spf1 -all")],
        better="v=spf1 include:amazonses.com -all",
    ),
]

BROKEN = [*DKIM, *OWNED, *MAIL_FROM]


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.id)
def test_a_broken_record_is_named_with_what_fixes_it(simulator: Simulator, case: Broken) -> None:
    case.assert_named(simulator)
