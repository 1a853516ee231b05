"""pii-guard audit"""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path

import click

from pii_guard.audit import AccessLog, Head, os_account, read_heads, records
from pii_guard.audit import verify as verify_chain
from pii_guard.cli.options import heads_option, keys_option, open_keyring, passphrase_option, policy_option
from pii_guard.cli.output import announce, emit, say
from pii_guard.cli.settings import existing_policy
from pii_guard.errors import AuditError
from pii_guard.guard import ACCESS_LOG
from pii_guard.render import audit as render
from pii_guard.subjects import pseudonyms_of

__all__ = ["command"]


@click.group("audit")
def command() -> None:
    """Verify and show the access records: who opened what, when, from where, for what."""


def log_argument(function: click.decorators.FC) -> click.decorators.FC:
    """The file of access records: an argument, else that of the key directory."""
    path = click.Path(path_type=Path, dir_okay=False)
    return click.argument("log", required=False, type=path)(keys_option(function))


def _log(log: Path | None, keys: Path) -> Path:
    return log or keys / ACCESS_LOG


@command.command("verify")
@log_argument
@click.option(
    "--head",
    "stored",
    multiple=True,
    metavar="HEAD|FILE",
    help="What `audit head` printed, or a file of such lines, kept where the writer of the log cannot change it.",
)
def verify(log: Path | None, keys: Path, stored: tuple[str, ...]) -> int:
    """Check that no access record was changed, inserted, removed or moved; exit 1 where one was.

    Whoever can write the file can also cut off its end, or write all of it anew with fresh hashes. That shows only
    against a head that was kept elsewhere: give it with --head.
    """
    heads = [head for text in stored for head in _heads(text)]
    path = _log(log, keys)
    problems = verify_chain(path, heads)
    for problem in problems:
        announce(f"{path}: {problem}")
    if problems:
        announce(f"{len(problems)} defect(s)")
        return 1
    count = sum(1 for _ in records(path))
    if heads:
        last = max(head.seq for head in heads)
        announce(f"{path}: {count:,} records, a whole chain; up to line {last} what it was when the heads were stored")
    else:
        announce(f"{path}: {count:,} records, a whole chain")
        say("its end may have been cut off, or all of it written anew: only a head kept elsewhere shows that (--head)")
    return 0


def _heads(text: str) -> list[Head]:
    if re.match(r"\s*[0-9]+\s+[0-9a-f]+\s*$", text):
        return [Head.parse(text)]
    return read_heads(Path(text))


@command.command("head")
@log_argument
def head(log: Path | None, keys: Path) -> int:
    """Print number and hash of the last record, to be kept where the writer of the log cannot change it."""
    announce(str(_last(_log(log, keys))))
    return 0


def _last(path: Path) -> Head:
    """The head of the last whole line. Raises AuditError where the chain is broken: nothing is vouched for then."""
    problems = verify_chain(path)
    if problems:
        raise AuditError(f"{path}: {problems[0]}; see `pii-guard audit verify`")
    return AccessLog(path).head()


@command.command("show")
@log_argument
@click.option("--last", type=click.IntRange(1), help="Only so many records, the latest ones.")
@click.option("--subject", metavar="VALUE", help="Only what opened, or may have opened, the data of this person.")
@passphrase_option
def show(log: Path | None, keys: Path, last: int | None, subject: str | None, passphrase_file: Path | None) -> int:
    """Show the access records, a line each. The file itself is JSON lines, for anything else.

    --subject takes what stood in the column that `reveal --subject` named, such as a customer number. Accesses that
    named nobody, or too many to name, are not left out: they may have opened it.
    """
    found = records(_log(log, keys))
    if subject is not None:
        names = pseudonyms_of(subject, open_keyring(keys, passphrase_file))
        closed = (record for record in found if record.get("event") == "closed")
        found = (record for record in closed if "subjects" not in record or names & {*record["subjects"]})
    emit(render.listing(deque(found, maxlen=last)))
    return 0


@command.command("roles")
@log_argument
@policy_option
@heads_option
@click.option("--actor", help="Who grants, changes or withdraws; by default the account of the operating system.")
@click.option("--show", "only_show", is_flag=True, help="Record nothing.")
def roles(
    log: Path | None, keys: Path, policy: Path | None, heads: Path | None, actor: str | None, only_show: bool
) -> int:
    """Record the roles of the policy, if they are not those recorded last, and show how they came about.

    Run it when you have changed [roles]: the record then names you. Otherwise the next `reveal` records what it finds.
    """
    path = _log(log, keys)
    if not only_show:
        granted = existing_policy(policy, Path.cwd()).granted()
        if AccessLog(path, heads).roles(granted, actor=actor or os_account(), task="grant"):
            say("recorded the roles of the policy")
    emit(render.roles(records(path)))
    return 0
