"""Names: domains and addresses that may become an identity, and those that only look like somebody's."""

from __future__ import annotations

import functools
import ipaddress
import re
import unicodedata

from confusable_homoglyphs import categories, confusables
from email_validator import EmailNotValidError, validate_email
from publicsuffixlist import PublicSuffixList

from core.errors import InputError

# RFC 2606, 6761, 6762, 7686, 9476: nobody can own these; test.com and example.* are what people try first.
RESERVED_DOMAINS = frozenset({"test.com"})
RESERVED_LABEL = "example"
RESERVED_ENDINGS = frozenset(
    {"test", "invalid", "localhost", "local", "internal", "onion", "arpa", "alt", "example"}
)
# Where everybody has a mailbox: with these endings, and with any.
MAILBOXES = frozenset(
    {
        *(
            "126.com",
            "163.com",
            "aol.com",
            "fastmail.com",
            "freenet.de",
            "gmail.com",
            "hey.com",
            "icloud.com",
        ),
        *("laposte.net", "live.com", "mac.com", "mail.com", "mail.ru", "me.com", "msn.com", "naver.com"),
        *("orange.fr", "posteo.de", "proton.me", "protonmail.com", "qq.com", "rediffmail.com", "seznam.cz"),
        *("t-online.de", "tutanota.com", "web.de", "wp.pl", "yandex.ru", "ymail.com", "zoho.com"),
    }
)
MAILBOXES_EVERYWHERE = frozenset({"gmx", "googlemail", "hotmail", "outlook", "yahoo"})
# Scripts that one word is written in together (UTS 39, "highly restrictive").
TOGETHER = (
    frozenset({"LATIN", "HAN", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "HAN", "HANGUL"}),
    frozenset({"LATIN", "HAN", "BOPOMOFO"}),
)
NO_SCRIPT = frozenset({"COMMON", "INHERITED"})
# Letters that look like ASCII and that Turkish, Danish and French spell words with.
OF_LIVING_ALPHABETS = frozenset("ıæœ")
# Latin letters whose names do not say which ASCII one they look like, and which the tables lack.
LIKE_ASCII = {"ð": "d", "þ": "p", "ŋ": "n", "ß": "ss", "ĸ": "k", "ɩ": "i", "ʊ": "u"}
# L with stroke, m with hook, turned a, dotless i, small capital r: Unicode's names hold the plain letter.
NAMED_AFTER_ASCII = re.compile(
    r"LATIN (?:SMALL LETTER|LETTER SMALL CAPITAL) (?:[A-Z]{2,} )*([A-Z])(?: WITH .+)?"
)
SCHWA = re.compile("[əǝɘ]")
IN_HOST_NAMES = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
# What the eye does not tell apart within ASCII; the tables speak of capitals here.
ASCII_LOOKALIKES = (("0", "o"), ("1", "l"), ("rn", "m"), ("vv", "w"))


def checked_name(name: str) -> str:
    """A domain, or an address, as SES knows it: lower case, IDNA. InputError for one nobody can own, or that
    is made to look like another."""
    local, at, domain = name.strip().lower().rpartition("@")
    domain = domain.rstrip(".")
    _refuse_impossible(domain)
    try:
        checked = validate_email(
            f"{local if at else 'postmaster'}@{domain}",
            strict=True,
            check_deliverability=False,
            test_environment=True,
        )
    except EmailNotValidError as e:
        raise InputError(
            f"'{name.strip()[:100]}' cannot be used: {e} Check how it is written.", field="address"
        ) from e
    if at and checked.ascii_email is None:
        raise InputError(
            "SES cannot send from an address with such letters before the @. Use a to z there.",
            field="address",
        )
    ascii_domain = str(checked.ascii_domain)
    _refuse_impossible(ascii_domain)  # ｔ and ． have become t and .
    _refuse_nobodys(ascii_domain)
    _refuse_disguised(ascii_domain)
    return f"{checked.ascii_local_part}@{ascii_domain}" if at else ascii_domain


def refuse_shared(name: str) -> None:
    """InputError for a domain at which other people have their mailboxes or sites. One address at it may be
    the user's own."""
    if "@" in name:
        return
    registered = registrable(name)
    if registered in MAILBOXES or registered.partition(".")[0] in MAILBOXES_EVERYWHERE:
        raise InputError(
            "This is a mailbox provider's domain: use your own, or add this one address only for "
            "development.",
            field="address",
        )
    if _suffixes(private=True).is_public(name):
        raise _many_peoples(name)


def domain_of(name: str) -> str:
    """Of a domain or an address."""
    return name.rpartition("@")[2]


def readable(domain: str) -> str:
    """The domain in its own letters, where it is written as xn--."""
    return ".".join(_decoded(label) for label in domain.split("."))


def look_alike(one: str, other: str) -> bool:
    """Whether two domains, as SES knows them, have different owners and look the same: acme-mail.io and
    acrne-mail.io."""
    mine, theirs = registrable(one), registrable(other)
    return mine != theirs and any(skeleton(mine, schwa) == skeleton(theirs, schwa) for schwa in "ea")


