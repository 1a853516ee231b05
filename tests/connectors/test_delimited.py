"""Delimited files that are not well-formed: no byte is lost, and strict reading names the line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from pii_guard.connectors import delimited, encoding, lines
from pii_guard.connectors.base import UNPARSED
from pii_guard.connectors.delimited import DelimitedTable
from pii_guard.connectors.resource import LocalFile
from pii_guard.errors import ReadError


@contextmanager
def small_limits() -> Iterator[None]:
    """All limits so small that short inputs meet every seam."""
    with ExitStack() as stack:
        for module, name, value in (
            (encoding, "BLOCK", 32),
            (lines, "LINE_LIMIT", 64),
            (delimited, "LINE_LIMIT", 64),
            (lines, "OVERLAP", 16),
            (delimited, "OVERLAP", 16),
            (delimited, "MAX_ROW", 128),
        ):
            stack.enter_context(mock.patch.object(module, name, value))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("delimited")


def table_of(path: Path, data: bytes | str) -> DelimitedTable:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return DelimitedTable(LocalFile(path, path.name))


def content(table: DelimitedTable) -> tuple[list[tuple[str, ...]], list[str]]:
    """(rows as tuples, the header first; unparsed lines)."""
    rows: list[tuple[str, ...]] = []
    unparsed: list[str] = []
    for batch in table.batches():
        batch.validate(full=True)
        if batch.schema.names == [UNPARSED]:
            unparsed += batch.column(0).to_pylist()
        else:
            rows = rows or [tuple(batch.schema.names)]
            assert rows[0] == tuple(batch.schema.names)
            rows += zip(*(column.to_pylist() for column in batch.columns), strict=True)
    assert table.unparsed == len(unparsed)
    return rows, unparsed


pieces = st.lists(
    st.one_of(
        st.sampled_from([b'"', b'""', b",", b"\n", b"\r\n", b"\r", b"\0", b";", b"\t", b"a,b\n", b'"x,y"', b" ", b"@"]),
        st.sampled_from(["홍길동".encode(), "홍길동".encode("cp949"), b"\xff", b"\xb0", b"\xef\xbb\xbf", b"\xea\xb0"]),
        st.from_regex(rb"[0-9A-Za-z]{1,6}", fullmatch=True),
        st.binary(max_size=6),
    ),
    max_size=60,
).map(b"".join)


@given(pieces)
@example(b'"')
@example(b"\n\xef\xbb\xbf")
@example(b'a\n"' + b"x" * 10 + b"\n" * 5 + b"010" * 40)
@example(b"a" * 200 + b",b\n1,2\n")
@example(b'a,b\n1,"' + b"zz \n" * 60 + b'",3\n')
def test_every_run_of_letters_and_digits_comes_out(folder: Path, data: bytes) -> None:
    """Every maximal run of ASCII letters and digits is in a cell, a column name or an unparsed line.

    A letter right after a byte from 0x80 may be the second byte of a CP949 character, so no run begins there; a run
    that is longer than the overlap of two windows may be cut.
    """
    with small_limits():
        assume(not encoding.wide_encoding(data[: encoding.BLOCK]))
        rows, unparsed = content(table_of(folder / "any.csv", data))
    found = "\x01".join([*(cell for row in rows for cell in row), *unparsed])
    for run in re.findall(rb"(?<![\x80-\xff0-9A-Za-z])[0-9A-Za-z]+", data):
        for start in range(0, len(run), 8):
            assert run[start : start + 8].decode() in found


@given(pieces)
def test_valid_utf8_comes_out_unchanged(folder: Path, data: bytes) -> None:
    """Where the file is UTF-8, Korean letters come out too, and nothing is replaced."""
    text = data.decode("utf-8", "ignore")
    table = table_of(folder / "utf8.csv", text)
    with small_limits():  # ASCII with a zero behind each character is UTF-16
        assume(not encoding.wide_encoding(text.encode()[: encoding.BLOCK]))
        rows, unparsed = content(table)
    found = "\x01".join([*(cell for row in rows for cell in row), *unparsed])
    assert table.replaced == 0
    for run in re.findall(r"[가-힣]+", text):
        assert all(run[start : start + 4] in found for start in range(0, len(run), 4))


@given(
    st.lists(
        st.lists(st.text(st.sampled_from('가ab1",;\n\r\t '), max_size=40), min_size=3, max_size=3),
        min_size=1,
        max_size=12,
    )
)
def test_well_formed_rows_survive_every_seam(folder: Path, rows: list[list[str]]) -> None:
    """A well-formed file reads as its rows however the blocks fall, with values larger than a block and line feeds."""

    def quoted(value: str) -> str:
        return '"' + value.replace('"', '""') + '"'

    data = "a,b,c\n" + "".join(",".join(map(quoted, row)) + "\n" for row in rows)
    table = table_of(folder / "seams.csv", data)
    with small_limits(), mock.patch.object(delimited, "MAX_ROW", 1000):
        assert content(table) == ([("a", "b", "c"), *map(tuple, rows)], [])
        assert [list(row.values()) for row in table.reader().read_all().to_pylist()] == rows


@pytest.mark.parametrize(
    ("data", "rows", "unparsed"),
    [
        ("a,b\n1,2\n3\n4,5\n", [("1", "2"), ("4", "5")], ["3"]),
        ("a,b\n1,2,3\n", [], ["1,2,3"]),
        ('a,b\n1,2\n"3,x\n4,5\n', [("1", "2"), ("4", "5")], ['"3,x']),
        ('a,b\n1,2\n"3\n4","5\n6,7\n', [("1", "2"), ("6", "7")], ['"3', '4","5']),
        ('a,b\n1,2\n4,5\n6,"7', [("1", "2"), ("4", "5")], ['6,"7']),
        ('a,b\n1,5" disk\n2,x"y"z\n', [("1", '5" disk'), ("2", 'x"y"z')], []),
        ('a,b\n1,"x""y"z\n', [("1", 'x"yz')], []),
        ("a,b\r\n1,2\r\n\r\n3,4", [("1", "2"), ("3", "4")], []),
        ("a,b\r1,2\r3,4", [("1", "2"), ("3", "4")], []),
        ("\n\r\na,b\n1,2\n", [("1", "2")], []),
        ("\ufeffa,b\n1,\0x\0\n", [("1", "\0x\0")], []),
        ("a,b\n\ufeff1,2\n", [("\ufeff1", "2")], []),
        ('a,b\n,""\nnull,NA\n', [("", ""), ("null", "NA")], []),
        ("a,b\n", [], []),
        ("a,b", [], []),
    ],
)
def test_rules(tmp_path: Path, data: str, rows: list[tuple[str, ...]], unparsed: list[str]) -> None:
    """Ragged rows, stray quotes, line ends, marks, NULs and empty cells, each by its rule."""
    assert content(table_of(tmp_path / "t.csv", data)) == ([("a", "b"), *rows], unparsed)


def test_stray_quote_in_the_header(tmp_path: Path) -> None:
    """A header with a quote that is never closed is split as it stands, and the rows below it are read."""
    table = table_of(tmp_path / "t.csv", '"a,b\n1,2\n3,4\n')
    assert content(table) == ([('"a', "b"), ("1", "2"), ("3", "4")], [])
    with pytest.raises(ReadError, match=r"^t\.csv: line 1: "):
        table.reader()


def test_names_are_kept(tmp_path: Path) -> None:
    """Repeated and empty column names stay as they are."""
    assert content(table_of(tmp_path / "t.csv", "a,,a,\n1,2,3,4\n"))[0] == [("a", "", "a", ""), ("1", "2", "3", "4")]
    assert table_of(tmp_path / "t.csv", "a,,a\n1,2,3\n").reader().schema.names == ["a", "", "a"]


def test_one_column(tmp_path: Path) -> None:
    """In a file of one column a blank line is a row: dropping it would move every row below it."""
    rows, unparsed = content(table_of(tmp_path / "t.csv", "phone\n010-0000-0001\n\n010-0000-0002\n"))
    assert rows == [("phone",), ("010-0000-0001",), ("",), ("010-0000-0002",)]
    assert unparsed == []


@pytest.mark.parametrize(
    ("name", "header", "names"),
    [
        ("t.csv", "a,b", ["a", "b"]),
        ("t.csv", "a;b", ["a", "b"]),
        ("t.csv", "a\tb;c\td", ["a", "b;c", "d"]),
        ("t.csv", "a|b", ["a", "b"]),
        ("t.csv", '"a;x;y",b', ["a;x;y", "b"]),
        ("t.tsv", "a\tb,c", ["a", "b,c"]),
        ("t.psv", "a", ["a"]),
    ],
)
def test_delimiter(tmp_path: Path, name: str, header: str, names: list[str]) -> None:
    """The delimiter is what the header has most of outside quotes, else what the suffix says."""
    assert table_of(tmp_path / name, header + "\n").reader().schema.names == names


@pytest.mark.parametrize("place", ["start", "middle", "end"])
@pytest.mark.parametrize("quoting", [False, True])
def test_stray_quote_in_a_file_larger_than_a_block(tmp_path: Path, place: str, quoting: bool) -> None:
    """A row whose quote is never closed costs no other row where no quote follows, and no byte where one does."""
    ids = [f"{number:07d}" for number in range(300_000)]
    rows = [f'{number},"memo {number}"' if quoting else f"{number},memo {number}" for number in ids]
    at = {"start": 0, "middle": 150_000, "end": len(ids) - 1}[place]
    rows[at] = f'"{ids[at]},stray'
    table = table_of(tmp_path / "t.csv", "\n".join(["id,memo", *rows]) + "\n")
    assert (tmp_path / "t.csv").stat().st_size > encoding.BLOCK
    parsed, unparsed = content(table)
    if not quoting or place == "end":
        assert len(unparsed) == 1
        assert len(parsed) == len(ids)
    else:  # the next quote closes it: two rows become one
        assert len(parsed) + len(unparsed) == len(ids)
    found = "\n".join(["\n".join(map(" ".join, parsed)), *unparsed])
    assert set(ids) <= set(re.findall(r"\d{7}", found))
    if unparsed:
        with pytest.raises(ReadError, match=f"line {at + 2}: "):
            table.reader().read_all()


def test_value_larger_than_a_block(tmp_path: Path) -> None:
    """One value may be larger than a block, with line feeds in it."""
    value = ("010-0000-0000 서울\n" * 300_000)[: encoding.BLOCK + 1000]
    table = table_of(tmp_path / "t.csv", f'a,b\n1,"{value}"\n2,x\n')
    assert content(table) == ([("a", "b"), ("1", value), ("2", "x")], [])


def test_unclosed_quote_in_a_file_larger_than_the_row_limit(tmp_path: Path) -> None:
    """Past the limit of a row its line is given up, and reading goes on behind it in rows."""
    with mock.patch.object(delimited, "MAX_ROW", 1 << 20), mock.patch.object(encoding, "BLOCK", 1 << 18):
        rows = [f"{number},x" for number in range(300_000)]
        rows[10] = '"10,stray'
        table = table_of(tmp_path / "t.csv", "\n".join(["a,b", *rows]))
        parsed, unparsed = content(table)
    assert unparsed == ['"10,stray']
    assert len(parsed) == 300_000


@given(
    st.lists(
        st.sampled_from(
            ['"', '""', "a,b\n", "\r\n", "\r", '"x",y\n', "z" * 20, "z" * 120, "1,2\n" * 20, '"' + "w\n" * 40, '"x"\r"']
        )
    )
)
@example(["z" * 20] * 8)
def test_rows_do_not_depend_on_the_blocks(folder: Path, parts: list[str]) -> None:
    """What is a row and what is not, is the same however much is read at a time."""
    table = table_of(folder / "blocks.csv", "a,b\n" + "".join(parts))
    with small_limits():
        small = content(table)
        with mock.patch.object(encoding, "BLOCK", 4096):
            assert content(table) == small


def swallowing(count: int) -> list[str]:
    """Rows of which the tenth opens a quote that the last but one closes: none but these hold a single quote."""
    rows = [f'{number},"",김{number} 서울' if number % 3 else f"{number},x,y" for number in range(count)]
    rows[10] = '10,"stray,z'
    rows[-2] = f'{count - 2},"last" one,z'
    return rows


@pytest.mark.parametrize("eol", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp949"])
@pytest.mark.parametrize("closed", [True, False])
def test_quote_that_swallows_over_a_mebibyte(tmp_path: Path, eol: str, encoding: str, closed: bool) -> None:
    """A stray quote costs its own line, whether a quote far behind closes it or none does."""
    count = 80_000
    rows = swallowing(count)
    if not closed:
        rows[-2] = "x,y,z"
    text = eol.join(["a,b,c", *rows]) + eol
    assert len(eol.join(rows[11:-2])) > 1 << 20
    table = table_of(tmp_path / "t.csv", text.encode(encoding))
    parsed, unparsed = content(table)
    assert unparsed == ['10,"stray,z']
    assert [row[0] for row in parsed[1:]] == [row.partition(",")[0] for row in rows if "stray" not in row]
    with pytest.raises(ReadError, match=r"line 12: a quote opens a value here"):
        table.reader().read_all()


def test_quote_that_swallows_less_is_a_value(tmp_path: Path) -> None:
    """Up to a mebibyte what stands between two quotes is one value, as in any reader of CSV."""
    rows = swallowing(2000)
    parsed, unparsed = content(table_of(tmp_path / "t.csv", "\n".join(["a,b,c", *rows]) + "\n"))
    assert unparsed == []
    assert len(parsed) == 1 + 10 + 1 + 1
    assert parsed[11][0] == "10"


@pytest.mark.parametrize(
    ("row", "kept"),
    [
        ('1,"{}"', True),
        ('"{}",1', True),
        ('"{}","{}"', True),
        ('1,"{}"x', False),
        ('1,2,"{}"', False),
        ('"{}"', False),
    ],
)
def test_value_over_a_mebibyte(tmp_path: Path, row: str, kept: bool) -> None:
    """A large value is one if its quote closes where a value ends, in a row as wide as the header; else it is lines."""
    large = 'say ""hi""\n서울 010-0000-0000\n' * 40_000
    table = table_of(tmp_path / "t.csv", f"a,b\n0,x\n{row.replace('{}', large)}\n9,y\n")
    parsed, unparsed = content(table)
    assert (len(parsed) == 4 and not unparsed) is kept
    assert {("0", "x"), ("9", "y")} < set(parsed)
    if kept:
        assert large.replace('""', '"') in parsed[2]
    else:
        assert all(len(line) < 100 for line in unparsed)
        assert "\n".join(["\n".join(map(" ".join, parsed)), *unparsed]).count("010-0000-0000") == 40_000


def test_line_larger_than_the_row_limit(tmp_path: Path) -> None:
    """A row past the limit that has no line feed is given up in pieces that overlap: no value on a seam is lost."""
    numbers = [f"010-0000-{number:04d}" for number in range(2000)]
    table = table_of(tmp_path / "t.csv", 'a,b\n1,2\n"' + " ".join(numbers) + "\n3,4\n")
    with small_limits():
        rows, unparsed = content(table)
    assert set(numbers) <= set(re.findall(r"010-0000-\d{4}", "\n".join([*map(" ".join, rows), *unparsed])))
    assert {("1", "2"), ("3", "4")} <= set(rows)


@given(st.lists(st.sampled_from(['"', '""', '"""', ",", "\n", "\r", "a", '\n"', ',"']), max_size=40).map("".join))
@example('"\n"a","')
def test_one_row_that_is_never_closed_is_the_last(folder: Path, text: str) -> None:
    """What makes giving up a line cheap: where a row is not closed to the end, every row behind it is."""
    table = table_of(folder / "closed.csv", "a,b\n" + text)
    with mock.patch.object(
        delimited._Rows, "_give_up", autospec=True, side_effect=delimited._Rows._give_up
    ) as given_up:
        content(table)
    assert given_up.call_count <= 1


