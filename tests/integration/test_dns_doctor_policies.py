"""The DNS doctor on zones whose SPF or DMARC is broken, one mistake each."""

from __future__ import annotations

import pytest

from core.dns import Mistake
from tests.dns_zones import (
    DIFFERENT,
    DOMAIN,
    FOUND,
    MISSING,
    NEWS,
    SPF,
    UNKNOWN,
    Broken,
    includes,
    naming,
    quoted,
    spf,
    wanted,
)
from tests.simulators import Simulator

SPF_RECORDS = [
    Broken(
        *("spf-in-quotes", "spf", DIFFERENT, Mistake.QUOTES),
        f"quotation marks,without any: {SPF}",
        put=[spf(quoted(SPF))],
        better=SPF,
    ),
    Broken(
        *("spf-in-a-word-processors-quotes", "spf", DIFFERENT, Mistake.QUOTES),
        "quotation marks,ip4:192.0.2.1 include:amazonses.com",
        put=[spf("“v=spf1 ip4:192.0.2.1 ~all”")],
        better="v=spf1 ip4:192.0.2.1 include:amazonses.com ~all",
    ),
    Broken(
        *("spf-split-into-several-records", "spf", DIFFERENT, Mistake.SPLIT),
        "several TXT records,not joined,v=spf1 ip4:192.0.2.1 include:amazonses.com ~all",
        put=[spf("v=spf1 ip4:192.0.2.1"), spf("include:amazonses.com ~all"), spf("site-verification=1")],
        better="v=spf1 ip4:192.0.2.1 include:amazonses.com ~all",
    ),
    Broken(
        *("two-spf-records", "spf", DIFFERENT, Mistake.TWO_SPF),
        "2 SPF records,ignore all of them,v=spf1 ip4:192.0.2.1 include:amazonses.com ~all",
        put=[spf("v=spf1 ip4:192.0.2.1 -all"), spf(SPF)],
        better="v=spf1 ip4:192.0.2.1 include:amazonses.com ~all",
    ),
    Broken(
        *("spf-without-ses", "spf", DIFFERENT, Mistake.SPF_WITHOUT_SES),
        "does not name SES,v=spf1 mx ip4:192.0.2.1 include:amazonses.com -all,do not add a second",
        put=[spf("v=spf1 mx ip4:192.0.2.1 -all"), ("MX", DOMAIN, f"10 mail.{DOMAIN}")],
        better="v=spf1 mx ip4:192.0.2.1 include:amazonses.com -all",
    ),
    Broken(
        *("spf-that-keeps-ses-out", "spf", DIFFERENT, Mistake.SPF_WITHOUT_SES),
        "does not name SES",
        put=[spf("v=spf1 -include:amazonses.com ~all")],
        better=SPF,
    ),
    Broken(
        *("spf-with-ten-look-ups-already", "spf", DIFFERENT, Mistake.SPF_FULL),
        "does not name SES,none of the 10 DNS look-ups,take out",
        put=[spf(f"v=spf1 {naming(10)} ~all"), *includes(10)],
    ),
    Broken(
        *("spf-with-too-many-look-ups", "spf", DIFFERENT, Mistake.SPF_LOOKUPS),
        "more than the 10 DNS look-ups,include:all.globex-post.net takes 10",
        put=[
            spf("v=spf1 include:amazonses.com include:all.globex-post.net ~all"),
            ("TXT", "all.globex-post.net", f"v=spf1 {naming(9)} ~all"),
            *includes(9),
        ],
    ),
    Broken(
        *("spf-with-void-look-ups", "spf", DIFFERENT, Mistake.SPF_VOID_LOOKUPS),
        f"do not exist (old1.{DOMAIN}\\, old2.{DOMAIN}\\, old3.{DOMAIN}),take out those where nobody sends",
        put=[
            spf(
                f"v=spf1 a:ok.{DOMAIN} mx a:six.{DOMAIN} a:old1.{DOMAIN} a:old2.{DOMAIN} a:old3.{DOMAIN} "
                "include:amazonses.com -all"
            ),
            ("A", f"ok.{DOMAIN}", "192.0.2.1"),
            ("AAAA", f"six.{DOMAIN}", "2001:db8::1"),
            ("MX", DOMAIN, f"10 gone.{DOMAIN}"),  # costs its sender nothing: RFC 7208 section 4.6.4
        ],
    ),
    Broken(
        *("spf-with-void-look-ups-in-an-include", "spf", DIFFERENT, Mistake.SPF_VOID_LOOKUPS),
        f"do not exist (old1.{DOMAIN}\\, nomail.{DOMAIN}\\, old2.{DOMAIN})",
        put=[
            spf(f"v=spf1 a:old1.{DOMAIN} include:spf.{DOMAIN} include:amazonses.com -all"),
            ("TXT", f"spf.{DOMAIN}", f"v=spf1 mx:nomail.{DOMAIN} a:old2.{DOMAIN} -all"),
            ("A", f"nomail.{DOMAIN}", "192.0.2.1"),
        ],
    ),
    Broken(
        *("spf-that-includes-itself", "spf", DIFFERENT, Mistake.SPF_LOOP),
        f"includes itself,(spf.{DOMAIN}),keep the other senders",
        put=[
            spf(f"v=spf1 include:spf.{DOMAIN} include:amazonses.com ~all"),
            ("TXT", f"spf.{DOMAIN}", f"v=spf1 ip4:192.0.2.1 include:{DOMAIN} ~all"),
        ],
    ),
    Broken(
        *("spf-that-redirects-to-itself-by-a-macro", "spf", DIFFERENT, Mistake.SPF_LOOP),
        f"includes itself,({DOMAIN})",
        put=[spf("v=spf1 ip4:192.0.2.1 redirect=%{d}")],
        better="v=spf1 ip4:192.0.2.1 include:amazonses.com ~all",
    ),
    Broken(
        *("spf-handed-over-by-a-macro", "spf", DIFFERENT, Mistake.SPF_REDIRECT_MACRO),
        "hands over to %{o}._spf.globex-post.net,another for each message",
        put=[spf("v=spf1 ip4:192.0.2.1 redirect=%{o}._spf.globex-post.net")],
        better="v=spf1 ip4:192.0.2.1 include:amazonses.com redirect=%{o}._spf.globex-post.net",
    ),
    Broken(
        *("spf-open-by-an-include", "spf", FOUND, Mistake.SPF_OPEN_INCLUDE),
        "Works,open.globex-post.net,everybody",
        put=[
            spf("v=spf1 include:amazonses.com include:open.globex-post.net -all"),
            ("TXT", "open.globex-post.net", "v=spf1 +all"),
        ],
    ),
    Broken(
        *("spf-open-by-a-redirect", "spf", FOUND, Mistake.SPF_OPEN_INCLUDE),
        "Works,open.globex-post.net,everybody",
        put=[
            spf("v=spf1 include:amazonses.com redirect=open.globex-post.net"),
            ("TXT", "open.globex-post.net", "v=spf1 all"),
        ],
    ),
    Broken(
        *("spf-with-a-no-break-space", "spf", DIFFERENT, Mistake.ODD_SPACE),
        f"a no-break space,plain spaces: {SPF}",
        put=[spf('"v=spf1 include:amazonses.com\\194\\160~all"')],
        better=SPF,
    ),
    Broken(
        *("spf-with-tabs-and-without-ses", "spf", DIFFERENT, Mistake.ODD_SPACE),
        "a tab,plain spaces: v=spf1 ip4:192.0.2.1 include:amazonses.com -all",
        put=[spf('"v=spf1\\009ip4:192.0.2.1 -all"')],
        better="v=spf1 ip4:192.0.2.1 include:amazonses.com -all",
    ),
    Broken(
        *("spf-with-a-line-break-at-its-end", "spf", DIFFERENT, Mistake.ODD_SPACE),
        "a line break,\\010",
        put=[spf('"v=spf1 include:amazonses.com ~all\\010"')],
        better=SPF,
    ),
    Broken(
        *("spf-whose-include-has-a-tab", "spf", DIFFERENT, Mistake.SPF_INCLUDE),
        "spf.globex-post.net,no usable SPF record",
        put=[
            spf("v=spf1 include:amazonses.com include:spf.globex-post.net ~all"),
            ("TXT", "spf.globex-post.net", '"v=spf1 ip4:192.0.2.1\\009-all"'),
        ],
    ),
    Broken(
        *("two-spf-records-of-which-no-one-can-be-made", "spf", DIFFERENT, Mistake.TWO_SPF),
        "2 SPF records,in one record,include:amazonses.com alone would shut out whoever else sends",
        put=[spf("v=spf1 include:nobody.globex-post.net -all"), spf(SPF)],
    ),
    Broken(
        *("spf-of-a-wildcard-that-others-need", "spf", MISSING, Mistake.WILDCARD),
        "wildcard,v=spf1 ip4:192.0.2.1 include:amazonses.com -all,needs a record of its own",
        put=[("TXT", f"*.{DOMAIN}", "v=spf1 ip4:192.0.2.1 -all"), ("A", DOMAIN, "192.0.2.1")],
        without=list(wanted()),
        domain=NEWS,
        better="v=spf1 ip4:192.0.2.1 include:amazonses.com -all",
    ),
    Broken(
        *("spf-that-redirects-to-itself", "spf", DIFFERENT, Mistake.SPF_LOOP),
        f"includes itself,{DOMAIN}",
        put=[spf(f"v=spf1 include:amazonses.com redirect={DOMAIN}")],
        better=SPF,
    ),
    Broken(
        *("spf-that-includes-nothing", "spf", DIFFERENT, Mistake.SPF_INCLUDE),
        "nobody.globex-post.net,no usable SPF record",
        put=[
            spf("v=spf1 include:amazonses.com include:nobody.globex-post.net ~all"),
            ("TXT", "globex-post.net", "hello"),
        ],
    ),
    Broken(
        *("spf-with-an-unknown-mechanism", "spf", DIFFERENT, Mistake.SPF_SYNTAX),
        "cannot be read,inclde,as a model",
        put=[spf("v=spf1 inclde:amazonses.com ~all")],
    ),
    Broken(
        *("spf-without-a-space", "spf", DIFFERENT, Mistake.SPF_SYNTAX),
        "cannot be read,whitespace before 'all'",
        put=[spf("v=spf1 include:amazonses.com~all")],
    ),
    Broken(
        *("spf-that-begins-wrongly", "spf", DIFFERENT, Mistake.SPF_SYNTAX),
        "must begin with v=spf1",
        put=[spf("spf1 include:amazonses.com ~all")],
    ),
    Broken(
        *("ses-after-all", "spf", DIFFERENT, Mistake.SPF_AFTER_ALL),
        "never read,v=spf1 ip4:192.0.2.1 include:amazonses.com -all",
        put=[spf("v=spf1 ip4:192.0.2.1 -all include:amazonses.com")],
        better="v=spf1 ip4:192.0.2.1 include:amazonses.com -all",
    ),
    Broken(
        *("others-after-all", "spf", FOUND, Mistake.SPF_AFTER_ALL),
        "never read,ip4:192.0.2.1",
        put=[spf("v=spf1 include:amazonses.com -all ip4:192.0.2.1")],
        better="v=spf1 ip4:192.0.2.1 include:amazonses.com -all",
    ),
    Broken(
        *("spf-open-to-everybody", "spf", DIFFERENT, Mistake.SPF_OPEN),
        "+all,everybody",
        put=[spf("v=spf1 include:amazonses.com +all")],
        better=SPF,
    ),
    Broken(
        *("spf-handed-over", "spf", DIFFERENT, Mistake.SPF_REDIRECT),
        "hands over to spf.globex-post.net,v=spf1 include:amazonses.com redirect=spf.globex-post.net",
        put=[
            spf("v=spf1 redirect=spf.globex-post.net"),
            ("TXT", "spf.globex-post.net", "v=spf1 ip4:192.0.2.1 -all"),
        ],
        better="v=spf1 include:amazonses.com redirect=spf.globex-post.net",
    ),
    Broken(
        *("cname-at-the-domain-itself", "spf", DIFFERENT, Mistake.CNAME_IN_THE_WAY),
        f"{NEWS} is a CNAME to shop.globex-post.net,keep the CNAME if a website,not needed when",
        put=[("CNAME", NEWS, "shop.globex-post.net"), ("A", "shop.globex-post.net", "192.0.2.1")],
        without=["spf"],
        domain=NEWS,
    ),
]

