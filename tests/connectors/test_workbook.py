"""Workbooks: every sheet, what a cell becomes as text, and workbooks that lock, break or blow up."""

from __future__ import annotations

import datetime
import gzip
import os
import random
import re
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import xlwt
from openpyxl.comments import Comment
from packing import zipped
from workbooks import binary_comments, locked, notes, ods

from pii_guard import connectors, scan
from pii_guard.connectors import Source
from pii_guard.connectors.workbook import ABOVE, COMMENTS
from pii_guard.errors import PiiGuardError, ReadError

PHONE = "010-1234-5678"
HEADER, ROW = ["이름", "phone"], ["홍길동", PHONE]


def content(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Rows by table."""
    return {
        table.name: [row for batch in table.batches() for row in batch.to_pylist()]
        for table in connectors.open(str(path)).tables()
    }


def xlsx(path: Path, **sheets: list[list[Any]]) -> openpyxl.Workbook:
    book = openpyxl.Workbook()
    book.remove(book["Sheet"])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return book


def test_hidden_sheets_and_comments(tmp_path: Path) -> None:
    """Hidden and very hidden sheets are tables like others; comments are a table of their own."""
    book = xlsx(tmp_path / "a.xlsx", 고객=[HEADER, ROW], 숨김=[HEADER, ROW], 더숨김=[HEADER, ROW], 빈=[])
    book["숨김"].sheet_state, book["더숨김"].sheet_state = "hidden", "veryHidden"
    book["고객"]["B2"].comment = Comment(f"전화 {PHONE}", "담당자")
    book.save(tmp_path / "a.xlsx")
    rows = [dict(zip(HEADER, ROW, strict=True))]
    assert content(tmp_path / "a.xlsx") == {
        "고객": rows,
        "숨김": rows,
        "더숨김": rows,
        "빈": [],
        COMMENTS: [{"comment": f"전화 {PHONE}"}],
    }


def test_what_a_cell_becomes(tmp_path: Path) -> None:
    """Whole numbers are digits, also large ones; dates are ISO 8601; blanks are empty, and text stays as it is."""
    date, moment = datetime.date(1990, 1, 2), datetime.datetime(2020, 1, 2, 3, 4, 5)
    header = ["a", "b", "c", "d", "e", "f", "g", None]
    xlsx(tmp_path / "a.xlsx", s=[header, [1012345678, 9001011234567, 1.5, True, date, moment, " x\ny ", "z"]])
    assert content(tmp_path / "a.xlsx")["s"] == [
        {
            "a": "1012345678",
            "b": "9001011234567",
            "c": "1.5",
            "d": "true",
            "e": "1990-01-02",
            "f": "2020-01-02T03:04:05",
            "g": " x\ny ",
            "": "z",
        }
    ]


def test_titles_above_the_header(tmp_path: Path) -> None:
    """What stands above the header is examined in a column of its own; a table for a pipeline has no place for it."""
    xlsx(tmp_path / "a.xlsx", s=[["고객 명단", None], [None, f"문의 {PHONE}"], [], HEADER, ROW, ROW])
    assert content(tmp_path / "a.xlsx")["s"] == [
        {ABOVE: "고객 명단"},
        {ABOVE: f"문의 {PHONE}"},
        *[dict(zip(HEADER, ROW, strict=True))] * 2,
    ]
    (table,) = connectors.open(str(tmp_path / "a.xlsx")).tables()
    with pytest.raises(ReadError, match="2 cells stand above the header"):
        table.reader()


def xls(path: Path) -> None:
    book = xlwt.Workbook(encoding="utf-8")
    sheet = book.add_sheet("고객")
    rows: list[list[Any]] = [HEADER, ROW, ["김철수", 1012345678]]
    for number, row in enumerate(rows):
        for column, value in enumerate(row):
            sheet.write(number, column, value)
    book.add_sheet("숨김").visibility = 1
    book.save(str(path))


def test_old_excel_and_opendocument(tmp_path: Path) -> None:
    """.xls and .ods are read like .xlsx, under any name, compressed and in archives."""
    xls(tmp_path / "a.xls")
    rows = [{"이름": "홍길동", "phone": PHONE}, {"이름": "김철수", "phone": "1012345678"}]
    assert content(tmp_path / "a.xls") == {"고객": rows, "숨김": []}
    (tmp_path / "b.bin").write_bytes(ods({"고객": [HEADER, ROW], "둘째": [HEADER]}))
    assert content(tmp_path / "b.bin") == {"고객": rows[:1], "둘째": []}
    (tmp_path / "c.xls.gz").write_bytes(gzip.compress((tmp_path / "a.xls").read_bytes()))
    assert content(tmp_path / "c.xls.gz")["고객"] == rows
    (tmp_path / "d.zip").write_bytes(zipped([("x.ods", (tmp_path / "b.bin").read_bytes())]))
    for found in connectors.discover(str(tmp_path / "d.zip")):
        assert isinstance(found, Source)
        assert [table.name for table in found.tables()] == ["고객", "둘째"]


def noted(path: Path, *records: bytes) -> None:
    """An .xls file with a sheet for each of `records`, which stand behind its cells."""
    book = xlwt.Workbook(encoding="utf-8")
    for number, added in enumerate(records):
        sheet = book.add_sheet(f"s{number}")
        for column, (name, value) in enumerate(zip(HEADER, ROW, strict=True)):
            sheet.write(0, column, name)
            sheet.write(1, column, value)
        written = sheet.get_biff_data
        sheet.get_biff_data = lambda written=written, added=added: written()[:-4] + added + written()[-4:]
    book.save(str(path))


LONG = "가나다라마바사아자차 " * 900 + PHONE


def test_comments_of_old_excel(tmp_path: Path) -> None:
    """Comments of every sheet, also one that goes over several records; hidden ones are read like others."""
    noted(tmp_path / "a.xls", notes([f"전화 {PHONE}", LONG]), b"", notes(["둘째 시트"]))
    found = content(tmp_path / "a.xls")
    assert found.pop(COMMENTS) == [{"comment": text} for text in (f"전화 {PHONE}", LONG, "둘째 시트")]
    assert found == {name: [dict(zip(HEADER, ROW, strict=True))] for name in ("s0", "s1", "s2")}


def test_comments_of_old_excel_that_are_damaged(tmp_path: Path) -> None:
    """They are named, and the sheets are examined all the same."""
    noted(tmp_path / "a.xls", notes([f"전화 {PHONE}"]).replace(b"\x3c\0", b"\x3d\0"))
    report = scan(str(tmp_path / "a.xls"))
    assert [item.reason for item in report.not_examined] == ["its comments could not be read"]
    assert [finding.kind for _, finding in report.findings] == ["person_name_ko", "kr_phone_mobile"]


def test_comments_of_opendocument(tmp_path: Path) -> None:
    """A line a paragraph, blanks that are elements are blanks, and the cell does not take its comment for its value."""
    annotation = "<dc:creator>김</dc:creator><text:p>전화<text:s/>010-<text:span>1234-5678</text:span></text:p>"
    annotation += "<text:p>둘</text:p>"
    (tmp_path / "a.ods").write_bytes(ods({"고객": [HEADER, ROW]}, annotation))
    found = content(tmp_path / "a.ods")
    assert found[COMMENTS] == [{"comment": f"전화 {PHONE}\n둘"}]
    assert found["고객"] == [dict(zip(HEADER, ROW, strict=True))]


def test_comments_of_binary_workbooks(tmp_path: Path) -> None:
    """Those of .xlsb are records; what is cut off is named."""
    xlsx(tmp_path / "a.xlsx", s=[HEADER, ROW])  # the rest of an .xlsb file may be XML too
    for name, cut in ("b.xlsb", None), ("c.xlsb", -30):
        with zipfile.ZipFile(tmp_path / "a.xlsx") as source, zipfile.ZipFile(tmp_path / name, "w") as target:
            for info in source.infolist():
                target.writestr(info, source.read(info))
            target.writestr("xl/comments1.bin", binary_comments([f"전화 {PHONE}", LONG])[:cut])
    assert content(tmp_path / "b.xlsb")[COMMENTS] == [{"comment": f"전화 {PHONE}"}, {"comment": LONG}]
    assert reason(tmp_path / "c.xlsb") == "its comments could not be read"


def reason(path: Path) -> str:
    with pytest.raises(ReadError) as caught:
        content(path)
    assert caught.value.source == path.as_posix()
    return caught.value.reason


def test_locked(tmp_path: Path) -> None:
    """An encrypted workbook is named as that; another OLE document as what may be one."""
    (tmp_path / "a.xlsx").write_bytes(locked("EncryptionInfo", "EncryptedPackage"))
    assert reason(tmp_path / "a.xlsx") == "encrypted by Office itself, which pii-guard has no password for"
    (tmp_path / "a.hwp").write_bytes(locked("FileHeader", "DocInfo"))
    assert reason(tmp_path / "a.hwp") == "an old Office or HWP document, which no connector reads yet"


def test_content_decides(tmp_path: Path) -> None:
    """Text that is called .xls is text."""
    (tmp_path / "a.xls").write_text(f"phone,x\n{PHONE},y\n")
    assert connectors.open(str(tmp_path / "a.xls")).format == "csv"
    (tmp_path / "b.xls").write_text(f"<html><table><tr><td>{PHONE}</td></tr></table></html>")
    assert connectors.open(str(tmp_path / "b.xls")).format == "text"


def test_cells_far_apart(tmp_path: Path) -> None:
    """Two cells in opposite corners would need half a terabyte: the workbook is named, and this process goes on."""
    book = openpyxl.Workbook()
    book["Sheet"]["A1"], book["Sheet"]["XFD1048576"] = PHONE, PHONE
    book.save(tmp_path / "a.xlsx")
    assert reason(tmp_path / "a.xlsx") == "a workbook that is damaged, or too large to lay out; save the sheets as .csv"


def test_damage(tmp_path: Path) -> None:
    """However a workbook is damaged, it is read or named, in words of our own."""
    xlsx(tmp_path / "a.xlsx", s=[HEADER, *[ROW] * 50])
    xls(tmp_path / "a.xls")
    dice = random.Random(7)  # noqa: S311 - damage, not a secret
    reasons = set()
    for name in ("a.xlsx", "a.xls"):
        whole = (tmp_path / name).read_bytes()
        for _ in range(12):
            data = bytearray(whole[: dice.randrange(600, len(whole))] if dice.random() < 0.3 else whole)
            for _ in range(40):
                data[dice.randrange(16, len(data))] = dice.randrange(256)
            (tmp_path / f"b{name[1:]}").write_bytes(data)
            try:
                content(tmp_path / f"b{name[1:]}")
            except PiiGuardError as error:  # a zip archive that has lost its workbook is an archive
                reasons.add(str(error).partition(": ")[2])
    assert len(reasons) >= 3
    assert not [text for text in reasons if not re.search("damaged|document|archive|larger|comments", text)]


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    """Comments that expand to gigabytes are damage."""
    book = xlsx(tmp_path / "a.xlsx", s=[HEADER, ROW])
    book["s"]["B2"].comment = Comment("x", "y")
    book.save(tmp_path / "a.xlsx")
    with zipfile.ZipFile(tmp_path / "a.xlsx") as archive:
        parts = [(name, archive.read(name)) for name in archive.namelist()]
    laughs = b'<!DOCTYPE c [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><c xmlns="x"><comment>&b;</comment></c>'
    (tmp_path / "a.xlsx").write_bytes(
        zipped([(name, laughs if name.startswith("xl/comments") else part) for name, part in parts])
    )
    assert reason(tmp_path / "a.xlsx") == "its comments could not be read"


def test_no_process_is_left(tmp_path: Path) -> None:
    """The process that has a workbook open ends with the source, however far it was read."""
    xlsx(tmp_path / "a.xlsx", s=[HEADER, *[ROW] * 30_000])
    source = connectors.open(str(tmp_path / "a.xlsx"))
    (table,) = source.tables()
    before = children()
    for batches in (table.batches(), table.batches()):
        next(batches)
    assert len(children()) <= 1
    assert sum(batch.num_rows for batch in table.batches()) == 30_000
    del batches, table, source
    assert children() == set()
    assert len(before) == 1


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split())
