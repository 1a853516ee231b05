"""Connectors: one file per source. `discover` finds what can be read, `open` opens one file, `write` writes one.

`FORMATS` is the one list of file formats; a connector is imported when a file needs it.
"""

if __name__ != "pii_guard.connectors":  # e.g. `import connectors`, or `pytest connectors/`
    raise ImportError("this folder is the package pii_guard.connectors; import it by that name")

from pii_guard.connectors.base import UNPARSED, Capabilities, OutOfScope, Source, Table
from pii_guard.connectors.discovery import discover, open
from pii_guard.connectors.formats import FORMATS, Format
from pii_guard.connectors.output import check_target, write

__all__ = [
    "FORMATS",
    "UNPARSED",
    "Capabilities",
    "Format",
    "OutOfScope",
    "Source",
    "Table",
    "check_target",
    "discover",
    "open",
    "write",
]
