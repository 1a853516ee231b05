"""Arguments and options that several commands share."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from pii_guard.errors import UsageError

__all__ = [
    "comments_option",
    "database_options",
    "existing_targets",
    "keys_option",
    "kinds_of",
    "passphrase",
    "passphrase_option",
    "policy_option",
    "reading_options",
    "sample_share",
    "target_arguments",
    "threads_option",
]

Command = TypeVar("Command", bound=Callable[..., Any])

KEYS_VARIABLE, PASSPHRASE_VARIABLE = "PII_GUARD_KEYS", "PII_GUARD_PASSPHRASE"
DEFAULT_KEYS = "pii-guard-keys"


def existing_targets(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Refuse a target that does not exist before the first one is read."""
    from pii_guard import connectors

    for target in [value] if isinstance(value, str) else value:
        connectors.discover(target)  # looks whether it is there; reads nothing before it is iterated
    return value


def target_arguments(command: Command) -> Command:
    argument = click.argument("targets", nargs=-1, required=True, metavar="TARGET...", callback=existing_targets)
    return argument(command)


def policy_option(command: Command) -> Command:
    return click.option(
        "--policy",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The policy file; by default the nearest pii-guard.toml above what is read.",
    )(command)


def comments_option(command: Command) -> Command:
    return click.option(
        "--no-inline-allow",
        "comments",
        is_flag=True,
        flag_value=False,
        default=True,
        help="Ignore comments `pii-guard: allow[KIND] reason` in lines of text.",
    )(command)


def reading_options(command: Command) -> Command:
    """`--encoding` and `--no-header`, which reach the command as `reading`."""

    @click.option(
        "--encoding", callback=_encoding, help="The encoding of text files, such as cp949; found out by default."
    )
    @click.option(
        "--no-header", is_flag=True, help="The first row of delimited files is data: columns are column1, ..."
    )
    @wraps(command)
    def with_reading(*arguments: Any, encoding: str | None, no_header: bool, **options: Any) -> Any:
        from pii_guard.connectors.base import Reading

        return command(*arguments, reading=Reading(encoding, not no_header), **options)

    return cast(Command, with_reading)


def _encoding(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    try:
        found = codecs.lookup(value)
        "".encode(found.name)  # refuses codecs that are none of text, such as base64
    except LookupError:
        raise click.BadParameter(f"{value!r} is no encoding of text that Python knows") from None
    return found.name


def threads_option(command: Command) -> Command:
    return click.option(
        "--threads",
        type=click.IntRange(1, 64),
        default=1,
        show_default=True,
        help="Read so many files at a time.",
    )(command)


def database_options(command: Command) -> Command:
    """`schemas`, `tables`, `views` and `query` of a `pii_guard.connectors.selection.Selection`."""
    for option in (
        click.option("--query", metavar="SQL", help="Of a database: read the rows of this query, and no tables."),
        click.option("--include-views", "views", is_flag=True, help="Of a database: read views too."),
        click.option(
            "--table",
            "tables",
            multiple=True,
            metavar="PATTERN",
            help="Of a database: only tables whose name, or SCHEMA.NAME, matches; may be repeated.",
        ),
        click.option(
            "--schema",
            "schemas",
            multiple=True,
            metavar="PATTERN",
            help="Of a database: only schemas whose name matches; may be repeated.",
        ),
    ):
        command = option(command)
    return command


def sample_share(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    """The sample that `5%` asks for."""
    if value is None:
        return None
    from pii_guard.connectors.sampling import Sample

    number = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?%", value.strip())
    if number is None or not 0 < float(number[1]) <= 100:
        raise click.BadParameter(f"{value!r} is no percentage above 0, such as 5%")
    return Sample(float(number[1]) / 100)


def passphrase_option(command: Command) -> Command:
    return click.option(
        "--passphrase-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help=f"Read the passphrase from the first line of this file, not from the variable {PASSPHRASE_VARIABLE}.",
    )(command)


def keys_option(command: Command) -> Command:
    return click.option(
        "--keys",
        type=click.Path(path_type=Path, file_okay=False),
        envvar=KEYS_VARIABLE,
        default=DEFAULT_KEYS,
        show_default=True,
        help="The key directory.",
        show_envvar=True,
    )(command)


def kinds_of(text: str | None) -> tuple[str, ...]:
    """The kinds of a comma-separated option."""
    return tuple(kind.strip() for kind in text.split(",") if kind.strip()) if text else ()


def passphrase(file: Path | None) -> str | None:
    """The passphrase from a file or the environment; None where neither is given. Never from the command line."""
    if file is None:
        given = os.environ.get(PASSPHRASE_VARIABLE) or None
        if given is not None and any("\ud800" <= char <= "\udfff" for char in given):
            raise UsageError(f"{PASSPHRASE_VARIABLE}: the passphrase is not UTF-8 text")
        return given
    try:
        line = file.read_text(encoding="utf-8-sig").partition("\n")[0].removesuffix("\r")
    except OSError as error:
        raise UsageError(f"{file}: the passphrase cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file}: the passphrase is not UTF-8 text") from None
    if not line:
        raise UsageError(f"{file}: the first line, which should hold the passphrase, is empty")
    return line
