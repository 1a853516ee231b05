"""What lists of processes show of the command: never a password."""

from __future__ import annotations

import re
import sys

__all__ = ["hide_passwords"]

_SECRET = re.compile(r"(?<=://).*(?=@)|(?<=[?&]password=)[^&]*", re.DOTALL)


def hide_passwords() -> None:
    """Put stars in the place of account and password of all URLs in the title of this process.

    Until then, for as long as Python takes to start, they can be seen.
    """
    shown = [_SECRET.sub("***", argument) for argument in sys.orig_argv]
    if shown != sys.orig_argv:
        from setproctitle import setproctitle

        setproctitle(" ".join(shown))