def test_ragged_row_is_named_by_its_line(tmp_path: Path) -> None:
    """Strict reading names the line of the first row of the wrong width, not its text."""
    data = 'a,b\n\n1,"x\ny"\n1\n010-0000-0001,2,3\n'
    with pytest.raises(ReadError) as caught:
        table_of(tmp_path / "t.csv", data).reader().read_all()
    assert str(caught.value) == "t.csv: line 5: 1 columns where the header has 2"


def test_rows_before_the_broken_one_are_given(tmp_path: Path) -> None:
    """Strict reading ends at the broken row, after the pieces before it."""
    with mock.patch.object(encoding, "BLOCK", 1 << 20):
        good = "1,2\n" * 600_000
        reader = table_of(tmp_path / "t.csv", "a,b\n" + good + "3\n").reader()
        assert next(reader).num_rows > 0
        with pytest.raises(ReadError, match="line 600002: 1 columns where the header has 2"):
            reader.read_all()


def test_open_quote_is_named_by_its_line(tmp_path: Path) -> None:
    """Strict reading names the line in which the value begins that is never closed, not that of its row."""
    with pytest.raises(ReadError, match=r"^t\.csv: line 4: a quote opens a value here that is never closed, or"):
        table_of(tmp_path / "t.csv", 'a,b\n1,2\n"3\n4","5\n6,7\n').reader().read_all()