def registrable(domain: str) -> str:
    """The part somebody registered: acme.co.uk of news.acme.co.uk, acme.github.io of news.acme.github.io."""
    return str(_suffixes(private=True).privatesuffix(domain) or domain)


def above(domain: str) -> list[str]:
    """The domains it lies below, up to the one that was registered."""
    labels, top = domain.split("."), str(_suffixes(private=False).privatesuffix(domain) or domain)
    return [".".join(labels[start:]) for start in range(1, len(labels) - top.count("."))]


@functools.lru_cache(maxsize=20_000)
def skeleton(domain: str, schwa: str = "e") -> str:
    """What the eye sees of it, in ASCII as far as there is a look-alike (UTS 39, section 4). `schwa`: what ə
    is taken for, e or a."""
    written = SCHWA.sub(schwa, _without_marks(readable(domain)))
    letters = "".join(map(_seen, written)).replace("'", "")
    for written, seen in ASCII_LOOKALIKES:
        letters = letters.replace(written, seen)
    return letters


def _refuse_impossible(domain: str) -> None:
    if _is_ip_address(domain):
        raise InputError("Mail cannot come from an IP address. Use a domain you own.", field="address")
    if "." not in domain:
        raise InputError(f"'{domain[:100]}' is no domain on the internet. Use one you own.", field="address")
    if domain.rpartition(".")[2] in RESERVED_ENDINGS:
        raise _reserved(domain)


def _refuse_nobodys(domain: str) -> None:
    # Without private suffixes (github.io): they have owners, who may well send mail.
    suffixes = _suffixes(private=False)
    if suffixes.publicsuffix(domain, accept_unknown=False) is None:
        ending = readable(domain.rpartition(".")[2])
        raise InputError(
            f"There is no top-level domain .{ending[:100]}: check how {domain[:100]} is written.",
            field="address",
        )
    registered = str(suffixes.privatesuffix(domain) or domain)
    if registered in RESERVED_DOMAINS or registered.partition(".")[0] == RESERVED_LABEL:
        raise _reserved(domain)
    if suffixes.is_public(domain):
        raise _many_peoples(domain)


def _many_peoples(domain: str) -> InputError:
    return InputError(
        f"Many people have domains below {domain[:100]}. Use the one of them that is yours.", field="address"
    )


def _reserved(domain: str) -> InputError:
    return InputError(f"{domain[:100]} is reserved: nobody can own it. Use your own domain.", field="address")


def _refuse_disguised(domain: str) -> None:
    labels = readable(domain).split(".")
    ending = _scripts(labels[-1])
    for label in labels[:-1]:
        scripts = _scripts(label)
        if len(scripts) > 1 and not any(scripts <= allowed for allowed in TOGETHER):
            raise InputError(
                f"“{label[:100]}” mixes letters of {_listed(scripts)}, as forged domains do. "
                "Type the domain again, in one alphabet.",
                field="address",
            )
        # Below an ending in the same script nobody takes it for a Latin domain.
        if _reads_as_ascii(label) and (scripts != ending or "LATIN" in scripts):
            raise InputError(
                f"“{label[:100]}” only looks like plain letters: they are of another alphabet "
                f"({_listed(scripts)}). Type the domain again on a Latin keyboard.",
                field="address",
            )


def _reads_as_ascii(label: str) -> bool:
    foreign = [letter for letter in label if not letter.isascii()]
    if not foreign or all(letter in OF_LIVING_ALPHABETS for letter in foreign):
        return False
    return all(like and IN_HOST_NAMES.issuperset(like) for like in map(_ascii_like, label))


@functools.cache
def _seen(letter: str) -> str:
    """What it looks like, in ASCII if it looks like that."""
    if like := _ascii_like(letter) or LIKE_ASCII.get(letter):
        return like
    named = NAMED_AFTER_ASCII.fullmatch(unicodedata.name(letter, ""))
    return named[1].lower() if named else letter


@functools.cache
def _ascii_like(letter: str) -> str:
    """The ASCII letters it looks like; itself when it is ASCII, "" when it looks like none."""
    if letter.isascii():
        return letter
    glyphs = (str(found["c"]) for found in confusables.confusables_data.get(letter, ()))
    return next((glyph.lower() for glyph in glyphs if glyph.isascii()), "")


def _scripts(label: str) -> frozenset[str]:
    return frozenset(categories.unique_aliases(label)) - NO_SCRIPT


def _listed(scripts: frozenset[str]) -> str:
    return " and ".join(script.title() for script in sorted(scripts))


def _decoded(label: str) -> str:
    if not label.startswith("xn--"):
        return label
    try:
        return label.removeprefix("xn--").encode("ascii").decode("punycode")
    except UnicodeError:
        return label


def _without_marks(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


@functools.cache
def _suffixes(*, private: bool) -> PublicSuffixList:
    return PublicSuffixList(only_icann=not private)  # takes 30 ms to read


def _is_ip_address(text: str) -> bool:
    last = text.rpartition(".")[2]
    if last.isdecimal() or last.startswith("0x"):
        return True  # 127.1 is one, too; no top-level domain is a number
    try:
        ipaddress.ip_address(text.strip("[]").removeprefix("ipv6:"))
    except ValueError:
        return False
    return True
