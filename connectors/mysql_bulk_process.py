"""Reads a table of MySQL or MariaDB by connectorx, in a process of its own; a script that pii-guard never imports.

connectorx reads ahead of whoever takes its batches as far as there is memory, and panics at values that it has no room
for. Here its memory is bounded, and whatever ends it ends this process alone. pii-guard stops it (SIGSTOP) while it
waits for no batch.

In: JSON, `{"url": ..., "session": [statements], "sql": ..., "rows": of a batch, "memory": bytes}`. Out: the result as
an Arrow IPC stream. Nothing is said of errors: messages of connectorx quote values, and PyMySQL asks the server again.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path

import connectorx
import pyarrow as pa

MESSAGE = 8 << 20
"""Bytes of a part that is handed out, about; a row is not divided."""
PR_SET_PDEATHSIG = 1


def main() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a process that is stopped would outlive pii-guard
    request = json.load(sys.stdin)
    limit(request["memory"])
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    reader = connectorx.read_sql(
        request["url"],
        request["sql"],
        return_type="arrow_stream",
        batch_size=request["rows"],
        pre_execution_query=request["session"],
    )
    with out, pa.ipc.new_stream(out, reader.schema) as writer:
        for batch in reader:
            step = max(batch.num_rows * MESSAGE // max(batch.nbytes, MESSAGE), 1)
            for start in range(0, batch.num_rows, step):
                writer.write_batch(batch.slice(start, step))
            out.flush()


def limit(memory: int) -> None:
    """Allow `memory` bytes above what the interpreter and the libraries have."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
    most = pages * resource.getpagesize() + memory
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it would hold values


if __name__ == "__main__":
    main()
