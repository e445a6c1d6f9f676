"""Spreadsheets: CSV as they write it, read with its real lines; cells written so that none is a formula."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import islice

from charset_normalizer import from_bytes

from core.errors import InputError

MAX_BYTES = 50_000_000
MAX_CELL = 100_000
DELIMITERS = ",;\t|"
SAVE_AS_CSV = 'In your spreadsheet choose "Save as" and "CSV UTF-8", and upload that file.'

_CHUNK = 1 << 20
_EVIDENCE = 1 << 16

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_FOREIGN = (
    (b"PK\x03\x04", "an Excel workbook or a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"%PDF", "a PDF"),
    (b"{\\rtf", "a text document"),
    (b"PAR1", "a Parquet file"),
    (b"SQLite format 3", "a database"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
)
# By the end of the name: what is inside might be read as text, and be nonsense.
_FOREIGN_NAMES = (
    *(".xlsx", ".xlsm", ".xls", ".ods", ".numbers"),
    *(".pdf", ".doc", ".docx", ".rtf", ".html", ".htm", ".xml", ".json", ".vcf"),
    *(".zip", ".gz", ".7z", ".rar", ".png", ".jpg", ".jpeg", ".gif"),
)
_MARKUP = re.compile(rb"\s*(<!doctype|<html|<\?xml|<table)", re.IGNORECASE)

_LATIN = ("cp1252", "cp1250", "cp1254")  # in the order that wins a tie
_OTHER_SCRIPTS = (
    "cp1251",
    "koi8_r",
    "cp1253",
    "cp1255",
    "cp1256",
    "cp932",
    "gb18030",
    "big5",
    "euc_kr",
    "euc_jp",
)

# What one word of a language may hold besides a-z. Names of a list come in several languages, a name in one:
# so words, not files, tell cp1252's letters from the ones that cp1250 and cp1254 have in the same bytes.
_ALPHABETS = {
    "cp1252": ("äöüß", "àâæçéèêëîïôœùûü", "áéíñóúü", "ãáàâçéêíóôõú", "àéèìíîòóùú", "åäöéü", "æøåéäö",
               "áðéíóúýþæö", "äëïéèöüáóíú", "àçéèíïóòúü", "äöüšž"),
    "cp1250": ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "čćđšž", "ăâîșțşţ"),
    "cp1254": ("çğıöşüâîû\N{COMBINING DOT ABOVE}",),  # İ in lower case is i and a dot
}  # fmt: skip
_WORD = re.compile(r"[^\s,;|\"'()&./@-]*[^\x00-\x7f][^\s,;|\"'()&./@-]*")
_QUOTATION = "«»“”‘’„–—…€"
# What a language of cp1252 has in such words only; elsewhere the byte stands for another encoding's letter:
# Portuguese õ for Hungarian ő, French œ for Polish ś, Icelandic ð and þ for Turkish ğ and ş.
_MISREAD = re.compile("õ(?!e)|œ(?![ui])|^[^áéíóúæ]*[ðþ][^áéíóúæ]*$")

_FORMULA = re.compile(r"[\s\x00]*[=+\-@＝＋－＠;|%]|[\t\r\n]|'")


def encoding_of(content: bytes, filename: str) -> str:
    """How the bytes are to be read: by their mark, as UTF-8, or as the likeliest older encoding.
    Raises InputError for an empty or too large file, for what is not text, and for what nothing can read."""
    _refuse_foreign(content, _shown(filename))
    if filename.lower().endswith(_FOREIGN_NAMES):
        raise InputError(f"{_shown(filename)} is not CSV by its name. {SAVE_AS_CSV}", "csv")
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            candidates = [encoding]
            break
    else:
        candidates = ["utf-8"] if _reads(content, "utf-8") else _likely_encodings(content)
    for encoding in candidates:
        if _reads(content, encoding):
            return encoding
    raise InputError(f"The encoding of {_shown(filename)} cannot be told. {SAVE_AS_CSV}", "csv")


def delimiter_of(content: bytes, encoding: str) -> str:
    """Comma, semicolon, TAB or |: whichever cuts the first rows into most columns, evenly."""
    if declared := _declared_delimiter(content, encoding):
        return declared
    return max(DELIMITERS, key=lambda delimiter: _evenness(content, encoding, delimiter))


def rows(content: bytes, encoding: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with the number of the line it starts on (the first is 1), in flat memory.
    Raises InputError where a quote is not closed or a cell has more than MAX_CELL characters."""
    text = io.TextIOWrapper(io.BytesIO(content), encoding=encoding, newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    if _declared_delimiter(content, encoding):
        next(reader)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as e:
            raise InputError(_broken_row(line, str(e)), "csv") from e
        if not any(row):
            continue
        if max(map(len, row)) > MAX_CELL:
            raise InputError(_broken_row(line, "field larger"), "csv")
        yield line, row


def safe_cell(value: str) -> str:
    """The value with ' before it when a spreadsheet could run it; restored_cell takes it off again."""
    return f"'{value}" if _FORMULA.match(value) else value


def restored_cell(value: str) -> str:
    return value[1:] if value.startswith("'") and _FORMULA.match(value[1:]) else value


def csv_row(cells: Iterable[str]) -> str:
    """One formula-safe line of CSV, quoted as RFC 4180 says, CRLF at its end."""
    line = io.StringIO(newline="")
    csv.writer(line).writerow([safe_cell(cell) for cell in cells])
    return line.getvalue()


def _shown(filename: str) -> str:
    """The last part of a name somebody else chose, fit for a message; it is never used as a path."""
    name = re.split(r"[/\\]", filename)[-1]
    printable = "".join(c for c in name if c.isprintable())[:60].strip()
    return f"‘{printable}’" if printable else "the file"


def _refuse_foreign(content: bytes, shown: str) -> None:
    if len(content) > MAX_BYTES:
        raise InputError(
            f"{shown} is larger than {MAX_BYTES // 1_000_000} MB; split it and upload the parts."
        )
    if not content.strip(b" \t\r\n\xef\xbb\xbf\xff\xfe"):
        raise InputError(f"{shown} is empty; upload a CSV whose first row names its columns.", "csv")
    for magic, what in _FOREIGN:
        if content.startswith(magic):
            raise InputError(f"{shown} is {what}, not CSV. {SAVE_AS_CSV}", "csv")
    if _MARKUP.match(content[:200]):
        raise InputError(f"{shown} is a web page or XML, not CSV. {SAVE_AS_CSV}", "csv")
    if b"\0" in content and not content.startswith(tuple(mark for mark, _ in _MARKS)):
        raise InputError(f"{shown} is not text, or is UTF-16 without its mark. {SAVE_AS_CSV}", "csv")


def _reads(content: bytes, encoding: str) -> bool:
    """Whether all of it is text in this encoding; in pieces, so that memory stays flat."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for start in range(0, len(content), _CHUNK):
            if "\0" in decoder.decode(content[start : start + _CHUNK]):
                return False
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _likely_encodings(content: bytes) -> list[str]:
    """charset-normalizer tells scripts apart; between the Latin ones it ties, there the words decide."""
    evidence = bytearray()
    for line in io.BytesIO(content):
        if not line.isascii():
            evidence += line
        if len(evidence) > _EVIDENCE:
            break
    found = [match.encoding for match in from_bytes(bytes(evidence), cp_isolation=[*_LATIN, *_OTHER_SCRIPTS])]
    if found and found[0] not in _LATIN:
        return [*found, *_LATIN]
    return sorted(_LATIN, key=lambda encoding: -_fitting_words(bytes(evidence), encoding))


def _fitting_words(evidence: bytes, encoding: str) -> int:
    words = _WORD.findall(evidence.decode(encoding, errors="replace").lower())
    return sum(_fits(word, encoding) for word in words)


def _fits(word: str, encoding: str) -> bool:
    letters = {c for c in word.strip(_QUOTATION) if not c.isascii()}
    return not _MISREAD.search(word) and any(letters <= set(alphabet) for alphabet in _ALPHABETS[encoding])


def _declared_delimiter(content: bytes, encoding: str) -> str | None:
    """Excel's own first line `sep=;`."""
    first = io.TextIOWrapper(io.BytesIO(content[:64]), encoding=encoding, errors="replace").readline()
    found = re.fullmatch(r'"?sep=([,;\t|])"?\s*', first)
    return found[1] if found else None


def _evenness(content: bytes, encoding: str, delimiter: str) -> tuple[bool, float, int]:
    widths: list[int] = []
    with contextlib.suppress(InputError):  # a broken row is told when the file is read with its delimiter
        for _, row in islice(rows(content, encoding, delimiter), 50):
            widths.append(len(row))
    if not widths:
        return (False, 0.0, 0)
    return (widths[0] > 1, widths.count(widths[0]) / len(widths), widths[0])


def _broken_row(line: int, error: str) -> str:
    if "field larger" in error:
        return (
            f"A cell in the row that starts on line {line} has more than {MAX_CELL:,} characters; "
            "shorten it, or close the quote that was opened there."
        )
    return (
        f'A quote (") opened on line {line} is not closed; '
        'close it, or write "" for a quote inside a quoted cell.'
    )
