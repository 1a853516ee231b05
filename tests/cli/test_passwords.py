"""Passwords of databases: from a file, and never in what others see: output, the title of the process."""

from __future__ import annotations

import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest
from cli_runner import COMMAND, environment, run
from databases import PHONE, mariadb, postgresql

import pii_guard
from pii_guard.errors import ReadError, TargetError, UsageError

SECRET = "s3/cr@t Pa:55%41"
QUOTED = "s3%2Fcr%40t%20Pa%3A55%2541"
WARNING = "a password on the command line stays in the history of the shell"


def written(folder: Path, content: bytes = SECRET.encode() + b"\r\nnot this line\n") -> Path:
    path = folder / "password"
    path.write_bytes(content)
    return path


@contextmanager
def asking_server() -> Iterator[tuple[str, list[bytes]]]:
    """A server of the PostgreSQL protocol that asks for a password, notes it and hangs up."""
    given: list[bytes] = []

    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            while connection.recv(4096)[4:8] in (b"\x04\xd2\x16\x2f", b"\x04\xd2\x16\x30"):  # TLS, GSSAPI: no
                connection.sendall(b"N")
            connection.sendall(b"R\0\0\0\x08\0\0\0\x03")
            given.append(connection.recv(4096)[5:].rstrip(b"\0"))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        try:
            yield f"postgresql://127.0.0.1:{listener.getsockname()[1]}/shop", given
        finally:
            thread.join(30)


@pytest.mark.parametrize("account", ["", "app@"])
def test_a_password_file_for_postgresql(tmp_path: Path, account: str) -> None:
    """The first line of the file, whatever signs it has, is what the server is told."""
    with asking_server() as (url, given):
        url = url.replace("://", f"://{account}")
        done = run("scan", url, "--password-file", written(tmp_path), env={"PGUSER": "app", "PGPASSWORD": "other"})
    assert given == [SECRET.encode()]
    assert done.code == 3
    assert SECRET not in done.output
    assert WARNING not in done.output


def test_a_password_file_for_mariadb(tmp_path: Path) -> None:
    """With the password of the file a table is read; with another one the line says what is wrong."""
    account = f"pg_{secrets.token_hex(6)}"
    with mariadb(tmp_path) as made:
        made.fill("t", ("phone",), [(PHONE,)])
        made.execute(
            f"CREATE USER {account}@'%' IDENTIFIED BY '{SECRET}'",
            f"GRANT SELECT ON *.* TO {account}@'%'",
        )
        try:
            url = made.url.replace("root@", f"{account}@")
            file = written(tmp_path)
            policy(tmp_path)
            for command in (["scan"], ["check"], ["tag"], ["explain", "--field", "phone"]):
                done = run(*command, url, "--password-file", file, cwd=tmp_path)
                assert done.code == (1 if command == ["check"] else 0), done.output
                assert SECRET not in done.output
            assert run("scan", url, "--password-file", "-", stdin=SECRET.encode()).code == 0
            assert run("scan", url.replace("@", f":{QUOTED}@")).code == 0
            done = run("scan", url, "--password-file", written(tmp_path, b"wrong"))
            assert done.code == 3
            assert "the account or its password is wrong" in done.stdout
        finally:
            made.execute(f"DROP USER {account}@'%'")


def test_passwords_in_python(tmp_path: Path) -> None:
    """`pii_guard.read` and `write` take one beside the URL; it shows nowhere, and one too many is refused."""
    account = f"pg_{secrets.token_hex(6)}"
    data = pa.table({"a": ["x"]})
    with mariadb(tmp_path) as made:
        made.execute(
            f"CREATE USER {account}@'%' IDENTIFIED BY '{SECRET}'",
            f"GRANT SELECT, INSERT, CREATE, ALTER, DROP ON *.* TO {account}@'%'",
        )
        try:
            url = made.url.replace("root@", f"{account}@")
            assert pii_guard.write(data, url, table="t", password=SECRET) == 1
            assert pii_guard.read(url, table="t", password=SECRET).read_all().equals(data)
            for act in (
                lambda **options: pii_guard.read(url, table="t", **options),
                lambda **options: pii_guard.write(data, url, table="u", **options),
            ):
                for given in ({}, {"password": f"{SECRET}x"}):
                    with pytest.raises(ReadError, match="the account or its password is wrong") as caught:
                        act(**given)
                    assert SECRET not in str(caught.value)
            with pytest.raises(TargetError, match="has two passwords"):
                pii_guard.read(url.replace("@", f":{QUOTED}@"), table="t", password=SECRET)
        finally:
            made.execute(f"DROP USER {account}@'%'")
    with pytest.raises(TargetError, match="is for servers; a file has none"):
        pii_guard.write(data, f"sqlite:///{tmp_path}/a.db", table="t", password=SECRET)
    (tmp_path / "a.csv").write_text("a\nx\n")
    for file in (
        lambda: pii_guard.read(tmp_path / "a.csv", password=SECRET),
        lambda: pii_guard.write(data, tmp_path / "b.csv", password=SECRET),
    ):
        with pytest.raises(UsageError, match="password are for databases"):
            file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv"]


