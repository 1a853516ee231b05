"""One report with everything in it that a format could stumble over."""

from __future__ import annotations

import pytest

from pii_guard.model import Confidence, FieldPath, Protection
from pii_guard.reports import Coverage, FieldReport, Finding, NotExamined, ScanReport
from pii_guard.tallies import FieldTally

HOSTILE = (
    "\x1b[2J\x1b]0;title\x07",
    "::error file=x::boom",
    "  ::stop-commands::x",
    "##[error]boom",
    "##vso[task.complete]",
    "<script>alert(1)</script>",
    "=cmd()",
    "+1",
    "-1",
    "@sum",
    "\t=1",
    "\r=1",
    "＝1",
    "a;=cmd()",
    'a","=cmd()',
    "two\nlines\r\nthree\x85four\u2028five",
    "\u202eright to left\u2066",
    "zero\u200bwidth\ufeff",
    "tag\U000e0041",
    "[bold]markup[/bold] :smile:",
    "byte\udcff",
    "{}%s\\",
    "이름",
)


def place(name: str) -> FieldPath:
    return FieldPath(name, name, name)


@pytest.fixture(params=HOSTILE, ids=ascii)
def hostile(request: pytest.FixtureRequest) -> str:
    """A name that somebody chose to do harm, or a Korean one that must come out as it is."""
    name: str = request.param
    return name


@pytest.fixture
def hostile_report(hostile: str) -> ScanReport:
    """A report in which everything that is text from outside is `hostile`."""
    finding = Finding("email", Confidence.CERTAIN, True, 2, 1, Protection.PLAIN, (hostile,), (hostile,))
    return ScanReport(
        fields=(FieldReport(place(hostile), (hostile,), "string", FieldTally(2, 2), (finding,)),),
        coverage=Coverage(1, 1, 2, 20),
        not_examined=(NotExamined(hostile, hostile),),
        out_of_scope={hostile: 1},
    )


@pytest.fixture
def report() -> ScanReport:
    """Two sources, out of order; plain, mixed and encrypted fields, one with two kinds, one without."""

    def field(source: str, path: str, tally: FieldTally, *findings: Finding) -> FieldReport:
        return FieldReport(FieldPath(source, source.split(".")[0], path), (path,), "string", tally, findings)

    plain, token, mixed = Protection.PLAIN, Protection.TOKEN, Protection.MIXED
    return ScanReport(
        fields=(
            field(
                "orders.parquet",
                "memo",
                FieldTally(1000, 1000, 9000, tokens=997),
                Finding(
                    "kr_bank_account", Confidence.LIKELY, True, 1000, 3, mixed, ("***-**-******",), ("label 계좌",)
                ),
                Finding("encrypted_value", Confidence.LIKELY, True, 1000, 997, mixed),
            ),
            field("customers.csv", "id", FieldTally(5, 5, 10)),
            field(
                "orders.parquet",
                "card",
                FieldTally(1000, 1000, 9000, tokens=1000),
                Finding("encrypted_value", Confidence.LIKELY, True, 1000, 1000, token),
            ),
            field(
                "customers.csv",
                "phone",
                FieldTally(5, 5, 60),
                Finding(
                    "kr_phone_mobile",
                    Confidence.CERTAIN,
                    True,
                    5,
                    5,
                    plain,
                    ("010-****-5678", "010-****-0001"),
                    ("5 of 5 values", "header phone"),
                ),
            ),
            field(
                "customers.csv",
                "이름",
                FieldTally(5, 4, 60),
                Finding("person_name", Confidence.POSSIBLE, True, 4, 1, plain, ("홍**",)),
            ),
        ),
        coverage=Coverage(2, 2, 1005, 9130, 1, 2),
        not_examined=(NotExamined("z.parquet", "truncated"), NotExamined("a.csv", "no permission")),
        out_of_scope={"picture": 3, "excluded": 1},
    )
