"""A first policy for data that was scanned: a text to go on writing, valid as it is."""

from __future__ import annotations

import json
from collections import defaultdict

from pii_guard.model import Confidence
from pii_guard.reports import FieldReport, ScanReport
from pii_guard.tags import logical_field

__all__ = ["draft"]

_HEAD = """\
# Why each field is kept, how long, and what protects it. Drafted from a scan: what a scan cannot know is left open
# below, and `pii-guard check` fails until you have said it. docs/policy.md explains every table.
version = 1

# Korean law: what must be encrypted, which identifiers need a statute, statutory retention classes.
extends = ["korea"]

# Each purpose that people were told of, with the law or consent behind it.
# [purposes.delivery]
# title = "Delivery of goods"
# basis = "PIPA Art. 15(1)4"

# What people agreed to. For what a law keeps, name a class of the pack instead (`pii-guard policy show --all`).
# [retention.inquiry]
# title = "Inquiries"
# period = "P1Y"
# starts = "inquiry processed"
# term = "maximum"
# basis = "consent"
"""


def draft(report: ScanReport) -> str:
    """The text of a policy file with one field rule for each table of `report` that holds personal data.

    Fields of kinds that are at least `likely` are matched; purposes and retention class stay open, not guessed.
    """
    tables: dict[str, dict[str, str]] = defaultdict(dict)
    for field in report.fields:
        kinds = _kinds(field)
        if kinds:
            tables[field.field.table][logical_field(field.field)] = kinds
    return _HEAD + "".join(_rule(fields) for _, fields in sorted(tables.items()))


def _kinds(field: FieldReport) -> str:
    found = sorted(item.kind for item in field.findings if item.personal and item.confidence >= Confidence.LIKELY)
    return ", ".join(found)


def _rule(fields: dict[str, str]) -> str:
    lines = [f"    {json.dumps(name, ensure_ascii=False)},  # {kinds}\n" for name, kinds in sorted(fields.items())]
    return f'\n[[fields]]\nmatch = [\n{"".join(lines)}]\n# purposes = ["delivery"]\n# retention = "inquiry"\n'
