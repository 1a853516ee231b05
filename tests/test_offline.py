"""No network: with every socket refused, every command does its work, and none was asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_runner import EXAMPLES, environment

GUARDED = """\
import socket, sys

def refused(*arguments, **options):
    print("NETWORK", file=sys.stderr)
    raise OSError("no network in this test")

for name in ("connect", "connect_ex", "sendto", "sendmsg"):
    setattr(socket.socket, name, refused)
for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getfqdn", "create_connection"):
    setattr(socket, name, refused)
"""
RUN = """\
import json
from pii_guard.cli import main

for arguments, expected in json.loads(sys.argv[1]):
    try:
        main(arguments)
    except SystemExit as end:
        assert end.code == expected, (arguments, end.code)
"""
POLICY = """\
version = 1
[purposes.delivery]
title = "Delivery of goods"
[retention.contract]
period = "P5Y"
[[fields]]
match = "customers.*"
purposes = ["delivery"]
retention = "contract"
"""


def offline(code: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", GUARDED + code, *arguments]
    unreachable = {"HTTP_PROXY": "http://192.0.2.1:9", "HTTPS_PROXY": "http://192.0.2.1:9"}
    return subprocess.run(command, cwd=cwd, env=environment(unreachable), capture_output=True, check=False, timeout=60)


def test_every_command(tmp_path: Path) -> None:
    """The whole path, from `keys init` to `reveal`, works without a network, and never tries one."""
    (tmp_path / "pii-guard.toml").write_text(POLICY, encoding="utf-8")
    table = (EXAMPLES / "customers.csv").read_text(encoding="utf-8")
    (tmp_path / "customers.csv").write_text(table, encoding="utf-8")
    commands = [
        (["kinds"], 0),
        (["kinds", "email"], 0),
        (["doctor"], 0),
        (["scan", "customers.csv"], 0),
        (["scan", "customers.csv", "--format", "json"], 0),
        (["find", "customers.csv"], 0),
        (["check", "customers.csv"], 1),
        (["keys", "init"], 0),
        (["tag", "customers.csv"], 0),
        (["protect", "customers.csv", "--to", "out.parquet"], 0),
        (["check", "out.parquet"], 0),
        (["reveal", "out.parquet", "--to", "back.csv", "--purpose", "delivery"], 0),
        (["keys", "list"], 0),
    ]
    done = offline(RUN, json.dumps(commands), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "back.csv").exists()


def test_python(tmp_path: Path) -> None:
    """`scan` and `find` of the library neither."""
    code = "import pii_guard\nprint(len(pii_guard.scan(sys.argv[1]).findings), len(pii_guard.find(['a@example.com'])))"
    done = offline(code, os.fspath(EXAMPLES), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    findings, spans = map(int, done.stdout.split())
    assert findings > 5
    assert spans == 1


@pytest.mark.parametrize(
    "call", ["socket.create_connection(('192.0.2.1', 9))", "socket.getaddrinfo('example.com', 80)"]
)
def test_the_guard_works(tmp_path: Path, call: str) -> None:
    """The tests above can fail: what uses a socket is seen."""
    done = offline(call, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(b"NETWORK")
