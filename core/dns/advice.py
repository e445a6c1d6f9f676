"""The sentence of each mistake: what is there, by name, and what to do about it."""

from __future__ import annotations

from core.dns.records import DnsRecord, Finding, Mistake, Verdict

LONGEST_SAID = 500  # of a value in a sentence

# Filled with the record's name, type and value, what was found, and the words a judge adds.
ADVICE = {
    Mistake.NOT_CHECKED: "Not checked yet.",
    Mistake.NO_ANSWER: "{error} Nothing is known about this record now; check again in some minutes.",
    Mistake.CNAME_LOOP: "The CNAME records lead in a circle ({way}): remove the one at {name} and add "
    "the {type} record {value}.",
    Mistake.NO_ZONE: "{zone} does not exist in DNS: register it, or correct its spelling, before you "
    "add records.",
    Mistake.NOTHING_THERE: "Nothing is there yet: add the {type} record named {name} with the value {value}.",
    Mistake.SERVERS_DISAGREE: "The name servers disagree: {right} has the record, {wrong} has {found}. "
    "If you have just changed it wait some minutes, else your DNS provider must bring its servers in "
    "line.",
    Mistake.RESOLVERS_FAIL: "The domain's own servers have the record, but resolvers fail over it: "
    "most often DNSSEC signatures are broken, so renew them or switch DNSSEC off at the "
    "registrar.",
    Mistake.STALE: "The record is right, but resolvers still remember {old} and may for {wait}: there "
    "is nothing to do but wait.",
    Mistake.NAME_DOUBLED: "The record is at {there}: your DNS provider adds {zone} by itself, so enter "
    "only {typed} as its name.",
    Mistake.NAME_SHORT: "The record is at {there}: move it to {name}, which means entering {typed} as "
    "its name.",
    Mistake.ZONE_APPENDED: "The value has become {found}: your DNS provider appended {zone} because "
    "the dot at the end was missing, so enter {value}. with the dot.",
    Mistake.PROXIED: "Cloudflare's proxy answers with {found} instead of the CNAME: switch this record "
    "from Proxied (orange cloud) to DNS only (grey cloud).",
    Mistake.ADDRESS: "An address record ({found}) is where the CNAME should be: replace it by a CNAME "
    "with the value {value}.",
    Mistake.TXT_INSTEAD: "A TXT record ({found}) is where the CNAME should be: remove it and add a "
    "CNAME with the value {value}.",
    Mistake.TOKENS_SWAPPED: "{found} belongs to {owner}: the values are swapped, so change this one to "
    "{value}.",
    Mistake.OTHER_IDENTITY: "{found} is from another or a former identity in SES: change it to "
    "{value}, and remove records that are not listed here any more.",
    Mistake.OTHER_OWNERSHIP: "{found} is for another AWS account or region: add a second TXT record "
    "with {value}, and keep the other while that account sends.",
    Mistake.OTHER_ZONE: "The end of the value is not right: change {found} to {value}, the whole of it.",
    Mistake.PARTIAL: "{there} of the {of} DKIM records can be seen and SES wants all: add the CNAME "
    "named {name} with the value {value} as well.",
    Mistake.CNAME_IN_THE_WAY: "{name} is a CNAME to {alias}, and nothing can stand beside a CNAME: {way}.",
    Mistake.WILDCARD: "Only a wildcard record answers for {name}, with {found}: leave it and add this "
    "{type} record itself, which counts before the wildcard: {better}. What else that name has from a "
    "wildcard, such as a website, needs a record of its own then.",
    Mistake.OTHER_VALUE: "The {type} record holds {found}: change it to {value}.",
    Mistake.QUOTES: "The quotation marks have become part of the value ({found}): enter it without "
    "any: {better}.",
    Mistake.SPLIT: "The value is spread over several TXT records ({found}), which are not joined: put "
    "it into a single one: {better}.",
    Mistake.ODD_SPACE: "The record holds {odd} ({found}), which mail servers do not take for a space: "
    "enter it again with plain spaces: {better}.",
    Mistake.TWO_SPF: "There are {count} SPF records, so receivers ignore all of them: remove them and "
    "publish a single one: {better}.",
    Mistake.SPF_WITHOUT_SES: "The SPF record ({found}) does not name SES: change it to {better}; do "
    "not add a second one.",
    Mistake.SPF_FULL: "The SPF record ({found}) does not name SES, and none of the 10 DNS look-ups "
    "that receivers allow is left{costs}: take out an include that is not used any more, then add "
    "include:amazonses.com.",
    Mistake.SPF_LOOKUPS: "The SPF record needs more than the 10 DNS look-ups that receivers "
    "allow{costs}: take out an include that is not used any more, or list its addresses as ip4: and "
    "ip6:.",
    Mistake.SPF_VOID_LOOKUPS: "The SPF record names more than 2 hosts that do not exist ({culprits}), "
    "so receivers ignore it: correct the names, or take out those where nobody sends for you any "
    "more, and see that include:amazonses.com is in.",
    Mistake.SPF_LOOP: "The SPF record includes itself ({culprits}), so receivers ignore it: break that "
    "circle, and keep the other senders that are named on its way.",
    Mistake.SPF_SYNTAX: "The SPF record ({found}) cannot be read: {error}. Correct it and keep the "
    "other senders it names; as a model: {value}",
    Mistake.SPF_AFTER_ALL: "What stands after all in the SPF record ({found}) is never read: move it "
    "before all: {better}.",
    Mistake.SPF_OPEN: "+all in the SPF record ({found}) lets everybody send as this domain: change it "
    "to {better}.",
    Mistake.SPF_REDIRECT: "The SPF record hands over to {culprits} (redirect=), which does not name "
    "SES: change it to {better}.",
    Mistake.SPF_REDIRECT_MACRO: "The SPF record hands over to {culprits} (redirect=), a name that is "
    "another for each message and was not looked up, and does not name SES itself: change it to {better}.",
    Mistake.SPF_OPEN_INCLUDE: "Works, but {culprits}, which the SPF record names, lets everybody send "
    "(+all), as this domain too: ask whoever runs it to correct that, or take it out.",
    Mistake.SPF_INCLUDE: "{culprits}, which the SPF record includes, has no usable SPF record, so "
    "receivers ignore yours: correct the name, or take it out when nobody there sends for you any more, "
    "and see that include:amazonses.com is in.",
    Mistake.DMARC_INHERITED: "Nothing to do: the record of {parent} counts for its subdomains too "
    "(policy for them: {policy}). Add one here only to differ from it.",
    Mistake.TWO_DMARC: "There are {count} DMARC records, so receivers ignore all of them: keep one.",
    Mistake.DMARC_SYNTAX: "The DMARC record ({found}) cannot be read: {error}. Correct it; as a model: "
    "{value}",
    Mistake.DMARC_PLACE: "The DMARC record is at {there}, where nobody looks for it: move it to {name}.",
    Mistake.DMARC_STRICT_SPF: "Works, by DKIM alone: aspf=s asks for a MAIL FROM of exactly {domain}, "
    "and it is {mail_from}; take aspf=s out to let SPF count as well.",
    Mistake.DMARC_REPORTS: "Works, but reports to {address} will not arrive: {destination} must first "
    'allow it with a TXT record named {domain}._report._dmarc.{destination} with the value "v=DMARC1".',
    Mistake.DMARC_BEFORE_DKIM: "The policy is {policy}, but the DKIM records are not all there: mail "
    "sent now is rejected or lands in spam. Add the DKIM records first.",
    Mistake.TWO_MX: "{name} has {count} MX records and SES accepts exactly one: keep {value}, remove "
    "{surplus}.",
    Mistake.MX_OTHER_REGION: "The MX is that of the AWS region {region}, but this domain sends from "
    "another: change {found} to {value}.",
    Mistake.MX_OTHER_HOST: "{name} has the MX {found}, and a MAIL FROM domain can have none but SES's: "
    "choose another MAIL FROM domain, or put {value} in its place if nothing receives mail at {name}.",
    Mistake.MX_SHARED: "{foreign} is in the way: {name} has it as MX beside SES's, and SES accepts exactly "
    "one: choose another MAIL FROM domain, or remove {foreign} if nothing receives mail at {name}.",
    Mistake.MX_PRIORITY: "The priority was typed into the host ({found}): enter {value}, the number as "
    "priority and the rest as host.",
}


