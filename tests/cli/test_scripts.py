"""Scripts of commands with all that they print. A script is commands first, then the files that they work on:

    # What the script shows.
    $ pii-guard scan a.csv
    what is written to stdout
    ! what is written to stderr
    [exit 3]

    -- a.csv --
    the content of a file

Every script also finds the tables of the repository's examples/ beside its files. After a wanted change of output run
`PII_GUARD_UPDATE=1 pytest tests/cli/test_scripts.py` and read the difference.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from pathlib import Path

import pytest
from cli_runner import EXAMPLES, run

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.txt"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_script(path: Path, tmp_path: Path) -> None:
    """The commands of a script print what the script says, byte for byte, and exit as it says."""
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("README.md"))
    script = path.read_text(encoding="utf-8")
    replayed = replay(script, tmp_path)
    if os.environ.get("PII_GUARD_UPDATE"):
        path.write_text(replayed, encoding="utf-8")
    assert replayed == script


def replay(script: str, directory: Path) -> str:
    """`script` with what its commands print now."""
    commands, *rest = re.split(r"^-- (.+) --\n", script, flags=re.MULTILINE)
    files = list(zip(rest[::2], rest[1::2], strict=True))
    for name, content in files:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(content, encoding="utf-8")
    blocks = []
    for line in commands.splitlines():
        if line.startswith("#"):
            blocks.append(line)
        elif line.startswith("$ pii-guard "):
            result = run(*shlex.split(line)[2:], cwd=directory)
            errors = "".join(f"! {error}\n" for error in result.stderr.splitlines())
            code = f"[exit {result.code}]\n" if result.code else ""
            blocks.append(f"{line}\n{stable(result.stdout + errors, directory)}{code}".rstrip())
    return "\n\n".join([*blocks, ""]) + "".join(f"-- {name} --\n{content}" for name, content in files)


def stable(text: str, directory: Path) -> str:
    """Without what differs from machine to machine and from run to run."""
    text = text.replace(str(directory), "DIRECTORY")
    text = re.sub(r"^(pii-guard|  [a-z-]+) \d[\w.+]*", r"\1 VERSION", text, flags=re.MULTILINE)
    text = re.sub(r"^lexer: .+", "lexer: LEXER", text, flags=re.MULTILINE)
    text = re.sub(r"^CP949: .+", "CP949: TRANSCODER", text, flags=re.MULTILINE)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", text)
    text = re.sub(r"\bkey [0-9a-f]{8}\b", "key KEY-ID", text)
    text = re.sub(r"\b[0-9a-f]{16}\b", "NUMBER", text)
    text = re.sub(r"pgd1[\w-]{8}\b", "PREFIX", text)
    text = re.sub(r"Python \S+ on \w+", "Python VERSION on SYSTEM", text)
    text = re.sub(r"(?<=encrypt  )[0-9a-f]{8}\b", "KEY-ID  ", text)
    return re.sub(r"^[0-9a-f]{8}\b", "KEY-ID  ", text, flags=re.MULTILINE)
