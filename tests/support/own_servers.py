"""Servers of a test's own, which it may kill: made from the programs of this machine, in folders that go with them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pymysql
from adbc_driver_postgresql import dbapi
from databases import absent

__all__ = ["OwnServer", "own_mariadb", "own_postgresql"]

SECONDS = 60


@dataclass(frozen=True)
class OwnServer:
    """A running server."""

    url: str
    process: subprocess.Popen[bytes]
    execute: Callable[..., None]
    disk: str
    """A folder that the server alone sees: a disk of so many megabytes, where one was asked for."""

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(SECONDS)


def _program(name: str) -> str | None:
    folders = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    return shutil.which(name, path=os.pathsep.join([*folders, os.environ.get("PATH", ""), "/usr/sbin"]))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _on_disk(folder: str, megabytes: int) -> list[str]:
    """What stands in front of a command so that `folder` is a disk of its own to it: namespaces of Linux, in which any
    account may mount, and in the inner one of which it has its own name again."""
    mount = f'mount -t tmpfs -o size={megabytes}m small {folder} && exec unshare --user --map-user="$0" "$@"'
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", mount]


@contextmanager
def _running(
    user: str, setup: Callable[[str], Sequence[str]], start: Callable[[str, int], Sequence[str]], megabytes: int
) -> Iterator[tuple[int, subprocess.Popen[bytes], str]]:
    """A server, as `user` where the tests are run by root: PostgreSQL refuses root. Its port, and a folder that is a
    disk of so many `megabytes` to it, if any."""
    port = _free_port()
    account = user if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="pii-guard-") as folder:
        disk = Path(folder, "disk")
        disk.mkdir()
        if account is not None:
            shutil.chown(folder, account)
            shutil.chown(disk, account)
        options = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "user": account}
        inside = []
        if megabytes:
            inside = [*_on_disk(str(disk), megabytes), str(disk.stat().st_uid)]
            if not shutil.which("unshare") or subprocess.run([*inside, "true"], check=False, **options).returncode:  # type: ignore[call-overload]
                absent("disk", "disk can be mounted for a test")
        subprocess.run(setup(folder), check=True, timeout=SECONDS, **options)  # type: ignore[call-overload]
        process = subprocess.Popen([*inside, *start(folder, port)], **options)  # type: ignore[call-overload]
        try:
            yield port, process, str(disk)
        finally:
            process.kill()
            process.wait(SECONDS)


def _until_it_answers(connect: Callable[[], object], error: type[Exception], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + SECONDS
    while True:
        try:
            connect()
        except error:
            assert process.poll() is None, "the server ended before it answered"
            assert time.monotonic() < end
            time.sleep(0.1)
        else:
            return


@contextmanager
def own_postgresql(megabytes: int = 0) -> Iterator[OwnServer]:
    initdb, postgres = _program("initdb"), _program("postgres")
    if initdb is None or postgres is None:
        absent("postgresql")
    with _running(
        "postgres",
        lambda folder: [
            initdb,
            "-D",
            f"{folder}/data",
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        ],
        lambda folder, port: [
            *(postgres, "-D", f"{folder}/data", "-p", str(port), "-k", folder),
            *("-h", "127.0.0.1", "-c", "fsync=off"),
        ],
        megabytes,
    ) as (port, process, disk):
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"

        def run(*statements: str) -> None:
            with closing(dbapi.connect(url, autocommit=True)) as connection, closing(connection.cursor()) as cursor:
                for statement in statements:
                    cursor.execute(statement)

        _until_it_answers(run, dbapi.Error, process)
        yield OwnServer(url, process, run, disk)


@contextmanager
def own_mariadb(megabytes: int = 0, *, options: Sequence[str] = ()) -> Iterator[OwnServer]:
    install, mariadbd = _program("mariadb-install-db"), _program("mariadbd")
    if install is None or mariadbd is None:
        absent("mariadb")
    with _running(
        "mysql",
        lambda folder: [
            *(install, "--no-defaults", f"--datadir={folder}/data", "--auth-root-authentication-method=normal"),
            *("--skip-test-db", "--innodb-log-file-size=4M"),
        ],
        lambda folder, port: [
            *(mariadbd, "--no-defaults", f"--datadir={folder}/data", f"--port={port}"),
            *("--bind-address=127.0.0.1", f"--socket={folder}/socket", f"--pid-file={folder}/pid"),
            *("--innodb-flush-log-at-trx-commit=0", *options),
        ],
        megabytes,
    ) as (port, process, disk):

        def run(*statements: str) -> None:
            options = {"host": "127.0.0.1", "port": port, "user": "root", "autocommit": True}
            with closing(pymysql.connect(**options)) as connection, connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)

        _until_it_answers(run, pymysql.MySQLError, process)
        run("CREATE DATABASE shop CHARACTER SET utf8mb4")
        yield OwnServer(f"mysql://root@127.0.0.1:{port}/shop", process, lambda *sql: run("USE shop", *sql), disk)
