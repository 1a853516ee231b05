"""The command `pii-guard`: one file per command, which parses, calls, renders and returns an exit code; no logic.

Commands load on use, so that `pii-guard --help` needs none of the libraries that do the work.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from importlib import import_module
from typing import NoReturn

import click

from pii_guard.cli.process_title import hide_passwords
from pii_guard.errors import PiiGuardError

__all__ = ["main"]

COMMANDS = {
    "scan": "find personal data in files and directories",
    "explain": "say why a field was judged as it was, with the figures",
    "find": "find personal data in one text, with its place",
    "check": "fail on personal data that is unencrypted or untagged",
    "policy": "write, check and show why fields are kept and how long",
    "rule": "list the rules of check, or explain one",
    "tag": "write down what each field holds, why it is kept and how long",
    "protect": "copy a table with its personal fields encrypted and tagged",
    "reveal": "copy a protected table with its fields opened for one purpose",
    "reencrypt": "move tokens to the newest key of their field",
    "audit": "verify and show the access records",
    "keys": "make, show, renew and destroy keys",
    "kinds": "list the kinds of personal data, or explain one",
    "doctor": "say what this installation has and what it promises",
}
INTERRUPTED = 130
TERMINATED = 143
"""128 + the number of the signal, as shells have it."""
INTERNAL = 70
"""EX_SOFTWARE of sysexits.h: a fault of pii-guard, not of its user."""


class Commands(click.Group):
    """The commands of the table above, each imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f"pii_guard.cli.{name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name in COMMANDS or name.startswith("-"):
            return super().resolve_command(ctx, args)
        from pii_guard.errors import did_you_mean

        raise click.UsageError(f"no such command {name!r}{did_you_mean(name, COMMANDS)}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from pii_guard import __version__

        click.echo(f"pii-guard {__version__}")
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
def cli() -> None:
    """Find personal data, tell whether it is encrypted, encrypt what is not, tag why and how long it is kept.

    Exit codes: 0 done (check: clean), 1 findings (check, scan --fail-on) or data without a rule (protect),
    2 usage or configuration, 3 incomplete: something could not be read or written.
    """


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit. No error shows a traceback, and none shows a value of the data."""
    before = signal.signal(signal.SIGTERM, _terminated)
    try:
        if arguments is None:
            hide_passwords()
        sys.exit(_run(arguments))
    finally:
        signal.signal(signal.SIGTERM, before)


class _TerminatedError(BaseException):
    """SIGTERM, as a cancelled build or a stopped container sends it: it must leave nothing half-written either."""


def _terminated(*_: object) -> NoReturn:
    raise _TerminatedError


def _run(arguments: list[str] | None) -> int:
    try:
        code = cli.main(args=arguments, prog_name="pii-guard", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:  # its message is the help page, of our own words alone
        print(error.format_message(), file=sys.stderr)
        return 2
    except click.ClickException as error:
        return _say(error.format_message(), 2)
    except PiiGuardError as error:
        return _say(str(error), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        # Printed without `_say`: the interrupt may have cut the import of a library that it needs.
        print("pii-guard: interrupted; nothing half-written was left behind", file=sys.stderr)
        return INTERRUPTED
    except _TerminatedError:
        print("pii-guard: terminated; nothing half-written was left behind", file=sys.stderr)
        return TERMINATED
    except ImportError as error:  # no helper of ours may be used here: it may be what is missing
        print(f"pii-guard: the module {error.name} is missing or broken; install pii-guard-arrow anew", file=sys.stderr)
        return 2
    except Exception as error:  # noqa: BLE001 - the message of an unforeseen error may quote a value: only its place is shown
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{os.path.basename(frame.filename)}:{frame.lineno}"
        return _say(f"internal error ({type(error).__name__} at {place}); please report this line", INTERNAL)


def _say(message: str, code: int) -> int:
    """One error on stderr, safe to show."""
    try:
        from pii_guard.cli.output import say
    except PiiGuardError as error:  # a setting is wrong without which nothing of ours loads; only words of ours say so
        print(f"pii-guard: {error}", file=sys.stderr)
        return error.exit_code

    for line in message.splitlines():
        say(line)
    return code
