"""Large tables of MySQL and MariaDB by connectorx, where it is installed: two to three times the rows a second.

connectorx runs in a process of its own (`mysql_bulk_process`), which is stopped while no batch is waited for, as it has
no bound on what it reads ahead. Each value is asked for as the bytes that PyMySQL gives. A row of its own stands behind
all others, since connectorx ends a stream that broke like one that is complete. Where that row does not come, it is a
lost connection: the table is read once more, by PyMySQL.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
from pymysql.constants import FIELD_TYPE

from pii_guard.connectors.base import bounded
from pii_guard.connectors.database import Relation, quoted
from pii_guard.connectors.failures import LOST
from pii_guard.connectors.prefetch import ahead
from pii_guard.connectors.rows import as_text
from pii_guard.errors import LostConnectionError

__all__ = ["Request", "rows_in_bulk", "wanted"]

_FEWEST_ROWS = 200_000
"""Of smaller tables PyMySQL has read much by the time that the process has loaded its libraries."""
_WIDEST = 4096
"""Bytes of a row on average. Longer values come as fast by PyMySQL, and a batch of them takes much memory."""
_ROWS, _BYTES = 32_768, 8 << 20
"""Of a batch, at most and about. With small ones it would gain on a slow reader: it is not stopped at once."""
_MEMORY = 128 << 20
"""For the batch at hand, those that are ready, and rows that are far from their average."""
_PROGRAM = Path(__file__).with_name("mysql_bulk_process.py")
_SETTINGS = {"ARROW_DEFAULT_MEMORY_POOL": "system", "RAYON_NUM_THREADS": "1"}
"""Variables of the environment that keep its libraries from reserving memory which they do not use."""
_NO_TEXT = 63
"""The character set of numbers, dates and bytes."""
_SQL = (
    "SELECT /*+ NO_BNL() */ {}, e.done FROM (SELECT 0 AS done UNION ALL SELECT 1) AS e LEFT JOIN {} AS t ON e.done = 0"
)
"""The rows of a table, and a row behind them; in front of that, one of nulls if there are none.

A union would copy each row in the server, and cut numbers to the widths that are declared. Without the hint, which is a
comment to MariaDB, MySQL would hash the table.
"""


@dataclass(frozen=True, slots=True)
class Request:
    """What `mysql_bulk_process` is asked for."""

    url: str = field(repr=False)
    """With the password."""
    session: Sequence[str]
    """Statements that come first."""
    rows: int
    """Of a batch."""
    memory: int
    """Bytes that the process may take, above what it has at its start."""
    sql: str = ""

    @classmethod
    def of(cls, connection: Any, session: Sequence[str], relation: Relation) -> Request:
        """Another connection like that of PyMySQL, which takes TLS where the server has it, to read `relation`."""
        with closing(connection.cursor()) as cursor:
            cursor.execute("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
            mode = "REQUIRED" if any(cipher for _, cipher in cursor.fetchall()) else "DISABLED"
        host = f"[{connection.host}]" if ":" in connection.host else connection.host
        account = f"{quote(connection.user, safe='')}:{quote(connection.password, safe='')}"
        place = f"{host}:{connection.port}/{quote(connection.db or '', safe='')}"
        url = f"mysql://{account}@{place}?prefer_socket=false&ssl-mode={mode}"
        return cls(url, session, min(max(_BYTES * relation.rows // max(relation.size or 0, 1), 1), _ROWS), _MEMORY)

    def of_columns(self, fields: Sequence[Any], table: str) -> Request:
        """The same for columns of `table`, in SQL, as PyMySQL describes them."""
        return replace(self, sql=_SQL.format(", ".join(map(_chosen, fields)), table))


def wanted(relation: Relation) -> bool:
    """Whether a table that is read in full is one for connectorx, and there is one."""
    return (
        relation.rows >= _FEWEST_ROWS
        and (relation.size or 0) <= _WIDEST * relation.rows
        and sys.platform == "linux"
        and importlib.util.find_spec("connectorx") is not None
    )


def rows_in_bulk(
    request: Request, names: Sequence[str], target: str, what: str
) -> Generator[pa.RecordBatch, None, bool]:
    """All rows, as text and bytes, in bounded batches; returns False if none came, whether there are any or not.

    Raises LostConnectionError where some came and not all.
    """
    reading = _Reading(request, names)
    seen = False
    for batch in ahead(reading.batches(), reading.cancel):
        yield batch
        seen = True
    if seen and not reading.complete:
        raise LostConnectionError(target, f"{what}: {LOST}")
    return seen


def _chosen(column: Any) -> str:
    """A column as the text or the bytes that PyMySQL gives of it: text comes as such, all else has to be made bytes."""
    name = f"t.{quoted(column.name, '`')}"
    text = column.charsetnr != _NO_TEXT and column.type_code != FIELD_TYPE.JSON
    return name if text else f"CAST({name} AS BINARY)"


class _Reading:
    """The process, and what comes from it."""

    def __init__(self, request: Request, names: Sequence[str]) -> None:
        self._request, self._names = request, names
        self._process: subprocess.Popen[bytes] | None = None
        self._cancelled = False
        self.complete = False
        """Whether the last row that came is the one behind all others."""

    def cancel(self) -> None:
        """End the process, from any thread."""
        self._cancelled = True
        if self._process is not None:
            self._process.kill()

    def batches(self) -> Generator[pa.RecordBatch]:
        """The rows that come; ends where no more do. The thread that begins has to live as long: the process ends with
        it."""
        with subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-P", str(_PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **_SETTINGS},
        ) as process:
            self._process = process
            try:
                if self._cancelled:
                    return
                batches = map(self._without_end, self._taken(process))
                first = next(batches, None)
                if first is None or (self.complete and first.num_rows == 1):  # which may be the row of nulls
                    return
                for batch in chain([first], batches):
                    yield from bounded(batch)
            finally:
                process.kill()

    def _taken(self, process: subprocess.Popen[bytes]) -> Iterator[pa.RecordBatch]:
        """What the process gives, which runs while one batch is waited for."""
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - they are pipes
        try:
            with process.stdin as stdin:
                stdin.write(json.dumps(asdict(self._request)).encode())
            reader = pa.ipc.open_stream(process.stdout)
            while True:
                process.send_signal(signal.SIGCONT)
                batch = reader.read_next_batch()
                process.send_signal(signal.SIGSTOP)
                yield batch
        except (StopIteration, pa.ArrowException, OSError):
            return  # whether that was all is what the last row says

    def _without_end(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        *columns, ends = batch.columns
        self.complete = bool(ends[-1].as_py())
        made = pa.RecordBatch.from_arrays([as_text(column) for column in columns], list(self._names))
        return made.slice(0, batch.num_rows - self.complete)
