"""From the bytes of a file to lines of cells: encodings, delimiters, quotes, headers. Pure."""

import codecs
import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sequences.addresses import canonical

COLUMNS_MAX = 100
ROWS_MAX = 250_000
SAMPLE_BYTES = 64 * 1024
SAMPLE_ROWS = 50
DELIMITERS = (",", ";", "\t", "|")
HEADER_MAX = 100
NOT_TEXT = {
    b"PK\x03\x04": "This is an Excel workbook or a ZIP file.",
    b"\xd0\xcf\x11\xe0": "This is an old Excel workbook.",
    b"%PDF": "This is a PDF.",
}


class FileRefused(ValueError):
    """The file as a whole cannot be read. `reason` for code; the text says to a person what to do."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True)
class Table:
    """A file that was understood. `rows` can be iterated again and again, and never holds more than a row."""

    content: bytes
    encoding: str
    delimiter: str
    headers: tuple[str, ...]
    skipped: int  # records before the first row: the header, and Excel's "sep=;"

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Each row that is not blank, with the line on which it begins. Raises `FileRefused` where it breaks off."""
        for number, (line, cells) in enumerate(_records(self.content, self.encoding, self.delimiter)):
            if number >= self.skipped:
                if number - self.skipped >= ROWS_MAX:
                    raise FileRefused("too_many_rows", f"This file has more than {ROWS_MAX:,} rows. Split it.")
                yield line, cells


def open_table(content: bytes) -> Table:
    """Understand a file. Raises `FileRefused` if it is none of ours, or has nothing in it."""
    encoding = _encoding_of(content)
    sample = codecs.getincrementaldecoder(encoding)().decode(content[:SAMPLE_BYTES])
    # A sample's last line may be cut in two.
    lines = sample.splitlines(keepends=True)[: None if len(content) <= SAMPLE_BYTES else -1]
    announced = lines[0].strip("\r\n").lower() if lines else ""
    if announced in {f"sep={delimiter}" for delimiter in DELIMITERS}:
        return _with_headers(content, encoding, delimiter=announced[4:], skipped=1)
    return _with_headers(content, encoding, delimiter=_delimiter_of(lines), skipped=0)


def _with_headers(content: bytes, encoding: str, delimiter: str, skipped: int) -> Table:
    records = _records(content, encoding, delimiter)
    first = next((cells for number, (_, cells) in enumerate(records) if number == skipped), None)
    if first is None:
        raise FileRefused("empty", "This file is empty. Choose one with a line per candidate.")
    if len(first) > COLUMNS_MAX:
        sentence = (
            f"This file has {len(first)} columns; at most {COLUMNS_MAX} can be read. Remove those you do not need."
        )
        raise FileRefused("too_many_columns", sentence)
    if any(map(canonical, first)):  # it begins with a candidate
        return Table(content, encoding, delimiter, tuple(f"Column {n}" for n in range(1, len(first) + 1)), skipped)
    if next(records, None) is None:
        raise FileRefused("no_rows", "This file has a header and no rows. Add a line per candidate.")
    return Table(content, encoding, delimiter, tuple(_distinct(first)), skipped + 1)


def _distinct(headers: Iterable[str]) -> Iterator[str]:
    taken: set[str] = set()
    for number, header in enumerate(headers, start=1):
        wished = " ".join(header.replace("\0", "").split())[:HEADER_MAX] or f"Column {number}"
        name, copy = wished, 1
        while name.lower() in taken:
            copy += 1
            name = f"{wished} ({copy})"
        taken.add(name.lower())
        yield name


def _records(content: bytes, encoding: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    text = io.TextIOWrapper(io.BytesIO(content), encoding, newline="")
    reader = csv.reader(text, delimiter=delimiter, skipinitialspace=True, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise FileRefused("broken_quotes", _about_quotes(line, str(error))) from error
        if any(map(str.strip, cells)):
            yield line, cells


def _about_quotes(line: int, error: str) -> str:
    if "expected after" in error:
        return f'Line {line}: text follows a closing quotation mark. Write a quotation mark inside a field twice ("").'
    return f"Line {line}: a quotation mark is opened and not closed. Close it, then upload the file again."


def _delimiter_of(lines: list[str]) -> str:
    """The one that cuts out most addresses; then the one that cuts all lines alike, into most columns."""
    return max(DELIMITERS, key=lambda delimiter: _fitness(lines, delimiter))


def _fitness(lines: list[str], delimiter: str) -> tuple[int, float, int]:
    reader = csv.reader(iter(lines), delimiter=delimiter, skipinitialspace=True)
    try:
        records = [cells for _, cells in zip(range(SAMPLE_ROWS), reader, strict=False) if cells]
    except csv.Error:
        records = []
    if not records:
        return 0, 0.0, 0
    addresses = sum(canonical(cell) is not None for cells in records for cell in cells)
    width = len(records[0])
    alike = sum(len(cells) == width for cells in records) / len(records) if width > 1 else 0.0
    return addresses, alike, width


def _encoding_of(content: bytes) -> str:
    for beginning, sentence in NOT_TEXT.items():
        if content.startswith(beginning):
            raise FileRefused("not_csv", f"{sentence} In Excel choose “Save as”, then “CSV UTF-8”, and upload that.")
    for encoding in _likely_encodings(content):
        if _decodes(content, encoding):
            return encoding
    raise FileRefused(
        "encoding", "The letters of this file cannot be read. In Excel choose “Save as”, then “CSV UTF-8”."
    )


def _likely_encodings(content: bytes) -> list[str]:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ["utf-16"]
    if content.startswith(codecs.BOM_UTF8):
        return ["utf-8-sig"]
    # UTF-16 without its mark: every other byte of Western text is zero.
    sample = content[:2000]
    half = max(len(sample) // 2, 1)
    low, high = sample[::2].count(0) / half, sample[1::2].count(0) / half
    if max(low, high) > 0.4 and min(low, high) < 0.1:
        return ["utf-16-le" if high > low else "utf-16-be"]
    return ["utf-8", "cp1252"]  # the second is what Excel writes as plain "CSV" in the West


def _decodes(content: bytes, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for start in range(0, len(content), SAMPLE_BYTES):
            decoder.decode(content[start : start + SAMPLE_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeError:
        return False
    return True