def policy(folder: Path) -> None:
    (folder / "pii-guard.toml").write_text("version = 1\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("url", "content", "message"),
    [
        ("mysql://db/shop", None, "the password cannot be read: No such file or directory"),
        ("mysql://db/shop", b"", "the first line, which should hold the password, is empty"),
        ("mysql://db/shop", b"\xff\n", "the password is not UTF-8 text"),
        (
            "mysql://app:x@db/shop",
            b"y",
            "has two passwords, one in the URL and one beside it (password=, --password-file)",
        ),
        ("postgresql://db/shop?password=x", b"y", "postgresql://db/shop: has two passwords"),
        ("sqlite:///shop.db", b"y", "a password (password=, --password-file) is for servers; a file has none"),
        ("shop.db", b"y", "--password-file is for URLs of databases alone"),
    ],
)
def test_mistakes(tmp_path: Path, url: str, content: bytes | None, message: str) -> None:
    """One line says what is wrong, and nothing is read."""
    (tmp_path / "shop.db").touch()
    file = tmp_path / "missing" if content is None else written(tmp_path, content)
    done = run("scan", url, "--password-file", file, cwd=tmp_path)
    assert (done.code, done.stdout) == (2, "")
    assert message in done.stderr


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://app:{}@x@127.0.0.1:1/shop", "is no URL; signs such as @"),
        ("mysql://app:x@{}@127.0.0.1:1/shop", "is no URL; signs such as @"),
        ("mysql://app:x@{}/y@127.0.0.1:1/shop", "is no URL; signs such as @"),
        ("postgresql://127.0.0.1:1/shop?user=app&password=x@{}", "postgresql://: is no URL; signs such as @"),
        ("postgresql://127.0.0.1:1/shop?user=a@b&password={}", "postgresql://: is no URL; signs such as @"),
        ("postgresql://app:{}@127.0.0.1:l/shop", "a port is a number"),
        ("jdbc:postgresql://app:{}@127.0.0.1/shop", "jdbc: ... is neither a file nor the URL of a database"),
        ("postgresql:/app:{}@127.0.0.1/shop", "postgresql: ... is neither a file nor the URL of a database"),
        ("host=127.0.0.1 user=app password={}", "password= ... is neither a file nor the URL of a database"),
        ("MySQL+pymysql:app:{}@127.0.0.1/shop", "MySQL+pymysql: ... is neither a file nor the URL of a database"),
    ],
)
def test_urls_that_are_none_show_no_password(tmp_path: Path, url: str, message: str) -> None:
    """One line says how it is written, with no part of the password, and no server is asked for another host."""
    for command in (["scan"], ["check"], ["explain", "--field", "t.phone"]):
        done = run(*command, url.format("s3cret"), cwd=tmp_path)
        assert (done.code, done.stdout) == (2, ""), command
        assert message in done.stderr
        assert "s3cret" not in done.stderr


def test_a_password_that_may_not_be_read(tmp_path: Path) -> None:
    """A directory in place of the file is refused by name."""
    done = run("scan", "mysql://db/shop", "--password-file", tmp_path)
    assert (done.code, "is a directory" in done.stderr) == (2, True)


def test_a_password_on_the_command_line_is_advised_against() -> None:
    """One line says what to do; a variable that a URL names, and an account without a password, are no passwords."""
    for url, warned in (
        (f"mysql://app:{QUOTED}@127.0.0.1:1/x", True),
        (f"postgresql://127.0.0.1:1/x?password={QUOTED}", True),
        ("mysql://app:${GIVEN}@127.0.0.1:1/x", False),
        ("mysql://app@127.0.0.1:1/x", False),
    ):
        done = run("scan", url, env={"GIVEN": SECRET})
        assert done.code == 3
        assert (WARNING in done.stderr) is warned, url
        assert QUOTED not in done.output


@pytest.mark.parametrize("place", ["account", "option"])
def test_the_title_of_the_process(tmp_path: Path, place: str) -> None:
    """While a query runs, the list of processes shows the command without the password."""
    with postgresql(tmp_path) as made:
        account = made.url.replace("://", f"://postgres:{QUOTED}@")
        url = account if place == "account" else f"{made.url}?user=postgres&password={QUOTED}"
        command = [*COMMAND, "scan", url, "--query", "SELECT pg_sleep(30)::text AS slept"]
        process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            running = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND pid <> pg_backend_pid()"
            end = time.monotonic() + 30
            while not made.execute(f"{running} AND datname = current_database() AND state = 'active'"):
                assert process.poll() is None, "the command ended before its query ran"
                assert time.monotonic() < end
                time.sleep(0.05)
            shown = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        finally:
            process.kill()
            out, err = process.communicate(timeout=30)
    assert QUOTED.encode() not in shown + out + err
    assert b"***" in shown
    assert b"pg_sleep(30)" in shown