DMARC = [
    Broken(
        *("dmarc-of-the-parent", "dmarc", FOUND, Mistake.DMARC_INHERITED),
        f"Nothing to do,{DOMAIN},policy for them: quarantine",
        put=[("TXT", f"_dmarc.{DOMAIN}", "v=DMARC1; p=reject; sp=quarantine")],
        without=["dmarc"],
        domain=NEWS,
    ),
    Broken(
        *("strict-dmarc-of-the-parent-before-dkim", "dmarc", FOUND, Mistake.DMARC_BEFORE_DKIM),
        "policy is reject,DKIM records first",
        put=[("TXT", f"_dmarc.{DOMAIN}", "v=DMARC1; p=reject")],
        without=["dmarc", "dkim1", "dkim2", "dkim3"],
        domain=NEWS,
    ),
    Broken(
        *("two-dmarc-records", "dmarc", DIFFERENT, Mistake.TWO_DMARC),
        "2 DMARC records,keep one",
        put=[
            ("TXT", f"_dmarc.{DOMAIN}", "v=DMARC1; p=none"),
            ("TXT", f"_dmarc.{DOMAIN}", "v=DMARC1; p=reject"),
        ],
    ),
    Broken(
        *("dmarc-without-policy", "dmarc", DIFFERENT, Mistake.DMARC_SYNTAX),
        "no policy,as a model",
        put=[("TXT", f"_dmarc.{DOMAIN}", f"v=DMARC1; rua=mailto:postmaster@{DOMAIN}")],
    ),
    Broken(
        *("dmarc-policy-mistyped", "dmarc", DIFFERENT, Mistake.DMARC_SYNTAX),
        "must have one of the following values,rejct",
        put=[("TXT", f"_dmarc.{DOMAIN}", "v=DMARC1; p=rejct")],
    ),
    Broken(
        *("dmarc-without-semicolon", "dmarc", DIFFERENT, Mistake.DMARC_SYNTAX),
        "separator may be missing,v=DMARC1 ➞p=none",
        put=[("TXT", f"_dmarc.{DOMAIN}", "v=DMARC1 p=none")],
    ),
    Broken(
        *("dmarc-that-begins-wrongly", "dmarc", DIFFERENT, Mistake.DMARC_SYNTAX),
        "must begin with v=DMARC1",
        put=[("TXT", f"_dmarc.{DOMAIN}", "DMARC1; p=none")],
    ),
    Broken(
        *("dmarc-with-a-no-break-space", "dmarc", DIFFERENT, Mistake.ODD_SPACE),
        "a no-break space,plain spaces: v=DMARC1; p=none",
        put=[("TXT", f"_dmarc.{DOMAIN}", '"v=DMARC1;\\194\\160p=none"')],
        better="v=DMARC1; p=none",
    ),
    Broken(
        *("dmarc-with-a-no-break-space-behind-its-version", "dmarc", DIFFERENT, Mistake.ODD_SPACE),
        "a no-break space",
        put=[("TXT", f"_dmarc.{DOMAIN}", '"v=DMARC1\\194\\160; p=none"')],
        better="v=DMARC1 ; p=none",
    ),
    Broken(
        *("dmarc-with-a-line-break", "dmarc", DIFFERENT, Mistake.ODD_SPACE),
        "a line break",
        put=[("TXT", f"_dmarc.{DOMAIN}", '"v=DMARC1; p=none;\\013\\010"')],
        better="v=DMARC1; p=none;",
    ),
    Broken(
        *("dmarc-in-quotes", "dmarc", DIFFERENT, Mistake.QUOTES),
        "without any: v=DMARC1; p=none",
        put=[("TXT", f"_dmarc.{DOMAIN}", quoted("v=DMARC1; p=none"))],
        better="v=DMARC1; p=none",
    ),
    Broken(
        *("dmarc-at-the-domain", "dmarc", MISSING, Mistake.DMARC_PLACE),
        f"is at {DOMAIN},move it to _dmarc.{DOMAIN}",
        put=[spf("v=DMARC1; p=none"), spf(SPF)],
        without=["dmarc"],
    ),
    Broken(
        *("dmarc-without-underscore", "dmarc", MISSING, Mistake.DMARC_PLACE),
        f"is at dmarc.{DOMAIN},move it to _dmarc.{DOMAIN}",
        put=[("TXT", f"dmarc.{DOMAIN}", "v=DMARC1; p=none")],
        without=["dmarc"],
    ),
    Broken(
        *("dmarc-underscore-doubled", "dmarc", MISSING, Mistake.DMARC_PLACE),
        f"is at _dmarc._dmarc.{DOMAIN}",
        put=[("TXT", f"_dmarc._dmarc.{DOMAIN}", "v=DMARC1; p=none")],
        without=["dmarc"],
    ),
    Broken(
        *("dmarc-at-a-doubled-name", "dmarc", MISSING, Mistake.NAME_DOUBLED),
        "enter only _dmarc as its name",
        put=[("TXT", f"_dmarc.{DOMAIN}.{DOMAIN}", "v=DMARC1; p=none")],
        without=["dmarc"],
    ),
    Broken(
        *("dmarc-cname-in-the-way", "dmarc", DIFFERENT, Mistake.CNAME_IN_THE_WAY),
        f"_dmarc.{DOMAIN} is a CNAME to empty.globex-post.net,no DMARC record there now,Ask them",
        put=[
            ("CNAME", f"_dmarc.{DOMAIN}", "empty.globex-post.net"),
            ("TXT", "empty.globex-post.net", "no policy here"),
        ],
        without=["dmarc"],
    ),
    Broken(
        *("dmarc-cname-in-a-circle", "dmarc", UNKNOWN, Mistake.CNAME_LOOP),
        f"circle,_dmarc.{DOMAIN} → round.{DOMAIN} → _dmarc.{DOMAIN}",
        put=[
            ("CNAME", f"_dmarc.{DOMAIN}", f"round.{DOMAIN}"),
            ("CNAME", f"round.{DOMAIN}", f"_dmarc.{DOMAIN}"),
        ],
        without=["dmarc"],
    ),
    Broken(
        *("wildcard-txt", "dmarc", MISSING, Mistake.WILDCARD),
        f"wildcard,_dmarc.{DOMAIN},site-verification=1",
        put=[("TXT", f"*.{DOMAIN}", "site-verification=1")],
        without=["dmarc"],
    ),
    Broken(
        *("dmarc-strict-about-spf", "dmarc", FOUND, Mistake.DMARC_STRICT_SPF),
        f"DKIM alone,aspf=s,bounce.{DOMAIN}",
        put=[("TXT", f"_dmarc.{DOMAIN}", "v=DMARC1; p=reject; aspf=s; adkim=s")],
    ),
    Broken(
        *("dmarc-reports-nobody-agreed-to", "dmarc", FOUND, Mistake.DMARC_REPORTS),
        f"reports to d@globex-post.net,{DOMAIN}._report._dmarc.globex-post.net",
        put=[
            ("TXT", f"_dmarc.{DOMAIN}", "v=DMARC1; p=none; rua=mailto:d@globex-post.net"),
            ("MX", "globex-post.net", "10 mail.globex-post.net"),
        ],
    ),
    Broken(
        *("dmarc-strict-before-dkim", "dmarc", FOUND, Mistake.DMARC_BEFORE_DKIM),
        "policy is quarantine,DKIM records first.",
        put=[("TXT", f"_dmarc.{DOMAIN}", "v=DMARC1; p=quarantine")],
        without=["dkim2"],
    ),
]

BROKEN = [*SPF_RECORDS, *DMARC]


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.id)
def test_a_broken_record_is_named_with_what_fixes_it(simulator: Simulator, case: Broken) -> None:
    case.assert_named(simulator)
