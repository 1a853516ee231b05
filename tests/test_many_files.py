"""A folder of many small files of every kind is one report, whatever happens to some of them meanwhile."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from packing import zipped

from pii_guard import connectors, scan
from pii_guard.connectors.contents import Found
from pii_guard.detectors import select
from pii_guard.scanner import scan_targets

FILES = 300


def fill(folder: Path) -> None:
    for number in range(FILES):
        phone = f"010-1234-{number:04d}"
        name, content = (
            (f"{number}.csv", f"phone,name\n{phone},홍길동\n".encode("cp949")),
            (f"{number}.json", json.dumps([{"phone": phone}]).encode()),
            (f"{number}.log", f"call {phone}\n".encode()),
            (f"{number}.csv.gz", gzip.compress(f"phone\n{phone}\n".encode())),
            (f"{number}.zip", zipped([("a.csv", f"phone\n{phone}\n".encode())])),
            (f"{number}.png", b"\x89PNG\r\n\x1a\n\0"),
        )[number % 6]
        path = folder / str(number // 50) / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


def test_one_report(tmp_path: Path) -> None:
    """Every file is counted once: read, or left out for a reason."""
    fill(tmp_path)
    report = scan_targets([str(tmp_path)], detectors=select())
    assert report.complete
    assert report.coverage.sources == report.coverage.rows == FILES * 5 // 6
    assert report.out_of_scope == {"binary": FILES // 6}
    found = [field for field, finding in report.findings if finding.kind == "kr_phone_mobile"]
    assert len(found) == FILES * 5 // 6


def test_files_that_vanish_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that go after they were listed are named, one line each, and the others are read."""
    fill(tmp_path)
    walk = connectors.discover

    def disturbed(target: str, **options: object) -> Iterator[Found]:
        for number, found in enumerate(walk(target, **options)):  # type: ignore[arg-type]
            if number == 155:  # within the folder, after its names were listed
                for path in (tmp_path / "3").iterdir():
                    path.unlink()
            yield found

    monkeypatch.setattr(connectors, "discover", disturbed)
    report = scan_targets([str(tmp_path)], detectors=select())
    gone = [(Path(item.source).parent.name, item.reason) for item in report.not_examined]
    assert set(gone) == {("3", "no such file")}
    assert len(gone) > 40
    assert report.coverage.sources > (FILES - 50) * 4 // 6


def test_ten_thousand_columns(tmp_path: Path) -> None:
    """A table as wide as an export can be is one report, and the one field that matters is found in it."""
    names = [f"c{number}" for number in range(9_999)] + ["phone"]
    rows = [",".join([f"v{row}"] * 9_999 + [f"010-0000-000{row}"]) for row in range(2)]
    (tmp_path / "wide.csv").write_text("\n".join([",".join(names), *rows, ""]), encoding="utf-8")
    report = scan(tmp_path / "wide.csv")
    assert len(report.fields) == 10_000
    assert [(field.field.path, finding.kind) for field, finding in report.findings] == [("phone", "kr_phone_mobile")]