def test_what_pyarrow_refuses_comes_as_text(tmp_path: Path) -> None:
    """Should pyarrow refuse a piece, its lines come as text, and strict reading names them."""
    table = table_of(tmp_path / "t.csv", "a,b\n1,2\n3,4\n")
    real = delimited._parse

    def refuse(rows: bytes, names: list[str], *rest: object, **options: object) -> object:
        if names:
            raise pa.ArrowInvalid("CSV parse error: 010-0000-0001")
        return real(rows, names, *rest, **options)  # type: ignore[arg-type]

    with mock.patch.object(delimited, "_parse", refuse):
        assert content(table) == ([("a", "b")], ["1,2", "3,4"])
        with pytest.raises(ReadError, match=r"^t\.csv: lines 2 to 4: not rows of a table$"):
            table.reader().read_all()


def test_header_of_many_megabytes_is_text(tmp_path: Path) -> None:
    """A file whose first line is larger than a line can be has no header; its text is examined all the same."""
    data = ("x" * 300 + " 010-0000-0001 ") * 10_000
    table = table_of(tmp_path / "t.csv", data)
    rows, unparsed = content(table)
    assert rows == []
    assert sum(map(len, unparsed)) >= len(data)
    with pytest.raises(ReadError, match="line 1: "):
        table.reader()
