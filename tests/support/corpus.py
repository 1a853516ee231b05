"""Files that are broken on purpose: every format cut, flipped, reordered, and nested in damaged archives.

Deterministic: the same seed makes the same bytes.
"""

from __future__ import annotations

import gzip
import io
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path

from packing import ARCHIVES, COMPRESSIONS, tarred, zipped
from written import CASES

__all__ = ["CANARY", "SELF_CHECKING", "make"]

CANARY = "010-9876-5432"

SELF_CHECKING = frozenset(
    {".parquet", ".feather", ".orc", ".avro", ".xlsx", ".ods", ".gz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".tgz"}
)
"""Suffixes of formats that say where they end: a cut one is always noticed."""


def make(folder: Path, seed: int) -> list[Path]:
    """Fill `folder`; the files, which all held the canary when they were whole."""
    dice = random.Random(seed)  # noqa: S311 - damage, not a secret
    made = []
    for name, whole in list(_whole(folder)):
        for damage, data in _damaged(whole, dice):
            path = folder / damage / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
            made.append(path)
    return made


def _whole(folder: Path) -> Iterator[tuple[str, bytes]]:
    scratch = folder / "scratch"
    contents = []
    for case in CASES:
        columns = ["phone", "memo"] if len(case.columns) > 1 else ["text"]
        case.make(scratch, [dict.fromkeys(columns, CANARY)] * 300, columns)
        data = scratch.read_bytes()
        contents.append((f"a{case.suffix}", _settled(data) if case.suffix == ".xlsx" else data))
        scratch.unlink()
    yield from contents
    for suffix, compress in COMPRESSIONS.items():
        yield f"a.csv{suffix}", compress(contents[0][1])
    for suffix, pack in ARCHIVES.items():
        yield f"all{suffix}", pack(contents)
    yield "nested.zip", zipped([("in.tar.gz", gzip.compress(tarred(contents), mtime=0)), *contents])


def _settled(workbook: bytes) -> bytes:
    """The workbook without the times at which it was made."""
    with zipfile.ZipFile(io.BytesIO(workbook)) as archive:
        return zipped([(name, archive.read(name)) for name in archive.namelist() if name != "docProps/core.xml"])


def _damaged(whole: bytes, dice: random.Random) -> Iterator[tuple[str, bytes]]:
    yield "cut", whole[: dice.randrange(len(whole) // 4, len(whole) * 3 // 4)]
    yield "head", whole[:20]
    yield "tail", whole[len(whole) // 2 :]
    for name, times in (("flip", 1), ("flips", 40)):
        data = bytearray(whole)
        for _ in range(times):
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        yield name, bytes(data)
    size = max(len(whole) // 7, 1)
    parts = [whole[start : start + size] for start in range(0, len(whole), size)]
    dice.shuffle(parts)
    yield "reorder", b"".join(parts)
    start = dice.randrange(len(whole) // 2)
    yield "zeros", whole[:start] + bytes(len(whole) // 4) + whole[start + len(whole) // 4 :]
    yield "doubled", whole + whole
