"""One table in every format, plain and packed, gives the same verdicts."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from packing import tarred, zipped
from written import CASES, Case, Rows

import pii_guard

COLUMNS = ["phone", "email", "rrn", "name", "memo", "grade"]
ROWS: Rows = [
    {
        "phone": f"010-{4000 + number * 7}-{1000 + number * 13}",
        "email": f"user{number}@example.com",
        "rrn": ("900101-1234568", "850505-2345671", "000101-3000000")[number % 3],
        "name": ("홍길동", "김철수", "이영희", "박민수")[number % 4],
        "memo": f"연락처는 010-1234-{5000 + number}입니다" if number % 5 == 0 else "없음",
        "grade": ("VIP", "", "일반")[number % 3],
    }
    for number in range(60)
]

PACKED: dict[str, tuple[str, Callable[[str, bytes], bytes]]] = {
    "plain": ("", lambda name, data: data),
    "gz": (".gz", lambda name, data: gzip.compress(data)),
    "zip": (".zip", lambda name, data: zipped([(f"폴더/{name}", data)])),
    "tar.gz": (".tar.gz", lambda name, data: gzip.compress(tarred([(name, data)]))),
}

TABLES = [case for case in CASES if len(case.columns) > 1]
"""All but plain text, which knows no columns."""


def verdicts(path: Path) -> dict[tuple[str, str], tuple[str, int, int, str, tuple[str, ...]]]:
    """(column, kind) -> all that is said of it but where it was."""
    report = pii_guard.scan(path)
    assert report.complete
    assert report.coverage.rows == len(ROWS)
    assert len(report.fields) == len(COLUMNS)
    return {
        (field.field.path, finding.kind): (
            str(finding.confidence),
            finding.hits,
            finding.examined,
            str(finding.protection),
            finding.samples,
        )
        for field, finding in report.findings
    }


def written(case: Case, folder: Path, how: str) -> Path:
    plain = folder / f"table{case.suffix}"
    case.make(plain, ROWS, COLUMNS)
    suffix, pack = PACKED[how]
    path = folder / f"packed{case.suffix}{suffix}"
    path.write_bytes(pack(plain.name, plain.read_bytes()))
    return path


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> object:
    found = verdicts(written(TABLES[0], tmp_path_factory.mktemp("expected"), "plain"))
    assert {kind for _, kind in found} >= {"kr_phone_mobile", "email", "kr_rrn", "person_name_ko"}
    return found


@pytest.mark.parametrize("how", PACKED)
@pytest.mark.parametrize("case", TABLES, ids=lambda case: case.suffix)
def test_same_verdicts(case: Case, how: str, tmp_path: Path, expected: object) -> None:
    """Format and packing change nothing of kind, confidence, counts, protection and samples of any column."""
    assert verdicts(written(case, tmp_path, how)) == expected
