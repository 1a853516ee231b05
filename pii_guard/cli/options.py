"""Arguments and options that several commands share."""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from pii_guard.errors import UsageError

if TYPE_CHECKING:
    from pii_guard.connectors.base import Reading
    from pii_guard.connectors.sampling import Sample
    from pii_guard.connectors.selection import Selection
    from pii_guard.keys.keyring import Keyring
    from pii_guard.keys.markers import KnownKeys

__all__ = [
    "comments_option",
    "database_options",
    "epochs_place",
    "exclude_option",
    "existing_targets",
    "heads_option",
    "keys_option",
    "kinds_of",
    "open_keyring",
    "passphrase",
    "passphrase_option",
    "policy_option",
    "quiet_option",
    "reading_options",
    "sample_option",
    "scan_options",
    "target_arguments",
    "threads_option",
    "token_options",
]

Command = TypeVar("Command", bound=Callable[..., Any])

KEYS_VARIABLE, PASSPHRASE_VARIABLE = "PII_GUARD_KEYS", "PII_GUARD_PASSPHRASE"
HEADS_VARIABLE = "PII_GUARD_AUDIT_HEADS"
EPOCHS_VARIABLE = "PII_GUARD_EPOCHS"
DEFAULT_KEYS = "pii-guard-keys"
_IN_HISTORY = (
    "a password on the command line stays in the history of the shell; PGPASSWORD, MYSQL_PWD, ~/.pgpass and "
    "--password-file FILE keep it out"
)


