"""From a shop's SQLite database to a protected Parquet file, and back for one purpose.

    python examples/etl/etl.py FOLDER

Makes `shop.db` in FOLDER if it is not there, and a key directory. Nothing in `members.parquet` is in the clear but the
id; `refund.csv` has what the purpose `refund` may see of it. Passwords are one way: nobody gets them back.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pii_guard

MEMBERS = [
    (1, "홍길동", "010-1234-5678", "4111-1111-1111-1111", "국민 123456-01-123456", "correct horse"),
    (2, "김민수", "010-9876-5432", "5555-5555-5555-4444", "신한 110-123-456789", "battery staple"),
    (3, "이영희", "010-2468-1357", "3782-822463-10005", None, "hunter2"),
]


def shop(path: Path) -> None:
    """A database with the members of a shop that does not exist."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "CREATE TABLE members (id INTEGER, name TEXT, phone TEXT, card TEXT, account TEXT, password TEXT)"
        )
        connection.executemany("INSERT INTO members VALUES (?, ?, ?, ?, ?, ?)", MEMBERS)


def run(folder: Path) -> None:
    if not (folder / "shop.db").exists():
        shop(folder / "shop.db")
    keys = folder / "keys"
    ring = pii_guard.Keyring.open(keys) if keys.exists() else pii_guard.Keyring.create(keys)
    guard = pii_guard.Guard(Path(__file__).with_name("pii-guard.toml"), ring)

    members = pii_guard.read(f"sqlite:///{folder / 'shop.db'}", table="members")
    rows = pii_guard.write(guard.protect(members, table="members"), folder / "members.parquet", overwrite=True)
    print(f"protected {rows} rows")

    with guard.reveal(purpose="refund", task="monthly refunds", reason="TICKET-7") as session:
        protected = pii_guard.read(folder / "members.parquet")
        wanted = session.decrypt(protected, columns=["name", "account"], masked=False)
        rows = pii_guard.write(wanted, folder / "refund.csv", overwrite=True, private=True)
    print(f"opened name and account of {rows} rows for refund")


if __name__ == "__main__":
    run(Path(sys.argv[1]))
