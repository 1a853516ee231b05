"""CSV and its kin: every column a string, read by pyarrow.csv, with no byte lost where the file is not well-formed.

The file is cut into pieces of whole rows here (with a regular expression where a piece holds a quote), because
pyarrow's own reader ends for good at a quote that is never closed. What a stray quote swallows is opened again: the
line with the quote is text, and the next one is a row. The rules:

- the first row is the header, unless it is said that there is none; its names are kept as they are, empty and repeated
  ones too;
- a quote opens a value only at its start; inside, two quotes are one; what follows the closing quote is still value;
- a quoted value of over LINE_LIMIT bytes (1 MiB) is a value if its quote is closed at a delimiter or the end of a line
  and its row has as many values as the header; else its quote is a stray one. So is a quote in a row that does not end
  within MAX_ROW bytes (32 MiB) of UTF-8, or within the file;
- an empty cell is an empty string, never null, quoted or not;
- blank lines are skipped, but in a file of one column each is a row with an empty string;
- the delimiter is the one of comma, tab, semicolon and bar that the header line has most of, else that of the suffix.

Written are: a null as nothing, an empty string as two quotes, every other string in quotes, numbers, dates and the like
as pyarrow prints them. Rate of parsing: some 200 MB/s.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import BinaryIO, Literal

import pyarrow as pa
import pyarrow.csv as pcsv

from pii_guard.connectors.base import MAX_BATCH_ROWS, Capabilities, FileSource, empty_batch, reading
from pii_guard.connectors.encoding import utf8_boundary
from pii_guard.connectors.lines import LINE_LIMIT, MAX_ROW, OVERLAP, TextFileTable, line_array, line_arrays
from pii_guard.connectors.style import Style, encoded
from pii_guard.connectors.text_types import plain_batch, plain_schema
from pii_guard.errors import ReadError, UsageError

__all__ = ["DelimitedSource", "DelimitedTable"]

_QUOTED = re.compile(rb'"(?:[^"]++|"")*+"')
_STRAY = "a quote opens a value here that is never closed, or swallows over 1 MiB of other rows"
_DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".psv": "|"}


class DelimitedTable(TextFileTable):
    """The rows of a delimited file."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        with reading(self.target), self.opened() as file:
            rows = self._rows(file)
            columns_seen = not rows.names
            for piece, whole in rows:
                ragged: list[pcsv.InvalidRow] = []
                try:
                    table = _parse(piece, rows.names, rows.delimiter, ragged) if whole else None
                except pa.ArrowInvalid:
                    table = None
                if table is None:
                    yield from self.unparsed_batches(line_array(piece))
                else:
                    yield from table.to_batches(MAX_BATCH_ROWS)
                    columns_seen |= table.num_rows > 0
                    yield from self.unparsed_batches(pa.array([row.text for row in ragged], pa.string()))
            for lines in line_arrays(rows.rest()):
                yield from self.unparsed_batches(lines)
            if not columns_seen:
                yield empty_batch(_schema(rows.names))

    def reader(self) -> pa.RecordBatchReader:
        with reading(self.target), self.opened() as file:
            rows = self._rows(file)
            if not rows.header_is_sound:
                raise ReadError(self.target, f"line {rows.line}: the header is no row: a quote that is never closed?")
        return pa.RecordBatchReader.from_batches(_schema(rows.names), self._strict())

    def _strict(self) -> Iterator[pa.RecordBatch]:
        with reading(self.target), self.opened() as file:
            rows = self._rows(file)
            line = rows.line
            for piece, whole in rows:
                if not whole:
                    opening = max(line, rows.line - 1)
                    raise ReadError(self.target, f"line {opening}: {_STRAY}")
                ragged: list[pcsv.InvalidRow] = []
                try:
                    table = _parse(piece, rows.names, rows.delimiter, ragged)
                except pa.ArrowInvalid:
                    raise ReadError(self.target, f"lines {line} to {rows.line}: not rows of a table") from None
                if ragged:
                    line += _lines_before(piece, rows.delimiter, ragged[0].text)
                    found, expected = ragged[0].actual_columns, ragged[0].expected_columns
                    raise ReadError(self.target, f"line {line}: {found} columns where the header has {expected}")
                yield from table.to_batches(MAX_BATCH_ROWS)
                line = rows.line

    def style(self) -> Style:
        found = self.text_style()
        with reading(self.target), self.resource.open() as file:
            return replace(found, delimiter=self._rows(file).delimiter, header=self.reading.header)

    def _rows(self, file: BinaryIO) -> _Rows:
        return _Rows(self.blocks(file), _DELIMITERS.get(self.resource.suffix, ","), self.reading.header)