def finding(
    record: DnsRecord,
    verdict: Verdict,
    values: tuple[str, ...],
    mistake: Mistake,
    *,
    better: str | None = None,
    instead: str = "",
    **words: str,
) -> Finding:
    """`instead`: what the sentence says where there is no better value."""
    filled = {
        "name": record.name,
        "type": record.type,
        "value": record.value,
        "found": listed(values),
        "better": _said(better, instead or record.value),
        **words,
    }
    return Finding(record, values, verdict, mistake, ADVICE[mistake].format_map(filled), better)


def _said(better: str | None, instead: str) -> str:
    if better is None:
        return instead[:LONGEST_SAID]
    return better if len(better) <= LONGEST_SAID else "the value that is given with this record"


def good(record: DnsRecord, values: tuple[str, ...]) -> Finding:
    return Finding(record, values, Verdict.FOUND)


def unknown(record: DnsRecord, error: str, values: tuple[str, ...] = ()) -> Finding:
    return finding(record, Verdict.UNKNOWN, values, Mistake.NO_ANSWER, error=error)


def not_checked(record: DnsRecord) -> Finding:
    return finding(record, Verdict.UNKNOWN, (), Mistake.NOT_CHECKED)


def nothing_there(record: DnsRecord) -> Finding:
    return finding(record, Verdict.MISSING, (), Mistake.NOTHING_THERE)


def listed(values: tuple[str, ...]) -> str:
    """In a sentence; a value can be as long as its owner likes."""
    shown = [value if len(value) <= 200 else f"{value[:200]}…" for value in values[:5]]
    return ", ".join(shown + ["…"] * (len(values) > 5)) or "nothing"
