"""Columns find their fields, and rows become candidates or are refused with a reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequences.importing.columns import EMAIL, FIELDS, LEFT_OUT, OWN, RESERVED, Column, assign, guess
from sequences.importing.reading import open_table
from sequences.importing.rows import Refusal, Row, read, split_name
from sequences.importing.zones import zone_of
from sequences.rendering import check_template, render


def fields_of(*headers: str) -> list[str]:
    return [column.field for column in guess(headers)]


@pytest.mark.parametrize(
    ("headers", "fields"),
    [
        (
            ["First Name", "Last Name", "E-mail", "Company", "Job title", "Time zone"],
            ["first_name", "last_name", "email", "company", "role_title", "time_zone"],
        ),
        (
            ["Vorname", "Nachname", "E-Mail-Adresse", "Firma", "Position", "Zeitzone"],
            ["first_name", "last_name", "email", "company", "role_title", "time_zone"],
        ),
        (["Vorname", "Name", "E-Mail"], ["first_name", "last_name", "email"]),
        (["Name", "Work Email", "Employer"], ["full_name", "email", "company"]),
        (["Vollständiger Name", "MAIL"], ["full_name", "email"]),
        (["first_name", "last_name", "Name", "email"], ["first_name", "last_name", "token:name", "email"]),
        (["LinkedIn URL", "email", "GitHub"], ["token:linkedin_url", "email", "token:github"]),
        (["Email", "E-mail"], ["email", LEFT_OUT]),
        (
            ["email", "Sender name", "7", "Ünïcode", "日本"],
            ["email", "token:column_sender_name", "token:column_7", "token:unicode", "token:column_"],
        ),
    ],
)
def test_guesses_the_field_of_a_header(headers: list[str], fields: list[str]) -> None:
    assert fields_of(*headers) == fields


def test_finds_addresses_where_no_header_names_them() -> None:
    columns = guess(["Who", "Where to"], [["Carol", "carol@client.example"], ["Al", "al@client.example"]])

    assert [column.field for column in columns] == ["token:who", "email"]


def test_leaves_a_file_without_addresses_to_the_person() -> None:
    assert EMAIL not in fields_of("First name", "Phone")


def test_gives_each_field_to_one_column_only() -> None:
    columns = assign(["A", "B", "B!", "C"], ["email", "token:", "token:", "email"])

    assert [column.field for column in columns] == ["email", "token:b", "token:b_2", LEFT_OUT]


@pytest.mark.parametrize("forged", ["is_admin", "token:../x", "organization_id", "token:first_name"])
def test_knows_no_other_fields_than_its_own(forged: str) -> None:
    [column] = assign(["Header"], [forged])

    assert column.field in ("", "token:header")


@given(st.lists(st.text(max_size=60), max_size=12))
def test_tokens_can_be_written_in_an_email_and_are_distinct(headers: list[str]) -> None:
    tokens = [column.field.removeprefix(OWN) for column in guess(headers) if column.field.startswith(OWN)]

    assert len(set(tokens)) == len(tokens)
    assert all(token.isidentifier() and token.isascii() and token not in RESERVED for token in tokens)


@pytest.mark.parametrize("header", ["Required", "limit", "Not", "True", "Empty", "partial", "today"])
def test_a_word_of_the_template_language_becomes_a_token_that_can_be_written(header: str) -> None:
    [column] = assign([header], [OWN])
    text = f"{{{{ {column.token} }}}}"

    assert check_template(text, [column.token]) == []
    assert render("", text, {column.token: "value"}).html == "value"


COLUMNS = assign(["E-mail", "Name", "Company", "Zone", "GitHub"], ["email", "full_name", "company", "time_zone", OWN])


def rows_of(text: str, columns: list[Column] = COLUMNS) -> list[Row | Refusal]:
    return list(read(open_table(("E-mail,Name,Company,Zone,GitHub\n" + text).encode()), columns, zone_of))


def test_reads_a_candidate() -> None:
    [row] = rows_of("Carol@Client.example,  Carol   Chen ,Client,berlin,carol-c\n")

    assert row == Row(2, "carol@client.example", "Carol", "Chen", "Client", "", "Europe/Berlin", {"github": "carol-c"})


def test_keeps_formulas_as_the_text_they_are() -> None:
    [row] = rows_of("carol@client.example,,=1+1,,@SUM(A1)\n")

    assert isinstance(row, Row)
    assert (row.company, row.fields) == ("=1+1", {"github": "@SUM(A1)"})


def test_keeps_a_candidate_whose_time_zone_is_unknown() -> None:
    [row] = rows_of("carol@client.example,,,Middle-earth,\n")

    assert isinstance(row, Row)
    assert (row.time_zone, row.unknown_zone) == ("", True)


@pytest.mark.parametrize(
    ("cells", "reason", "shown"),
    [
        (",Carol", "no_address", "Carol"),
        ("carol at client.example,Carol", "bad_address", "carol at client.example"),
        ("a@client.example,A,,,,more", "too_many_cells", "more"),
        ("a@client.example,A\0B", "not_text", "A\ufffdB"),
        ("a@cli\0ent.example,A", "bad_address", "a@cli\ufffdent.example"),
        ("a@client.example," + "x" * 101, "too_long", "x" * 79 + "…"),
        ("a@client.example,A,,," + "x" * 1001, "too_long", "x" * 79 + "…"),
    ],
)
def test_refuses_a_row_with_line_and_reason(cells: str, reason: str, shown: str) -> None:
    first, refused = rows_of(f"ok@client.example,Ok\n{cells}\n")

    assert isinstance(first, Row)
    assert refused == Refusal(3, reason, shown)


def test_allows_rows_shorter_than_the_header_and_empty_cells_beyond_it() -> None:
    rows = rows_of("a@client.example\nb@client.example,B,,,,,,\n")

    assert all(isinstance(row, Row) for row in rows)


def test_refuses_every_row_while_no_column_has_the_addresses() -> None:
    columns = assign(["E-mail", "Name", "Company", "Zone", "GitHub"], ["", "full_name", "", "", ""])

    [refused] = rows_of("carol@client.example,Carol\n", columns)

    assert isinstance(refused, Refusal)
    assert refused.reason == "no_address"


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("Carol Chen", "Carol", "Chen"),
        ("Chen, Carol", "Carol", "Chen"),
        ("Dr. Carol van der Chen", "Carol", "van der Chen"),
        ("Prof. Dr. Carol Chen", "Carol", "Chen"),
        ("Frau Carol Chen", "Carol", "Chen"),
        ("Drew Miller", "Drew", "Miller"),
        ("Carol", "Carol", ""),
        ("Carol Chen, ", "Carol", "Chen"),
        ("", "", ""),
    ],
)
def test_splits_a_name(name: str, first: str, last: str) -> None:
    assert split_name(name) == (first, last)


def test_fills_only_what_is_missing_from_a_second_row() -> None:
    first = Row(2, "a@client.example", "Carol", fields={"github": "c"})
    second = Row(3, "a@client.example", "Caroline", "Chen", fields={"github": "x", "city": "Rome"})

    merged = first.completed_by(second)

    assert (merged.line, merged.first_name, merged.last_name) == (2, "Carol", "Chen")
    assert merged.fields == {"github": "c", "city": "Rome"}


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("america/new_york", "America/New_York"),
        ("New York", "America/New_York"),
        ("Pacific Standard Time", "America/Los_Angeles"),
        ("Middle-earth", ""),
        ("../../etc/passwd", ""),
        (" ", ""),
    ],
)
def test_knows_what_zones_are_called(text: str, zone: str) -> None:
    assert zone_of(text) == zone


def test_offers_every_field_of_a_candidate() -> None:
    assert {"email", "first_name", "last_name", "company", "role_title", "time_zone"} < set(FIELDS)
