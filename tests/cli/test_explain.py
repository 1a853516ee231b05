"""`pii-guard explain` on hard columns says what somebody who knows Korean data would say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_runner import EXAMPLES, run

from pii_guard import scan
from pii_guard.detectors import TABLE

ROWS = 300


def barcodes() -> list[str]:
    """EAN-13 numbers of GS1 Korea (prefix 880)."""
    found = []
    for number in np.random.default_rng(3).integers(0, 10**9, ROWS):
        digits = f"880{number:09d}"
        total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
        found.append(f"{digits}{(10 - total % 10) % 10}")
    return found


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hard") / "hard.parquet"
    table = {
        "code": barcodes(),
        "주민번호": [f"2101{1 + row % 28:02d}-3{row * 7919 % 1_000_000:06d}" for row in range(ROWS)],
        "은행": ["신한", "국민", "카카오뱅크"] * (ROWS // 3),
        "c4": [f"110-{row:03d}-{row * 7919 % 1_000_000:06d}" for row in range(ROWS)],
        "phone": pa.array([1_010_000_000 + row * 7919 for row in range(ROWS)]),
        "휴대폰": [f"010-****-{row:04d}" for row in range(ROWS)],
    }
    pq.write_table(pa.table(table), path)
    return path


def explained(path: Path, field: str) -> str:
    result = run("explain", path, "--field", field)
    assert (result.code, result.stderr) == (0, "")
    return result.stdout


def test_barcodes_only_look_like_resident_numbers(hard: Path) -> None:
    """Four of three hundred barcodes pass the check: that is chance, and it is said."""
    text = explained(hard, "code")
    assert "kr_rrn: possible" in text
    assert "no more than chance: they look like other numbers" in text
    assert "likely (plain)" not in text
    assert "certain (plain)" not in text


def test_new_resident_numbers_are_known_by_their_header(hard: Path) -> None:
    """Numbers given out since October 2020 have no check digit: shape and header decide."""
    text = explained(hard, "hard.주민번호")
    assert "kr_rrn: likely (plain)" in text
    assert "300 of 300 values have the shape of a Korean resident registration number" in text
    assert "the name of the field says so" in text


def test_accounts_are_known_by_the_bank_beside_them(hard: Path) -> None:
    """No header, no check digit: the column of banks beside it tells."""
    text = explained(hard, "c4")
    assert "kr_bank_account: likely (plain)" in text
    assert "the field 은행 beside it holds names of banks" in text


def test_phones_that_a_spreadsheet_made_integers(hard: Path) -> None:
    """The leading 0 is gone, the header is not."""
    text = explained(hard, "phone")
    assert "(int64)" in text
    assert "kr_phone_mobile: likely (plain)" in text


def test_masked_values_are_no_phone_numbers(hard: Path) -> None:
    """What is masked already is said to be, and is no finding of its kind."""
    text = explained(hard, "휴대폰")
    assert "masked_value: likely (masked)" in text
    assert "300 of 300 values are masked" in text
    assert "kr_phone_mobile: likely" not in text


def test_an_unknown_field_is_an_error_with_the_nearest(hard: Path) -> None:
    """A typing mistake is not an empty explanation."""
    result = run("explain", hard, "--field", "phnoe")
    assert (result.code, result.stdout) == (2, "")
    assert "no field phnoe in" in result.stderr
    assert 'did you mean "phone"' in result.stderr


def test_the_examples_hold_every_kind() -> None:
    """Whoever scans the examples sees each kind once at least."""
    kinds = {finding.kind for _, finding in scan(EXAMPLES).findings}
    assert kinds >= set(TABLE)
