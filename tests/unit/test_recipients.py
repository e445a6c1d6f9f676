"""Lists of recipients: what comes out of files as people really have them."""

from __future__ import annotations

import contextlib
import csv
import io
import tracemalloc

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core import recipients
from core.errors import InputError
from core.recipients import Checked, Layout, Recipient
from core.spreadsheets import MAX_CELL, csv_row, restored_cell, safe_cell
from tests.conftest import DATA


def read(content: bytes | str, mapping: dict[str, str] | None = None) -> tuple[Layout, Checked]:
    content = content.encode() if isinstance(content, str) else content
    layout = recipients.inspect(content, "people.csv")
    return layout, recipients.check(content, layout, mapping)


def refusal(content: bytes | str, mapping: dict[str, str] | None = None) -> str:
    with pytest.raises(InputError) as caught:
        read(content, mapping)
    return str(caught.value)


def test_ten_thousand_people_in_many_scripts_are_all_accepted() -> None:
    content = (DATA / "recipients_10k.csv").read_bytes()
    layout, checked = read(content)
    assert (layout.encoding, layout.delimiter) == ("utf-8", ",")
    assert len(checked.accepted) == 10_000
    assert not checked.rejected
    assert not checked.duplicates
    assert checked.accepted[2].fields["first_name"] == "הלל"
    assert checked.accepted[0].fields == {
        "first_name": "Макар",
        "last_name": "Вівчаренко",
        "country": "UA",
        "company": "Александренко, Полтавець and Мазепа",
        "plan": "free",
        "customer_since": "2025-01-10",
    }


def test_a_german_latin_1_list_is_read_mapped_and_each_bad_row_named() -> None:
    layout, checked = read((DATA / "recipients_dirty_latin1.csv").read_bytes())
    assert (layout.encoding, layout.delimiter) == ("cp1252", ";")
    assert layout.mapping == {
        "email": "E-Mail", "first_name": "Vorname", "last_name": "Nachname", "country": "Land",
        "company": "Firma",
    }  # fmt: skip
    assert (len(checked.accepted), len(checked.rejected), len(checked.duplicates)) == (1502, 12, 25)
    assert checked.accepted[3].fields["company"] == "Karlsson Norén AB"
    assert [(row.line, row.value) for row in checked.rejected][:3] == [
        (35, "not-an-email"),
        (135, "a@b"),
        (235, "@nobody.example.org"),
    ]
    assert all(row.reason.endswith(".") for row in checked.rejected)
    assert checked.duplicates[0].line == 7
    assert checked.duplicates[0].reason == "Already on line 2."
    assert checked.padded == [402]


def test_the_person_may_say_which_column_is_which() -> None:
    content = "Kontakt;Zweitadresse;Name\na@example.com;b@example.com;Jo\n"
    _, checked = read(content, {"email": "zweitadresse ", "first_name": "Name"})
    assert checked.accepted == [
        Recipient(2, "b@example.com", "b@example.com", {"first_name": "Jo", "kontakt": "a@example.com"})
    ]


def test_a_field_mapped_to_nothing_keeps_its_column_under_its_own_name() -> None:
    _, checked = read("email,Vorname\na@example.com,Jo\n", {"first_name": ""})
    assert checked.accepted[0].fields == {"vorname": "Jo"}


def test_a_mapped_column_that_is_not_there_is_refused_with_the_columns_that_are() -> None:
    assert refusal("E-Mail,Ort\na@example.com,Bonn\n", {"email": "Adresse"}) == (
        "There is no column 'Adresse'. The columns are 'E-Mail', 'Ort'."
    )


def test_a_list_without_addresses_is_refused_with_what_to_pass() -> None:
    said = refusal("name,city\nJo,Bonn\n")
    assert "'name', 'city'" in said
    assert "--map email=COLUMN" in said


@pytest.mark.parametrize("header", [
    "E-Mail ", "EMAIL", "email", "E-mail address", "Correo", "Correo electrónico", "Courriel",
    "Adresse e-mail", "メールアドレス", "Электронная почта", "Indirizzo e-mail", "e-postadress",
    "E-Mail-Adresse", "邮箱",
])  # fmt: skip
def test_the_column_of_addresses_is_known_in_many_languages(header: str) -> None:
    layout, checked = read(f"{header},x\na@example.com,1\n")
    assert layout.mapping["email"] == header.strip()
    assert len(checked.accepted) == 1


@pytest.mark.parametrize(
    "content", ["who,city\na@example.com,Bonn\nb@example.com,Ulm\n", "customer mail,city\n,Bonn\n"]
)
def test_an_unknown_column_of_addresses_is_proposed_all_the_same(content: str) -> None:
    layout, _ = read(content)
    assert layout.mapping["email"] == layout.headers[0]


