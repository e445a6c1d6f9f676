"""Mailboxes: which provider keeps a recipient domain's mail, for the domains of the large ones.

By the domain's name alone: who uses a provider under a domain of its own is among the others. The regions are
spelled out, so that yahoo.example.com is nobody's but its owner's.
"""

from __future__ import annotations

OTHER = "Other"

_REGIONS = (
    "com", "ae", "at", "be", "bg", "ca", "ch", "cl", "cn", "cz", "de", "dk", "ee", "es", "fi", "fr", "gr",
    "hr", "hu", "ie", "in", "it", "jp", "lt", "lv", "net", "nl", "no", "ph", "pl", "pt", "ro", "rs", "ru",
    "se", "sg", "si", "sk", "us",
    "co.id", "co.il", "co.in", "co.jp", "co.kr", "co.nz", "co.th", "co.uk", "co.za",
    "com.ar", "com.au", "com.br", "com.cn", "com.co", "com.gr", "com.hk", "com.hr", "com.mx", "com.my",
    "com.pe", "com.ph", "com.pt", "com.sg", "com.tr", "com.tw", "com.ua", "com.ve", "com.vn",
)  # fmt: skip

# What each provider's own pages for senders or sign-up name. AOL and its neighbours are run by Yahoo (Yahoo
# Sender Hub), GMX and web.de by one house.
_DOMAINS: dict[str, tuple[str, ...]] = {
    "Gmail": ("gmail.com", "googlemail.com"),
    "Outlook": ("msn.com", "windowslive.com", "passport.com"),
    "Yahoo": (
        "ymail.com", "rocketmail.com", "myyahoo.com", "aol.com", "aol.de", "aol.fr", "aol.co.uk", "aim.com",
        "verizon.net", "att.net", "sbcglobal.net", "bellsouth.net",
    ),
    "Apple": ("icloud.com", "me.com", "mac.com"),
    "GMX and web.de": ("gmx.de", "gmx.net", "gmx.at", "gmx.ch", "gmx.com", "gmx.us", "gmx.fr", "gmx.co.uk",
                       "web.de", "mail.com"),
    "Proton": ("proton.me", "protonmail.com", "protonmail.ch", "pm.me"),
    "Mail.ru": ("mail.ru", "inbox.ru", "bk.ru", "list.ru", "internet.ru"),
    "Yandex": ("yandex.ru", "yandex.com", "yandex.by", "yandex.kz", "yandex.ua", "ya.ru"),
    "QQ": ("qq.com", "foxmail.com"),
    "NetEase": ("163.com", "126.com", "yeah.net"),
    "Naver": ("naver.com",),
    "Kakao": ("hanmail.net", "daum.net", "kakao.com"),
    "Orange": ("orange.fr", "wanadoo.fr"),
    "Free": ("free.fr",),
    "SFR": ("sfr.fr", "neuf.fr"),
    "La Poste": ("laposte.net",),
    "Telekom": ("t-online.de", "magenta.de"),
    "freenet": ("freenet.de",),
    "Libero": ("libero.it", "virgilio.it", "iol.it", "inwind.it"),
    "TIM": ("tim.it", "alice.it", "tin.it"),
    "Seznam": ("seznam.cz", "email.cz", "post.cz"),
    "WP": ("wp.pl", "o2.pl"),
    "Onet": ("onet.pl", "op.pl", "vp.pl"),
    "Interia": ("interia.pl", "interia.eu"),
    "Comcast": ("comcast.net", "xfinity.com"),
    "Fastmail": ("fastmail.com", "fastmail.fm"),
    "Zoho": ("zohomail.com", "zoho.com"),
}  # fmt: skip
_BY_REGION = {"hotmail": "Outlook", "live": "Outlook", "outlook": "Outlook", "yahoo": "Yahoo"}

PROVIDERS: dict[str, str] = {
    **{domain: provider for provider, domains in _DOMAINS.items() for domain in domains},
    **{f"{name}.{region}": provider for name, provider in _BY_REGION.items() for region in _REGIONS},
}


def provider_of(domain: str) -> str:
    """`domain` in lower case."""
    return PROVIDERS.get(domain, OTHER)