def _schema(names: list[str]) -> pa.Schema:
    return pa.schema([(name, pa.string()) for name in names])


class _Rows:
    """Cuts a stream of UTF-8 into a header and then into pieces: whole rows, or text that makes none."""

    def __init__(self, blocks: Iterator[bytes], delimiter: str, header: bool) -> None:
        self._blocks = blocks
        self._has_header = header
        self._data = b""
        self._ended = False
        self.line = 1
        """The line that comes next."""
        self.delimiter = delimiter
        self.header_is_sound = True
        self.names = self._header()
        """Empty if the file has no header: it is empty, or its first line is larger than LINE_LIMIT."""

    def _header(self) -> list[str]:
        while len(self._data) <= LINE_LIMIT and self._grow():
            self._take(len(self._data) - len(self._data.lstrip(b"\r\n")))
        first = re.match(rb"[^\r\n]*", self._data)
        assert first is not None  # noqa: S101 - the pattern matches anything
        if not self._data or first.end() > LINE_LIMIT:
            self.header_is_sound = not self._data
            return []
        unquoted = re.sub(rb'"[^"]*"', b"", first[0]).decode()
        self.delimiter = max(self.delimiter + ",\t;|", key=unquoted.count)
        row = _row_pattern(self.delimiter).match(self._data, 0, LINE_LIMIT)
        self.header_is_sound = row is not None
        end = row.end() if row else first.end()
        header = self._take(end) if self._has_header else self._data[:end]
        table = _parse(header + b"\n", [], self.delimiter, [], quote='"' if row else False)
        if not self._has_header:
            return [f"column{number}" for number in range(1, table.num_columns + 1)]
        return [column[0].as_py() for column in table.columns]

    def __iter__(self) -> Iterator[tuple[bytes, bool]]:
        """(piece, whether it holds whole rows); nothing if there is no header."""
        while self.names:
            end, stray = self._end_of_rows()
            if end:
                yield self._take(end), True
            elif stray is None and not self._ended and len(self._data) <= MAX_ROW:
                self._grow()
            elif self._data:
                yield self._give_up(stray), False
            else:
                return

    def rest(self) -> Iterator[bytes]:
        """What has not been cut."""
        yield self._take(len(self._data))
        yield from self._blocks

    def _grow(self) -> bool:
        block = next(self._blocks, b"")
        self._data += block
        self._ended = not block
        if self._ended and self._data and not self._data.endswith(b"\n"):
            self._data += b"\n"
        return not self._ended

    def _take(self, end: int) -> bytes:
        piece, self._data = self._data[:end], self._data[end:]
        self.line += piece.count(b"\n")
        return piece

    def _end_of_rows(self) -> tuple[int, int | None]:
        """Where the whole rows end, and the place of the stray quote if there is one behind them.

        Both depend on the text alone, not on how much of it has been read.
        """
        data, end = self._data, 0
        if len(data) <= MAX_ROW and b'"' not in data and (b"\n" in data or b"\r" not in data):
            return data.rfind(b"\n") + 1, None
        while True:
            rows = _rows_pattern(self.delimiter).match(data, end, end + LINE_LIMIT)
            if rows and rows.end() > end:
                end = rows.end()
                continue
            row = _row_pattern(self.delimiter).match(data, end, end + MAX_ROW)
            stray = self._stray_quote(row) if row else None
            if row is None or stray is not None:
                return end, stray
            end = row.end()

    def _stray_quote(self, row: re.Match[bytes]) -> int | None:
        """The place of a quote in a whole row that opens a value it cannot have been meant for."""
        if row.end() - row.start() <= LINE_LIMIT:
            return None
        values = list(_value_pattern(self.delimiter).finditer(row.string, row.start(), row.end()))
        ragged = len(values) != len(self.names)
        for value in values:
            quoted = _QUOTED.match(value.string, value.start(), value.end())
            if quoted and quoted.end() - quoted.start() > LINE_LIMIT and (ragged or value["text"] != quoted[0]):
                return value.start()
        return None

    def _give_up(self, stray: int | None) -> bytes:
        """A row with a stray quote, up to the end of the line in which the value of that quote begins; else one that is
        too long, or whose quote is never closed.

        Nothing in all that was searched closes that value, or nothing before its end: every run of quotes there is
        even, and no line there can begin another such value. The next one begins behind it, and the time stays linear.
        """
        if stray is None:
            opening = _closed_values_pattern(self.delimiter).match(self._data, 0, MAX_ROW)
            stray = opening.end() if opening else 0
        while not (end := self._data.find(b"\n", stray, MAX_ROW) + 1) and len(self._data) <= MAX_ROW:
            self._grow()
        if end:
            return self._take(end)
        end = utf8_boundary(self._data, MAX_ROW)
        piece, self._data = self._data[:end], self._data[utf8_boundary(self._data, end - OVERLAP) :]
        return piece


