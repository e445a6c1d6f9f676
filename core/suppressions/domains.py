"""Domains: entries for everybody at one domain. Pure.

"@example.com" is exactly that domain: a subdomain is an entry of its own, so that nobody is suppressed whom
no entry names.
"""

from __future__ import annotations

from core.errors import InputError
from core.recipients import valid_address

# Where so many people have their mailbox that a rule for the domain is most often a slip.
_PROVIDERS = """
    gmail.com googlemail.com outlook.com outlook.de outlook.fr hotmail.com hotmail.co.uk hotmail.de hotmail.fr
    hotmail.it hotmail.es live.com live.co.uk live.fr live.nl msn.com yahoo.com yahoo.co.uk yahoo.co.in
    yahoo.co.jp yahoo.de yahoo.fr yahoo.it yahoo.es yahoo.com.br ymail.com rocketmail.com aol.com icloud.com
    me.com mac.com gmx.de gmx.net gmx.at gmx.ch gmx.com web.de t-online.de freenet.de orange.fr wanadoo.fr
    free.fr laposte.net sfr.fr libero.it virgilio.it alice.it tiscali.it telefonica.net uol.com.br bol.com.br
    terra.com.br btinternet.com sky.com virginmedia.com talktalk.net ziggo.nl kpnmail.nl telenet.be skynet.be
    bluewin.ch wp.pl o2.pl onet.pl interia.pl seznam.cz centrum.cz mail.ru inbox.ru list.ru bk.ru yandex.ru
    yandex.com rambler.ru ukr.net abv.bg qq.com 163.com 126.com sina.com foxmail.com naver.com daum.net
    hanmail.net rediffmail.com comcast.net verizon.net att.net sbcglobal.net bellsouth.net cox.net charter.net
    shaw.ca rogers.com bigpond.com optusnet.com.au proton.me protonmail.com pm.me zoho.com fastmail.com
"""
MAILBOX_PROVIDERS = frozenset(_PROVIDERS.split())


def entry_of(text: str) -> str:
    """What is stored for what was typed: the address, or "@example.com", lower case, the domain in ASCII.
    Raises InputError."""
    text = text.strip()
    if not is_domain(text):
        return valid_address(text).lower()
    domain = text[1:]
    if "*" in domain:
        raise InputError(
            "An entry for a domain names it alone, such as @example.com. Give each subdomain its own.",
            "address",
        )
    if not domain or "@" in domain:
        raise InputError("After the @ a domain must follow, such as @example.com.", "address")
    return valid_address(f"x{text}")[1:].lower()


def known_as(text: str) -> str:
    """The same for an entry that is looked for: what came from elsewhere need not be an address to us."""
    try:
        return entry_of(text)
    except InputError:
        return text.strip().lower()


def is_domain(entry: str) -> bool:
    return entry.startswith("@")


def domain_entry_of(address_key: str) -> str:
    return address_key[address_key.rfind("@") :]


def is_whole_provider(entry: str) -> bool:
    """Whether an entry is for everybody at a big mailbox provider."""
    return is_domain(entry) and entry[1:] in MAILBOX_PROVIDERS


def refuse_whole_provider(entry: str) -> None:
    """Raises InputError for what should be said twice."""
    if is_whole_provider(entry):
        raise InputError(
            f"Very many people have their mailbox at {entry[1:]}. "
            "Confirm that none of them is to be written to (on the command line: --whole-provider).",
            "address",
        )