def test_a_first_row_without_names_is_refused() -> None:
    assert "must name the columns" in refusal("a@example.com,Jo\nb@example.com,Al\n")


def test_columns_of_the_same_name_do_not_hide_each_other() -> None:
    layout, checked = read("email,email,Plan,plan,\na@example.com,b@example.com,x,y,z\n")
    assert layout.headers == ("email", "email (2)", "Plan", "plan")
    assert checked.rejected[0].reason == "The row has 5 columns, the header 4."
    _, checked = read("email,email,Plan,plan\na@example.com,b@example.com,x,y\n")
    assert checked.accepted[0].fields == {"email_2": "b@example.com", "plan": "x", "plan_2": "y"}


@pytest.mark.parametrize(("encoding", "content"), [
    ("utf-8-sig", "email,name\na@example.com,José\n"),
    ("utf-16", "email,name\na@example.com,José\n"),
    ("utf-16-le", "\ufeffemail,name\na@example.com,José\n"),
    ("utf-16-be", "\ufeffemail,name\na@example.com,José\n"),
    ("utf-32", "email,name\na@example.com,José\n"),
    ("cp1252", "email,name\na@example.com,José\n"),
    ("cp1252", "email;name\na@example.com;Größe – „Weiß“ 5 €\nb@example.com;Åsa Norén\n"),
    ("cp1252", "email;name\na@example.com;João Gonçalves\nb@example.com;Conceição Simões\n"),
    ("cp1250", "email;imię\na@example.com;Łukasz Żółć\nb@example.com;Małgorzata Dąbrowska\n"),
    ("cp1250", "email;jméno\na@example.com;Jiří Dvořák\nb@example.com;Kateřina Procházková\n"),
    ("cp1250", "email;név\na@example.com;Kovács Ildikó\nb@example.com;Szőke Gergő\n"),
    ("cp1254", "email;ad\na@example.com;Ayşe Yılmaz\nb@example.com;İpek Gülşah Öztürk Doğan\n"),
    ("cp1251", "email;имя\na@example.com;Алексей Иванов\nb@example.com;Мария Петрова\n"),
    ("cp1253", "email;όνομα\na@example.com;Γιώργος Παπαδόπουλος\nb@example.com;Μαρία Νικολάου\n"),
    ("cp932", "メール,名前\na@example.com,山田太郎\nb@example.com,佐藤花子\n"),
])  # fmt: skip
def test_the_encoding_is_found_and_every_name_comes_out_right(encoding: str, content: str) -> None:
    _, checked = read(content.encode(encoding))
    names = [next(iter(row.fields.values())) for row in checked.accepted]
    assert names == [line.split(";" if ";" in content else ",")[1] for line in content.splitlines()[1:]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_though_cells_hold_the_others(delimiter: str) -> None:
    others = "a, b; c| d".replace(delimiter, "/")
    layout, checked = read(
        delimiter.join(["email", "note"]) + "\n" + delimiter.join(["a@example.com", others])
    )
    assert layout.delimiter == delimiter
    assert checked.accepted[0].fields == {"note": others}


def test_excels_own_line_about_the_delimiter_is_no_header() -> None:
    layout, checked = read("sep=;\r\nemail;name\r\na@example.com;Jo, the first\r\n")
    assert layout.headers == ("email", "name")
    assert checked.accepted == [Recipient(3, "a@example.com", "a@example.com", {"name": "Jo, the first"})]


def test_line_numbers_are_those_of_the_file_also_after_cells_of_several_lines() -> None:
    content = 'email,note\r\n\r\na@example.com,"one\r\ntwo\r\nthree"\r\nbad,x\r\n,,\r\nb@example.com,y\r\n'
    _, checked = read(content)
    assert [row.line for row in checked.accepted] == [3, 8]
    assert [(row.line, row.value) for row in checked.rejected] == [(6, "bad")]
    assert checked.accepted[0].fields["note"] == "one\r\ntwo\r\nthree"


def test_the_same_address_is_one_recipient_however_it_is_written() -> None:
    _, checked = read(
        "email\nA@Example.COM\na@example.com\n a@example.com \nb@exämple.org\nB@xn--exmple-cua.org\n"
    )
    assert [(row.address, row.address_key) for row in checked.accepted] == [
        ("A@example.com", "a@example.com"),
        ("b@xn--exmple-cua.org", "b@xn--exmple-cua.org"),
    ]
    assert [(row.line, row.reason) for row in checked.duplicates] == [
        (3, "Already on line 2."), (4, "Already on line 2."), (6, "Already on line 5."),
    ]  # fmt: skip


@pytest.mark.parametrize(("address", "reason"), [
    ("üser@example.org", "SES cannot deliver to it"),
    ("a@example.com,b@example.com", "more than one address"),
    ("a@example.com;b@example.com", "more than one address"),
    ("Name <a@example.com>", "without a name"),
    ("a@example.com\r\nBcc: v@example.com", "more than one address"),
    ("a@example.com\r\nBcc: v", "invalid characters"),
    ("a\u200b@example.com", "unsafe characters"),
    ("a@exam\u200bple.com", "unsafe characters"),
    ("a@[192.168.0.1]", "bracketed"),
    ("a@localhost", "period"),
    ("a@example.com.", "period"),
    ("a" * 65 + "@example.com", "too long"),
    ("a@" + "b" * 60 + "." + "c" * 60 + "." + "d" * 60 + "." + "e" * 60 + ".example.com", "too long"),
])  # fmt: skip
def test_what_ses_cannot_deliver_to_is_rejected_with_its_reason(address: str, reason: str) -> None:
    _, checked = read(csv_row(("email", "x")) + csv_row((address, "1")))
    assert [row.line for row in checked.rejected] == [2]
    assert reason in checked.rejected[0].reason


@pytest.mark.parametrize(
    "address",
    ["a" * 64 + "@example.com", "=cmd|calc@example.com", "postmaster@example.com", "o'neil@example.com"],
)
def test_what_ses_can_deliver_to_is_accepted_as_it_is(address: str) -> None:
    _, checked = read(csv_row(("email",)) + csv_row((address,)))
    assert [row.address for row in checked.accepted] == [address]


def test_hostile_cells_stay_what_they_are() -> None:
    cells = ["=HYPERLINK(1)", "<script>", "{{7*7}}", "%s", "\r\nBcc:x", "\u202eabc"]
    line = io.StringIO(newline="")
    csv.writer(line).writerow(["a@example.com", *cells])
    _, checked = read("email,a,b,c,d,e,f\r\n" + line.getvalue())
    assert list(checked.accepted[0].fields.values()) == cells


def test_rows_shorter_than_the_header_are_filled_up_and_longer_ones_rejected() -> None:
    wide = "a@example.com" + ",x" * 499
    _, checked = read(f"email,plan\nb@example.com\n{wide}\nc@example.com,x,,,\n")
    assert [(row.line, row.fields) for row in checked.accepted] == [(2, {"plan": ""}), (4, {"plan": "x"})]
    assert checked.padded == [2]
    assert checked.rejected[0].reason == "The row has 500 columns, the header 2."


@pytest.mark.parametrize(("content", "sentence"), [
    (b"", "is empty"),
    (b"\xef\xbb\xbf", "is empty"),
    (b" \r\n\r\n", "is empty"),
    (b"PK\x03\x04" + b"\0" * 100, "Excel workbook"),
    (b"\x1f\x8b\x08\0", "gzip"),
    (b"%PDF-1.7\n", "PDF"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1", "old Excel"),
    (b"<!DOCTYPE html><html>", "web page"),
    ("email\na@example.com\n".encode("utf-16-le"), "UTF-16 without its mark"),
    ("email\na\0@example.com\n".encode("utf-16"), "cannot be told"),
    (b"email\na\0@example.com\n", "not text"),
    (b"\xff\xfee\0m\0\0\xd8", "cannot be told"),
])  # fmt: skip
def test_what_is_no_csv_is_refused_with_what_to_do(content: bytes, sentence: str) -> None:
    assert sentence in refusal(content)


def test_a_file_over_50_mb_is_refused_before_it_is_read() -> None:
    assert "larger than 50 MB" in refusal(b"email\n" + b"a@example.com\n" * 3_600_000)


def test_a_name_of_a_file_is_shown_as_text_and_never_as_a_path() -> None:
    with pytest.raises(InputError, match=r"^‘ypasswdb\.csv’ is empty"):
        recipients.inspect(b"", "../../etc\\C:/x/\u202eypasswd\r\nb.csv")


def test_a_quote_left_open_refuses_the_file_and_names_its_line() -> None:
    rows = [f"a{number}@example.com,x" for number in range(1000)]
    rows[0] = 'a0@example.com,"x'
    assert "opened on line 2 is not closed" in refusal("email,x\n" + "\n".join(rows))


def test_a_quote_left_open_is_found_though_a_later_one_seems_to_close_it() -> None:
    assert "line 2" in refusal('email,x\na@example.com,"x\nb@example.com,y\nc@example.com,"z"\n')


@pytest.mark.parametrize("length", [MAX_CELL + 1, 200_000])
def test_a_huge_cell_is_refused_with_its_line(length: int) -> None:
    assert "starts on line 3" in refusal(f"email,x\nb@example.com,\na@example.com,{'x' * length}\n")


def test_rejected_rows_are_exported_so_that_no_cell_is_a_formula() -> None:
    _, checked = read('email\n=1+1\n"a,b"\n')
    assert recipients.rejections_csv(checked.rejected).splitlines() == [
        "line,value,reason",
        "2,'=1+1,An email address must have an @-sign.",
        '3,"a,b",An email address must have an @-sign.',
    ]


@pytest.mark.slow
def test_a_long_list_is_read_in_flat_memory() -> None:
    content = b"email,name\n" + b"".join(b"p%d@example.com,Jo\n" % number for number in range(50_000))
    layout = recipients.inspect(content, "many.csv")
    tracemalloc.start()
    rows = sum(1 for row in recipients.read(content, layout) if isinstance(row, Recipient))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 50_000
    assert peak < 1_000_000


CELL = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(st.binary(max_size=400), st.sampled_from([b"", b"email,a\n", b"\xff\xfe", b"\xef\xbb\xbfemail;x\n"]))
def test_no_bytes_raise_anything_but_a_refusal(content: bytes, head: bytes) -> None:
    with contextlib.suppress(InputError):
        read(head + content)


@given(st.lists(st.lists(CELL, min_size=1, max_size=4), min_size=1, max_size=6))
def test_no_cells_raise_anything_but_a_refusal(table: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["email", "a", "b"], *table])
    try:
        _, checked = read(text.getvalue())
    except InputError:
        return
    lines = [row.line for row in (*checked.accepted, *checked.rejected, *checked.duplicates)]
    assert len(lines) == len(set(lines))


@given(
    st.lists(st.tuples(CELL, CELL), min_size=1, max_size=8),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_was_written_is_read_in_any_delimiter_and_encoding(
    names: list[tuple[str, str]], delimiter: str, encoding: str
) -> None:
    assume(not any("\0" in cell for row in names for cell in row))
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerow(["email", "first_name", "last_name"])
    for number, row in enumerate(names):
        writer.writerow([f"p{number}@example.com", *row])
    layout, checked = read(text.getvalue().encode(encoding))
    assert layout.delimiter == delimiter
    blank = " \t\u00a0\ufeff"
    assert [tuple(row.fields.values()) for row in checked.accepted] == [
        (first.strip(blank), last.strip(blank)) for first, last in names
    ]


@given(st.text(max_size=20))
def test_a_safe_cell_is_no_formula_and_is_restored(value: str) -> None:
    safe = safe_cell(value)
    assert not safe.lstrip().startswith(("=", "+", "-", "@", "＝", "＋"))
    assert not safe.startswith(("\t", "\r", "\n"))
    assert restored_cell(safe) == value


@pytest.mark.slow
@settings(max_examples=300)
@given(
    st.one_of(
        st.emails(),
        st.builds(
            "{}@{}".format,
            st.text("aé.'+-\"( @\\!=|0", max_size=70),
            st.sampled_from(
                ["example.com", "exämple.org", "a。com", "-x.com", "x..com", "localhost", "x.test"]
            ),
        ),
    )
)
def test_addresses_are_judged_as_email_validator_judges_them(address: str) -> None:
    try:
        found = validate_email(address, check_deliverability=False, strict=True).ascii_email
    except EmailNotValidError:
        found = None
    if found is None:
        with pytest.raises(InputError):
            recipients.valid_address(address)
    else:
        assert recipients.valid_address(address) == found


def test_a_file_whose_name_says_that_it_is_no_csv_is_refused() -> None:
    content = b"email\na@example.com\n"
    for name in ("people.xlsx", "PEOPLE.PDF", "people.csv.zip"):
        with pytest.raises(InputError, match="not CSV by its name"):
            recipients.inspect(content, name)
    for name in ("people.csv", "people.txt", "people", ""):
        assert recipients.inspect(content, name).headers == ("email",)


def test_a_field_may_be_named_as_the_files_own_header() -> None:
    layout = recipients.inspect(b"E-Mail;Vorname;Ort\na@example.com;Jo;Ulm\n", "people.csv")
    own = recipients.under_own_names(layout, ["vorname", "first_name", "ort", "nowhere"])
    assert own == {"vorname": "Vorname", "ort": "Ort"}
    [jo] = recipients.check(b"E-Mail;Vorname;Ort\na@example.com;Jo;Ulm\n", layout, own).accepted
    assert jo.fields == {"first_name": "Jo", "vorname": "Jo", "ort": "Ulm"}