@cache
def _row_pattern(delimiter: str) -> re.Pattern[bytes]:
    return re.compile(_row(delimiter))


@cache
def _rows_pattern(delimiter: str) -> re.Pattern[bytes]:
    return re.compile(b"(?:%b)*+" % _row(delimiter))


@cache
def _value_pattern(delimiter: str) -> re.Pattern[bytes]:
    """A value of a row with what ends it."""
    mark = re.escape(delimiter.encode())
    return re.compile(rb"(?P<text>%b)(?:%b|\r?\n|\r)" % (_value(delimiter), mark))


@cache
def _closed_values_pattern(delimiter: str) -> re.Pattern[bytes]:
    return re.compile(_closed_values(delimiter))


def _row(delimiter: str) -> bytes:
    """One row as pyarrow parses it, with its end. Possessive throughout: linear time and no stack."""
    end = rb"(?:\n|\r\n|\r(?=[^\n]))"  # a CR at the end of the data may be half of a CRLF
    return _closed_values(delimiter) + _value(delimiter) + end


def _closed_values(delimiter: str) -> bytes:
    """The values of a row up to the last one, or up to one whose quote is never closed."""
    return b"(?:%b%b)*+" % (_value(delimiter), re.escape(delimiter.encode()))


def _value(delimiter: str) -> bytes:
    mark = re.escape(delimiter.encode())
    return rb'(?:%b[^%b\r\n]*+|[^"%b\r\n][^%b\r\n]*+)?+' % (_QUOTED.pattern, mark, mark, mark)


def _parse(
    rows: bytes, names: list[str], delimiter: str, ragged: list[pcsv.InvalidRow], quote: str | Literal[False] = '"'
) -> pa.Table:
    """Whole rows as a table of strings. Rows of the wrong width go into `ragged`. May raise ArrowInvalid."""

    def collect(row: pcsv.InvalidRow) -> Literal["skip"]:
        ragged.append(row)
        return "skip"

    if rows.startswith(codecs.BOM_UTF8):  # pyarrow would drop it, but this is not the start of the file
        rows = codecs.BOM_UTF8 + rows
    table = pcsv.read_csv(
        io.BytesIO(rows),
        read_options=pcsv.ReadOptions(
            block_size=len(rows) + 1,
            use_threads=False,  # no faster on pieces of this size, and rows of the wrong width would wait for the lock
            # Positions for names: pyarrow looks columns up by name, and names may repeat.
            column_names=[str(position) for position in range(len(names))] or None,
            autogenerate_column_names=not names,
        ),
        parse_options=pcsv.ParseOptions(
            delimiter=delimiter,
            quote_char=quote,
            newlines_in_values=True,
            ignore_empty_lines=len(names) != 1,
            invalid_row_handler=collect,
        ),
        convert_options=pcsv.ConvertOptions(
            default_column_type=pa.string(),
            strings_can_be_null=False,
            check_utf8=False,
        ),
    )
    return table.rename_columns(names) if names else table


def _lines_before(piece: bytes, delimiter: str, text: str) -> int:
    """Line feeds in `piece` before its first row that reads `text`."""
    wanted = text.encode()
    for row in _row_pattern(delimiter).finditer(piece):
        if row[0].rstrip(b"\r\n") == wanted:
            return piece.count(b"\n", 0, row.start())
    return 0


class DelimitedSource(FileSource):
    """A file of rows whose values are divided by one character."""

    format = "csv"
    capabilities = Capabilities(
        typed=False, nested=False, metadata=False, row_count=False, writable=True, sampling=True
    )
    table = DelimitedTable

    @staticmethod
    def write(reader: pa.RecordBatchReader, file: BinaryIO, suffix: str, style: Style) -> int:
        plain = plain_schema(reader.schema, f"a {suffix} file", nested=False)
        if not len(plain):
            raise UsageError(f"a {suffix} file cannot hold a table without columns: write .parquet")
        rows, delimiter = 0, style.delimiter or _DELIMITERS[suffix]
        options = pcsv.WriteOptions(delimiter=delimiter, eol=style.eol, include_header=style.header)
        target = encoded(file, style)
        with pcsv.CSVWriter(target, plain, write_options=options) as writer:
            for batch in reader:
                writer.write_batch(plain_batch(batch, plain))
                rows += batch.num_rows
        target.flush()
        return rows
