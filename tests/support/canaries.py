"""Planted personal values, synthetic, that occur nowhere else, and sources that carry them in every place they can."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

PHONE = "010-7391-4826"
EMAIL = "zxqwren@example.com"
RRN = "870923-2739483"
CARD = "4929-7391-4826-1046"
ACCOUNT = "110-739-148262"
NAME = "남궁보람"
CANARIES = {"phone": PHONE, "email": EMAIL, "rrn": RRN, "card": CARD, "account": ACCOUNT, "name": NAME}
SHREDS = {**CANARIES, "user": "zxqwren", "number": "7391-4826", "end": "739-148262", "birth": "2739483"}
"""Also the parts of a canary that say it all."""

COLUMNS = ("고객명", "phone", "email", "주민등록번호", "card_no", "신한은행 계좌번호")
VALUES = (NAME, PHONE, EMAIL, RRN, CARD, ACCOUNT)
SENTENCE = f"고객명: {NAME}, 전화 {PHONE}, {EMAIL}으로, 주민등록번호 {RRN}, 카드 {CARD}, 신한 계좌 {ACCOUNT}"


def leaks(text: str) -> list[str]:
    """The canaries in `text`, as they were planted or without their separators."""
    dense = re.sub(r"[-\s.]", "", text)
    found = [name for name, value in SHREDS.items() if value in text]
    return found + [f"{name} (dense)" for name, value in SHREDS.items() if re.sub(r"[-\s.]", "", value) in dense]


def csv(rows: int = 30) -> str:
    """A table with a canary in every cell."""
    return "\n".join([",".join(COLUMNS), *[",".join(VALUES)] * rows, ""])


def parquet(columns: Mapping[str, object], metadata: Mapping[str, bytes] | None = None) -> bytes:
    """A Parquet file; `metadata` maps a column to the content of its tag."""
    table = pa.table(dict(columns))
    fields = [
        field.with_metadata({b"pii_guard": metadata[field.name]}) if metadata and field.name in metadata else field
        for field in table.schema
    ]
    buffer = io.BytesIO()
    pq.write_table(table.cast(pa.schema(fields)), buffer)
    return buffer.getvalue()


def sources() -> dict[str, bytes]:
    """File name -> content."""
    table = csv()
    lines = table.splitlines()
    whole = parquet({"phone": [PHONE] * 50, "memo": [SENTENCE] * 50})
    objects = [
        {"phone": 5, "email": {"a": EMAIL}, "memo": [SENTENCE]},
        {"phone": PHONE, "email": [EMAIL], "memo": SENTENCE},
        {"phone": [PHONE], "email": EMAIL, "memo": {"x": RRN}},
    ]
    keyed = {EMAIL: {PHONE: 1, "x": [{CARD: RRN}]}, RRN: None, NAME: ACCOUNT}
    return {
        "cells.csv": table.encode(),
        "cp949.csv": table.encode("cp949"),
        "headerless.csv": "\n".join([",".join(VALUES)] * 3).encode(),
        "ragged.csv": "\n".join([*lines[:5], f"{PHONE},{EMAIL}", *[f"{line},{CARD},{RRN}" for line in lines]]).encode(),
        "quote.csv": "\n".join([*lines[:5], f'{NAME},"{PHONE},{EMAIL}', *lines[5:]]).encode(),
        "quoted-header.csv": f'"{EMAIL},{PHONE}\n{RRN},{CARD}\n'.encode(),
        "nul.csv": table.replace(",", "\0,").encode(),
        "invalid.csv": table.encode() + b"\xff\xfe" + SENTENCE.encode("cp949")[:-1] + b"\x81\n",
        "utf16.csv": table.encode("utf-16"),
        "notes.txt": f"{SENTENCE}\n".encode() * 3,
        "mixed.ndjson": "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in objects).encode(),
        "keyed.ndjson": (json.dumps(keyed, ensure_ascii=False) + "\n").encode() * 2,
        "garbage.ndjson": f'{{"phone": "{PHONE}"\n{SENTENCE}\n[{CARD!r}]\n{{"phone": "{PHONE}"}}\n'.encode(),
        "cut.parquet": whole[: len(whole) // 2],
        "damaged.parquet": whole[:30] + b"\xa5" * 60 + whole[90:],
        "plain.parquet": whole,
        "typed.parquet": parquet({"phone": [1073914826], "card_no": [int(CARD.replace("-", ""))]}),
        "named.parquet": parquet(
            {EMAIL: [1], NAME: [{PHONE: RRN}], "m": pa.array([[(CARD, 1)]], pa.map_("string", "int8"))}
        ),
        "tagged.parquet": parquet({"phone": [PHONE]}, {"phone": SENTENCE.encode()}),
        "foreign-tag.parquet": parquet(
            {"phone": [PHONE]}, {"phone": json.dumps({"version": 1, EMAIL: PHONE, "kind": [RRN]}).encode()}
        ),
        "claimed.parquet": parquet(
            {EMAIL: ["x"], "phone": [PHONE]},
            {EMAIL: b'{"protection":"encrypt","version":1}', "phone": b'{"protection":"encrypt","version":1}'},
        ),
        f"{EMAIL}.csv": table.encode(),
        f"{PHONE} {NAME}.parquet": b"PAR1",
        f"{RRN}.pdf": b"%PDF-1.7 " + SENTENCE.encode(),
        f"{CARD}.png": b"\x89PNG\0" + SENTENCE.encode(),
        os.fsdecode(f"{EMAIL} ".encode() + b"\xff.csv"): table.encode(),
        f"{ACCOUNT} 신한/{RRN}/{PHONE}.csv": table.encode(),
    }


def plant(folder: Path) -> None:
    """Write all sources below `folder`."""
    for name, content in sources().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
