"""Recipients: what a CSV of people holds, row by row: who can be written to, who cannot and why."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from email_validator import EmailNotValidError, validate_email

from core.content import field_name
from core.errors import InputError
from core.spreadsheets import csv_row, delimiter_of, encoding_of, restored_cell, rows

MAX_COLUMNS = 500
SAMPLE_ROWS = 20

_BLANK = " \t\u00a0\ufeff"  # what spreadsheets leave around a cell; line ends inside stay, to be refused

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL = re.compile(rf"{_ATOM}(\.{_ATOM})*")

# Headers that say what their column holds, compared without case, accents, spaces and punctuation.
_HEADERS = {
    "email": """
        email, mail, e-mail address, mail address, email id, E-Mail-Adresse, Mailadresse, epost,
        e-postadress, e-postadresse, mejl, correo, correo electrónico, email dirección,
        dirección de correo, courriel, adresse e-mail, adresse mail, adresse électronique, mél,
        endereço de e-mail, e-mail endereço, indirizzo e-mail, indirizzo mail, posta elettronica,
        e-mailadres, mailadres, adres e-mail, adres email, adres mailowy, e-mailová adresa, emailcím,
        e-mail cím, adresă de e-mail, adresă email, sähköposti, sähköpostiosoite, e-posta,
        e-posta adresi, имейл, емейл, почта, электронная почта, электронна пошта,
        адрес электронной почты, email адрес, ηλεκτρονική διεύθυνση, 电子邮件, 电子邮箱, 邮箱, 邮件,
        電子郵件, メール, メールアドレス, 이메일, 이메일 주소, อีเมล, ईमेल, البريد الإلكتروني,
        دواר אלקטרוני, אימייל, דוא"ל""",
    "first_name": """
        first name, firstname, fname, forename, given name, Vorname, prénom, nombre, nome, primo nome,
        primeiro nome, voornaam, förnamn, fornavn, imię, jméno, křestní jméno, meno, keresztnév, utónév,
        prenume, etunimi, ad, adı, isim, имя, ім'я, όνομα, 名, 名字, 이름, שם פרטי, الاسم الأول""",
    "last_name": """
        last name, lastname, lname, surname, family name, Nachname, Familienname, Zuname, nom,
        nom de famille, apellido, apellidos, cognome, sobrenome, apelido, achternaam, efternamn,
        efternavn, etternavn, nazwisko, příjmení, priezvisko, vezetéknév, családnév, nume,
        nume de familie, sukunimi, soyad, soyadı, фамилия, прізвище, επώνυμο, 姓, 姓氏, 성, שם משפחה,
        اسم العائلة""",
    "country": """
        country, country code, Land, Länderkürzel, pays, país, paese, nazione, kraj, země, krajina,
        ország, țară, maa, ülke, страна, країна, χώρα, 国, 国家, 國家, 국가, ארץ, מדינה, البلد, الدولة""",
    "company": """
        company, company name, organization, organisation, Firma, Unternehmen, société, entreprise,
        empresa, compañía, azienda, società, ditta, bedrijf, företag, firmanavn, virksomhed, spółka,
        společnost, cég, cégnév, companie, yritys, şirket, компания, компанія, фирма, εταιρεία, 公司,
        会社, 会社名, 회사, חברה, الشركة""",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is read. `mapping` proposes merge field -> header; a person may say otherwise."""

    encoding: str
    delimiter: str
    headers: tuple[str, ...]
    mapping: dict[str, str]
    sample_rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Recipient:
    line: int
    address: str  # as it was given, with its domain in ASCII (IDNA)
    address_key: str  # lower case: who it is
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class Rejection:
    line: int
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class Checked:
    """Every row of a file is in one of the three; `padded` are the lines of rows that were too short."""

    accepted: list[Recipient] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    duplicates: list[Rejection] = field(default_factory=list)
    padded: list[int] = field(default_factory=list)


def inspect(content: bytes, filename: str) -> Layout:
    """Read the file once, whole, and propose what its columns are; nothing is stored. Raises InputError."""
    encoding = encoding_of(content, filename)
    delimiter = delimiter_of(content, encoding)
    table = rows(content, encoding, delimiter)
    line, first = next(table, (1, []))
    headers = _headers(line, first)
    sample = tuple(tuple(row) for _, row in islice(table, SAMPLE_ROWS))
    deque(table, maxlen=0)  # a quote left open or a huge cell further down refuses the file now
    return Layout(encoding, delimiter, headers, _proposal(headers, sample), sample)


def check(content: bytes, layout: Layout, mapping: Mapping[str, str] | None = None) -> Checked:
    """Sort all rows. `mapping` (merge field -> header) is laid over the layout's own.
    Raises InputError when a mapped column is not there, or none holds addresses."""
    checked = Checked()
    first_lines: dict[str, int] = {}
    for row in read(content, layout, mapping, padded=checked.padded):
        if isinstance(row, Rejection):
            checked.rejected.append(row)
            continue
        first = first_lines.setdefault(row.address_key, row.line)
        if first == row.line:
            checked.accepted.append(row)
        else:
            checked.duplicates.append(Rejection(row.line, row.address, f"Already on line {first}."))
    return checked


def under_own_names(layout: Layout, fields: Iterable[str]) -> dict[str, str]:
    """Merge fields that are written as the file's own headers, for which the layout proposes other names:
    {{vorname}} may be said as well as {{first_name}}."""
    own = {field_name(header): header for header in layout.headers}
    return {name: own[name] for name in fields if name in own and name not in layout.mapping}


def read(
    content: bytes,
    layout: Layout,
    mapping: Mapping[str, str] | None = None,
    *,
    padded: list[int] | None = None,
    valid: Callable[[str], str] | None = None,
) -> Iterator[Recipient | Rejection]:
    """What `check` sorts, one row at a time in flat memory; the same address may come more than once.
    `valid`: what an address may be, in place of `valid_address`."""
    columns = _columns(layout, mapping or {})
    email = columns.pop("email")
    width = len(layout.headers)
    table = rows(content, layout.encoding, layout.delimiter)
    next(table, None)
    for line, row in table:
        cells = [cell.strip(_BLANK) for cell in row]
        if not any(cells):
            continue
        if len(cells) > width and any(cells[width:]):
            yield Rejection(line, cells[email], f"The row has {len(cells)} columns, the header {width}.")
            continue
        if len(cells) < width:
            cells += [""] * (width - len(cells))
            if padded is not None:
                padded.append(line)
        yield _recipient(line, cells, email, columns, valid or valid_address)


def rejections_csv(rejections: Iterable[Rejection]) -> str:
    """line,value,reason: formula-safe, to be opened in a spreadsheet and mended."""
    lines = [csv_row(("line", "value", "reason"))]
    lines += [csv_row((str(rejection.line), rejection.value, rejection.reason)) for rejection in rejections]
    return "".join(lines)


def valid_address(value: str) -> str:
    """The address, its domain in ASCII. Raises InputError with the reason why SES could not deliver to it."""
    if not value:
        raise InputError("The address is missing.", "email")
    if "<" in value or ">" in value:
        raise InputError("Write the address alone, without a name or < >.", "email")
    if value.count("@") > 1:
        raise InputError("There is more than one address; give each its own row.", "email")
    local, _, domain = value.rpartition("@")
    if len(value) > 254 or len(local) > 64 or not _LOCAL.fullmatch(local) or not _ascii_domain(domain):
        return _validated(value)
    return f"{local}@{_ascii_domain(domain)}"


def _validated(value: str) -> str:
    try:
        found = validate_email(value, check_deliverability=False, strict=True)
    except EmailNotValidError as e:
        raise InputError(str(e), "email") from e
    if found.ascii_email is None:
        raise InputError(
            "SES cannot deliver to it: before the @ only ASCII characters are possible.", "email"
        )
    return found.ascii_email


@functools.lru_cache(maxsize=20_000)
def _ascii_domain(domain: str) -> str | None:
    """A list has few domains: judging each once makes a check five times as fast. None: not a good one."""
    try:
        return validate_email(f"x@{domain}", check_deliverability=False, strict=True).ascii_domain
    except EmailNotValidError:
        return None


def _recipient(
    line: int, cells: list[str], email: int, columns: dict[str, int], valid: Callable[[str], str]
) -> Recipient | Rejection:
    try:
        address = valid(restored_cell(cells[email]))
    except InputError as e:
        return Rejection(line, cells[email], str(e))
    return Recipient(line, address, address.lower(), {name: cells[at] for name, at in columns.items()})


def _headers(line: int, row: list[str]) -> tuple[str, ...]:
    cells = [" ".join(cell.split()).strip(_BLANK) for cell in row]
    while cells and not cells[-1]:
        cells.pop()
    if not cells:
        raise InputError(f"Line {line} must name the columns, such as email,first_name.", "csv")
    if len(cells) > MAX_COLUMNS:
        raise InputError(f"The file has {len(cells)} columns; leave at most {MAX_COLUMNS}.", "csv")
    if any(_looks_like_address(cell) for cell in cells):
        raise InputError(
            f"Line {line} must name the columns, such as email,first_name; it holds an address.", "csv"
        )
    named = [cell or f"Column {number}" for number, cell in enumerate(cells, 1)]
    return tuple(_each_once(named, lambda name, copy: f"{name} ({copy})"))


def _each_once(names: Iterable[str], renamed: Callable[[str, int], str]) -> list[str]:
    """The names, those that come again renamed with their number, so that no column hides another."""
    seen: list[str] = []
    for name in names:
        candidate, copy = name, 1
        while candidate in seen:
            copy += 1
            candidate = renamed(name, copy)
        seen.append(candidate)
    return seen


def _looks_like_address(cell: str) -> bool:
    local, at, domain = cell.strip(_BLANK).rpartition("@")
    return bool(local and at and "." in domain.strip(".") and " " not in domain)


def _plain(header: str) -> str:
    """Without case, accents, spaces and punctuation: `E-Mail ` and `email` are the same."""
    letters = unicodedata.normalize("NFKD", header.casefold())
    return "".join(c for c in letters if c.isalnum())


_KNOWN = {_plain(header): name for name, headers in _HEADERS.items() for header in headers.split(",")}


def _proposal(headers: tuple[str, ...], sample: tuple[tuple[str, ...], ...]) -> dict[str, str]:
    proposal: dict[str, str] = {}
    for header in headers:
        if known := _KNOWN.get(_plain(header)):
            proposal.setdefault(known, header)
    if "email" not in proposal and (guess := _guessed_email(headers, sample)):
        proposal = {"email": guess, **{name: header for name, header in proposal.items() if header != guess}}
    return proposal


def _guessed_email(headers: tuple[str, ...], sample: tuple[tuple[str, ...], ...]) -> str | None:
    """The column whose cells look like addresses, else the one whose name speaks of mail."""
    for column, header in enumerate(headers):
        cells = [row[column] for row in sample if len(row) > column and row[column].strip(_BLANK)]
        if cells and sum(map(_looks_like_address, cells)) * 2 > len(cells):
            return header
    return next((header for header in headers if "mail" in _plain(header)), None)


def _columns(layout: Layout, mapping: Mapping[str, str]) -> dict[str, int]:
    """Merge field -> number of its column: the mapped ones by their new name, the others by their header's.
    A field mapped to nothing keeps its column under the header's name."""
    wanted = {field_name(name): header for name, header in {**layout.mapping, **mapping}.items()}
    columns = {name: _find(header, layout.headers) for name, header in wanted.items() if header}
    if "email" not in columns:
        raise InputError(
            f"No column holds e-mail addresses. The columns are {_listed(layout.headers)}: "
            "say which one it is (on the command line: --map email=COLUMN).",
            "mapping",
        )
    mapped = set(columns.values())
    rest = [at for at in range(len(layout.headers)) if at not in mapped]
    names = [field_name(layout.headers[at]) or f"column_{at + 1}" for at in rest]
    unique = _each_once([*columns, *names], lambda name, copy: f"{name}_{copy}")
    return columns | dict(zip(unique[len(columns) :], rest, strict=True))


def _find(header: str, headers: tuple[str, ...]) -> int:
    for same in (str.strip, _plain):
        wanted = same(header)
        for at, candidate in enumerate(headers):
            if same(candidate) == wanted:
                return at
    raise InputError(f"There is no column {header!r}. The columns are {_listed(headers)}.", "mapping")


def _listed(headers: tuple[str, ...]) -> str:
    shown = ", ".join(repr(header[:60]) for header in headers[:20])
    return shown if len(headers) <= 20 else f"{shown} and {len(headers) - 20} more"
