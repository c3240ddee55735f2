"""Reading a file of candidates understands what spreadsheets write, and refuses the rest with a sentence."""

import contextlib
import csv
import io

import pytest
from email_validator import validate_email
from hypothesis import given
from hypothesis import strategies as st

from sequences.addresses import PLAIN, canonical
from sequences.importing.reading import COLUMNS_MAX, FileRefused, Table, open_table

TEXT = "First name,E-mail\nZoë,zoe@client.example\nJörg,joerg@client.example\n"
CELLS = [["Zoë", "zoe@client.example"], ["Jörg", "joerg@client.example"]]


def cells_of(table: Table) -> list[list[str]]:
    return [cells for _, cells in table.rows()]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_reads_every_encoding_delimiter_and_line_end(encoding: str, delimiter: str, end: str) -> None:
    content = TEXT.replace(",", delimiter).replace("\n", end).encode(encoding)

    table = open_table(content)

    assert table.headers == ("First name", "E-mail")
    assert cells_of(table) == CELLS


def test_keeps_commas_line_breaks_and_quotes_inside_quotes() -> None:
    table = open_table(b'Name;E-mail\n"Chen, Carol";carol@client.example\n"a ""b""\nc";b@client.example\n')

    assert list(table.rows()) == [
        (2, ["Chen, Carol", "carol@client.example"]),
        (3, ['a "b"\nc', "b@client.example"]),
    ]


def test_is_not_misled_by_commas_in_a_file_with_semicolons() -> None:
    table = open_table(b"Name, last first;E-mail\nChen, Carol;carol@client.example\nArcher, Al;al@client.example\n")

    assert table.delimiter == ";"


def test_knows_the_first_line_that_excel_writes_for_itself() -> None:
    table = open_table(b"sep=;\r\nName;E-mail\r\nCarol;carol@client.example\r\n")

    assert table.headers == ("Name", "E-mail")
    assert list(table.rows()) == [(3, ["Carol", "carol@client.example"])]


def test_reads_a_file_without_a_header() -> None:
    table = open_table(b"Carol,carol@client.example\nAl,al@client.example\n")

    assert table.headers == ("Column 1", "Column 2")
    assert len(cells_of(table)) == 2


def test_reads_a_single_column() -> None:
    assert cells_of(open_table(b"E-mail\na@client.example\nb@client.example")) == [
        ["a@client.example"],
        ["b@client.example"],
    ]


def test_tells_repeated_and_empty_headers_apart() -> None:
    table = open_table(b"E-mail,e-mail,,E-mail (2)\na@client.example,,,\n")

    assert table.headers == ("E-mail", "e-mail (2)", "Column 3", "E-mail (2) (2)")


def test_skips_blank_lines_and_still_counts_them() -> None:
    table = open_table(b"\n\nE-mail,Name\n\n , \na@client.example,A\n")

    assert list(table.rows()) == [(6, ["a@client.example", "A"])]


@pytest.mark.parametrize(
    ("content", "reason", "says"),
    [
        (b"", "empty", "empty"),
        (b"\xef\xbb\xbf\r\n \r\n", "empty", "empty"),
        (b"E-mail,Name\n", "no_rows", "no rows"),
        (b"PK\x03\x04rest of a workbook", "not_csv", "Excel workbook"),
        (b"%PDF-1.7", "not_csv", "PDF"),
        (b"E-mail\n\x81\x8d\x8f\xff", "encoding", "CSV UTF-8"),
        ("E-mail\na@client.example".encode("utf-16") + b"\x00", "encoding", "CSV UTF-8"),
        ((",".join(f"c{n}" for n in range(200)) + "\n1\n").encode(), "too_many_columns", f"at most {COLUMNS_MAX}"),
    ],
)
def test_refuses_what_it_cannot_read(content: bytes, reason: str, says: str) -> None:
    with pytest.raises(FileRefused, match=says) as refused:
        open_table(content)

    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b'E-mail,Name\na@client.example,"A\nb@client.example,B\nc@client.example,C\n', 2),
        (b'E-mail,Name\na@client.example,A\nb@client.example,"B\nc@client.example,"C"\n', 3),
        (b'E-mail,Name\na@client.example,"' + b"x" * 200_000, 2),
    ],
)
def test_names_the_line_of_a_quote_left_open(content: bytes, line: int) -> None:
    with pytest.raises(FileRefused, match=f"^Line {line}: .*quotation mark") as refused:
        list(open_table(content).rows())

    assert refused.value.reason == "broken_quotes"


def test_refuses_more_rows_than_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sequences.importing.reading.ROWS_MAX", 2)
    table = open_table(b"E-mail\na@client.example\nb@client.example\nc@client.example\n")

    with pytest.raises(FileRefused, match="Split it"):
        list(table.rows())


cell = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\x1c\x1d\x1e\x85\u2028\u2029"), max_size=20)


@given(rows=st.lists(st.tuples(cell, cell), min_size=1, max_size=8), delimiter=st.sampled_from(",;\t|"))
def test_reads_back_whatever_a_spreadsheet_wrote(rows: list[tuple[str, str]], delimiter: str) -> None:
    written = io.StringIO(newline="")
    table = [["E-mail", "A", "B"], *([f"p{number}@client.example", *row] for number, row in enumerate(rows))]
    csv.writer(written, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(table)

    read = open_table(written.getvalue().encode())

    assert [list(read.headers), *cells_of(read)] == table


@given(content=st.binary(max_size=300))
def test_answers_any_bytes_with_rows_or_a_sentence(content: bytes) -> None:
    with contextlib.suppress(FileRefused):
        assert cells_of(open_table(content))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Carol.Chen@Client.Example", "carol.chen@client.example"),
        (" carol@client.example\t", "carol@client.example"),
        ("carol@MÜLLER.example", "carol@xn--mller-kva.example"),
        ("carol@xn--mller-kva.example", "carol@xn--mller-kva.example"),
        ("jörg@client.example", "jörg@client.example"),
        ("o'neil+jobs@client.example", "o'neil+jobs@client.example"),
        ("carol", None),
        ("carol@client", None),
        ("carol@@client.example", None),
        ("carol@client.example, al@client.example", None),
        ("Carol <carol@client.example>", None),
        ("carol.@client.example", None),
        ("carol@-client.example", None),
        ("carol@client.test", None),
        ("carol@10.0.0.1", None),
        ("=cmd|' /C calc'!A0", None),
        ("a" * 65 + "@client.example", None),
        ("a" * 400 + "@client.example", None),
        ("", None),
    ],
)
def test_knows_an_address(text: str, address: str | None) -> None:
    assert canonical(text) == address


@given(st.from_regex(PLAIN, fullmatch=True).filter(lambda address: len(address) <= 64))
def test_takes_no_short_cut_that_the_book_does_not_allow(address: str) -> None:
    assert validate_email(address, check_deliverability=False, strict=True).normalized == address