def existing_targets(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Refuse a target that does not exist before the first one is read."""
    from pii_guard import connectors
    from pii_guard.cli.output import say
    from pii_guard.connectors.database_url import carries_password, shown_target

    for target in [value] if isinstance(value, str) else value:
        connectors.discover(target)  # looks whether it is there; reads nothing before it is iterated
        if carries_password(target):
            say(f"{shown_target(target)}: {_IN_HISTORY}")
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
        codecs.getincrementaldecoder(found.name)("replace").decode(b"", final=True)  # and those that cannot go on
    except (LookupError, UnicodeError, ValueError, TypeError):
        raise click.BadParameter(f"{value!r} is no encoding of text that Python knows") from None
    return found.name


def exclude_option(command: Command) -> Command:
    return click.option(
        "--exclude", multiple=True, metavar="PATTERN", help="Leave out files whose name matches; may be repeated."
    )(command)


def quiet_option(command: Command) -> Command:
    return click.option("--quiet", is_flag=True, help="No progress on stderr.")(command)


def threads_option(command: Command) -> Command:
    return click.option(
        "--threads",
        type=click.IntRange(1, 64),
        default=1,
        show_default=True,
        help="Read so many files at a time.",
    )(command)


def database_options(command: Command) -> Command:
    """What is for databases alone; it reaches the command as `selection` and `password`."""

    @wraps(command)
    def with_selection(
        *arguments: Any,
        schemas: tuple[str, ...],
        tables: tuple[str, ...],
        included: tuple[str, ...],
        excluded: tuple[str, ...],
        views: bool,
        query: str | None,
        password_file: Path | None,
        **options: Any,
    ) -> Any:
        from pii_guard.connectors.selection import Selection

        chosen = Selection(schemas, tables, included, excluded, views, query)
        password = None if password_file is None else secret_line(password_file, "password")
        return command(*arguments, selection=chosen, password=password, **options)

    for option in (
        click.option(
            "--password-file",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="Of a database: the password is the first line of this file; - is standard input.",
        ),
        click.option("--query", metavar="SQL", help="Of a database: read the rows of this query, and no tables."),
        click.option("--include-views", "views", is_flag=True, help="Of a database: read views too."),
        click.option(
            "--exclude-table",
            "excluded",
            multiple=True,
            metavar="PATTERN",
            help="Of a database: no tables whose name, or SCHEMA.NAME, matches; may be repeated.",
        ),
        click.option(
            "--include-table",
            "included",
            multiple=True,
            metavar="PATTERN",
            help="Of a database: only tables whose name, or SCHEMA.NAME, matches; may be repeated.",
        ),
        click.option(
            "--table",
            "tables",
            multiple=True,
            metavar="NAME",
            help="Of a database: only the table or view of this name, or SCHEMA.NAME; may be repeated.",
        ),
        click.option(
            "--schema",
            "schemas",
            multiple=True,
            metavar="PATTERN",
            help="Of a database: only schemas whose name matches; may be repeated.",
        ),
    ):
        with_selection = option(with_selection)
    return cast(Command, with_selection)


def table_options(command: Command) -> Command:
    """What names the one table of a database, and `password`."""

    @click.option("--table", metavar="NAME", help="Of a database: the table, NAME or SCHEMA.NAME.")
    @click.option(
        "--password-file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Of a database: the password is the first line of this file; - is standard input.",
    )
    @wraps(command)
    def with_table(*arguments: Any, password_file: Path | None, **options: Any) -> Any:
        password = None if password_file is None else secret_line(password_file, "password")
        return command(*arguments, password=password, **options)

    return cast(Command, with_table)


def sample_option(command: Command) -> Command:
    return click.option(
        "--sample",
        metavar="N|P%",
        callback=_sample,
        help="Read N rows, or P percent, of each file and table that is larger: drawn at random, the same in each run.",
    )(command)


def _sample(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    """The sample that `5%` or `10000` asks for."""
    if value is None:
        return None
    from pii_guard.connectors.sampling import Sample

    number = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?(%?)", value.strip())
    if number is not None and number[2] and 0 < float(number[1]) <= 100:
        return Sample(float(number[1]) / 100)
    if number is not None and not number[2] and number[1].isdigit() and int(number[1]):
        return Sample(rows=int(number[1]))
    raise click.BadParameter(f"{value!r} is no number of rows and no percentage above 0, such as 10000 or 5%")


def scan_options(command: Command) -> Command:
    """What the options of a scan above it choose, each where a command has it, as one value: `options`."""

    @wraps(command)
    def with_options(
        *arguments: Any,
        selection: Selection,
        password: str | None,
        comments: bool,
        reading: Reading,
        exclude: tuple[str, ...] = (),
        threads: int = 1,
        sample: Sample | None = None,
        **others: Any,
    ) -> Any:
        from pii_guard.scanner import ScanOptions

        chosen = ScanOptions(exclude, comments, threads, replace(reading, sample=sample), selection, password)
        return command(*arguments, options=chosen, **others)

    return cast(Command, with_options)


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


def heads_option(command: Command) -> Command:
    return click.option(
        "--audit-heads",
        "heads",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar=HEADS_VARIABLE,
        show_envvar=True,
        help="Append the hash of each access record to this file, which belongs where the log's writer cannot edit it.",
    )(command)


def token_options(command: Command) -> Command:
    """`--keys`, `--verify`, `--markers` and the passphrase; the command gets `keys`: what is known of them."""

    @click.option(
        "--keys",
        "directory",
        type=click.Path(path_type=Path, file_okay=False),
        help="Tell tokens by what is public of this key directory: of this field, of others, unknown ...",
    )
    @click.option("--verify", is_flag=True, help="Open --keys, and verify each token by its marker.")
    @click.option(
        "--markers",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Verify each token by this file of `pii-guard keys export-marker`, which opens none.",
    )
    @passphrase_option
    @wraps(command)
    def with_tokens(
        *arguments: Any,
        directory: Path | None,
        verify: bool,
        markers: Path | None,
        passphrase_file: Path | None,
        **options: Any,
    ) -> Any:
        return command(*arguments, keys=_known_keys(directory, verify, markers, passphrase_file), **options)

    return cast(Command, with_tokens)


def _known_keys(directory: Path | None, verify: bool, markers: Path | None, file: Path | None) -> KnownKeys | None:
    if directory is None and markers is None:
        if verify:
            raise UsageError("--verify opens a key directory: name it with --keys")
        return None
    if directory is not None and markers is not None:
        raise UsageError("give one of --keys and --markers")
    from pii_guard.keys.markers import KnownKeys

    if markers is not None:
        return KnownKeys.exported(markers)
    assert directory is not None  # noqa: S101 - one of the two is given
    return KnownKeys.opened(open_keyring(directory, file)) if verify else KnownKeys.public(directory)


def epochs_place() -> Path | None:
    """Where the epoch secrets are, if not where the key directory says: its medium may be mounted elsewhere."""
    given = os.environ.get(EPOCHS_VARIABLE)
    return Path(given) if given else None


def open_keyring(directory: Path, passphrase_file: Path | None) -> Keyring:
    """The key directory of `keys_option`, opened."""
    from pii_guard.keys.keyring import Keyring

    return Keyring.open(directory, passphrase(passphrase_file), epochs=epochs_place())


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
    return secret_line(file, "passphrase")


def secret_line(file: Path, what: str) -> str:
    """The first line of `file`, or of standard input for `-`. `what` it should hold is said in the UsageError."""
    try:
        data = sys.stdin.buffer.readline() if str(file) == "-" else file.read_bytes()
        line = data.decode("utf-8-sig").partition("\n")[0].removesuffix("\r")
    except OSError as error:
        raise UsageError(f"{file}: the {what} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file}: the {what} is not UTF-8 text") from None
    if not line:
        raise UsageError(f"{file}: the first line, which should hold the {what}, is empty")
    return line
