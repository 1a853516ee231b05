"""Lines of any text file."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pii_guard.connectors import encoding, lines
from pii_guard.connectors.base import Reading
from pii_guard.connectors.lines import line_array, line_arrays, windows
from pii_guard.connectors.resource import LocalFile
from pii_guard.connectors.sampling import Sample
from pii_guard.connectors.text import COLUMN, TextTable
from pii_guard.detectors import select
from pii_guard.scanner import ScanOptions, scan_targets
from pii_guard.tallies import KindTally


def text_lines(table: TextTable) -> list[str]:
    return [line for batch in table.batches() for line in batch.column(COLUMN).to_pylist()]


@given(st.lists(st.text(st.sampled_from("가a1 ,\r\0"), max_size=30)), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_line_array_is_split(texts: list[str], end: str, closed: bool) -> None:
    """The lines of a text are what stands between its line ends; blank ones are lines too."""
    texts = [text.rstrip("\r") for text in texts]
    data = end.join(texts) + (end if closed and texts else "")
    array = line_array(data.encode())
    array.validate(full=True)
    expected = data.replace("\r\n", "\n").removesuffix("\n").split("\n") if data else []
    assert array.to_pylist() == expected


@given(st.lists(st.text(st.sampled_from("가a1 \n"), max_size=50)), st.integers(16, 40))
def test_lines_do_not_depend_on_blocks(texts: list[str], limit: int) -> None:
    """However the text is cut into blocks, the windows of its lines hold it all, in order and within the limit."""
    with mock.patch.object(lines, "LINE_LIMIT", limit), mock.patch.object(lines, "OVERLAP", 4):
        cut = [line for array in line_arrays(text.encode() for text in texts) for line in array.to_pylist()]
    assert max((len(line.encode()) for line in cut), default=0) <= limit
    whole = "".join(texts)
    short = [line for line in whole.split("\n") if len(line.encode()) <= limit and line]
    assert [line for line in short if line not in cut] == []
    assert sum(map(len, cut)) >= len(whole.replace("\n", ""))


@given(st.text(st.sampled_from("가a1"), min_size=1, max_size=300))
def test_windows_overlap(text: str) -> None:
    """Every stretch of a long line that is no longer than the overlap is whole in some window."""
    with mock.patch.object(lines, "LINE_LIMIT", 40), mock.patch.object(lines, "OVERLAP", 12):
        pieces = [piece.decode() for piece in windows(text.encode())]
    for start in range(len(text) - 3):
        assert any(text[start : start + 4] in piece for piece in pieces)


def test_long_line_loses_no_value_on_a_seam(tmp_path: Path) -> None:
    """A line of many megabytes comes in windows, and a value on any seam is whole in one of them."""
    path = tmp_path / "long.log"
    numbers = [f"010-{number // 10000:04d}-{number % 10000:04d}" for number in range(400_000)]
    path.write_text("start\n" + " ".join(numbers) + "\nend\n")
    table = TextTable(LocalFile(path, "long.log"))
    read = text_lines(table)
    assert (read[0], read[-1]) == ("start", "end")
    assert len(read) > 6
    assert max(map(len, read)) <= lines.LINE_LIMIT
    assert set(numbers) <= {word for line in read for word in line.split()}
    assert table.position() == table.size


def test_row_is_line(tmp_path: Path) -> None:
    """Row n is line n, across blocks, blank lines and CRLF."""
    path = tmp_path / "t.log"
    expected = ["" if number % 7 == 0 else f"{number} 홍길동" for number in range(5000)]
    path.write_bytes("\r\n".join(expected).encode("cp949"))
    with mock.patch.object(encoding, "BLOCK", 1000):
        assert text_lines(TextTable(LocalFile(path, "t.log"))) == expected


@pytest.mark.parametrize("data", ["\n", "\n\n", "a\n\n", "a", "a\0b\n"])
def test_ends(tmp_path: Path, data: str) -> None:
    """The last line feed ends a line and begins none; a NUL is a character like any other."""
    path = tmp_path / "t.txt"
    path.write_text(data)
    assert text_lines(TextTable(LocalFile(path, "t.txt"))) == data.removesuffix("\n").split("\n")


def lines_of(path: Path, **options: Any) -> dict[str, tuple[int, ...]]:
    report = scan_targets([str(path)], detectors=select(), options=ScanOptions(**options))
    return {finding.kind: finding.lines for _, finding in report.findings}


@pytest.mark.parametrize("eol", ["\n", "\r\n"])
@pytest.mark.parametrize("repeated", [False, True])
def test_findings_tell_their_first_lines(tmp_path: Path, eol: str, repeated: bool) -> None:
    """Three of a kind at most, blank lines count, across batches and whether or not values repeat."""
    lines = ["ok" if repeated else f"{number} ok" for number in range(200_000)]
    lines[4] = ""
    for number in (70_001, 7, 199_999, 150_000):
        lines[number - 1] = "연락처 010-1234-5678"
    lines[8] = "hong@example.com"
    (tmp_path / "a.log").write_bytes(eol.join(lines).encode())
    assert lines_of(tmp_path / "a.log") == {"kr_phone_mobile": (7, 70_001, 150_000), "email": (9,)}


def test_lines_are_told_up_to_one_that_is_cut(tmp_path: Path) -> None:
    """Behind a line that is cut the number is not known, nor is it in a sample, or where rows are no lines."""
    phone, long = "010-1234-5678", "x" * (3 << 20)
    (tmp_path / "a.txt").write_text(f"\n{phone}\n" + "y\n" * 5_000_000 + f"{long}\n{phone}\n", encoding="utf-8")
    assert lines_of(tmp_path / "a.txt") == {"kr_phone_mobile": (2,)}
    (tmp_path / "b.txt").write_text(f"{long}\n{phone}\n", encoding="utf-8")
    assert lines_of(tmp_path / "b.txt") == {"kr_phone_mobile": ()}
    assert set(lines_of(tmp_path / "a.txt", reading=Reading(sample=Sample(0.5))).values()) <= {()}
    (tmp_path / "c.csv").write_text(f"phone\n{phone}\n", encoding="utf-8")
    assert lines_of(tmp_path / "c.csv") == {"kr_phone_mobile": ()}


@given(*[st.lists(st.integers(1, 9), max_size=3, unique=True).map(sorted).map(tuple)] * 3)
def test_first_lines_add_up(one: tuple[int, ...], two: tuple[int, ...], three: tuple[int, ...]) -> None:
    """In any order and any grouping: the first of all."""
    a, b, c = (KindTally(lines=lines) for lines in (one, two, three))
    assert ((a + b) + c).lines == (a + (b + c)).lines == (c + (b + a)).lines == tuple(sorted({*one, *two, *three})[:3])
