"""Ports on which something answers that is no server of the database, or says nothing."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from cli_runner import run


@contextmanager
def stranger(greeting: bytes | None) -> Iterator[int]:
    """A port that takes connections and says `greeting`; None: it keeps them and says nothing."""

    def answer() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            kept.append(connection)
            if greeting is not None:
                with connection:
                    connection.sendall(greeting)

    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(30)
            for connection in kept:
                connection.close()


@pytest.mark.parametrize("greeting", [None, b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"J\0\0\0\x0a5.5.5-10.11"])
@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_what_is_no_server_of_the_database(scheme: str, greeting: bytes | None) -> None:
    """It is named as not examined, in our words and in time."""
    with stranger(greeting) as port:
        begun = time.monotonic()
        done = run("scan", f"{scheme}://app@127.0.0.1:{port}/shop?connect_timeout=2")
        assert time.monotonic() - begun < 30
    assert done.code == 3
    assert f"not examined: {scheme}://127.0.0.1:{port}/shop: " in done.stdout
    assert "answers there" in done.stdout
    assert "TLS" not in done.stdout
    assert "HTTP" not in done.stdout
