"""Connecting information (CI) and duplicate-join information (DI) of Korean identity checks, as columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pii_guard.engine.detection import ColumnRule
from pii_guard.engine.whole_values import matching
from pii_guard.model import Kind

__all__ = ["ConnectingInformation"]

PATTERN = r"[A-Za-z0-9+/]{86}==|[A-Za-z0-9+/]{64}|[A-Za-z0-9+/]{63}=|[A-Za-z0-9+/]{62}=="
HEXADECIMAL = r"(?i)[0-9a-f]+"
PLAIN_NAMES = frozenset(
    "연계정보 연계정보값 연계정보ci 중복가입확인정보 중복가입정보 중복가입확인값 conninfo dupinfo "
    "connectinginformation "
    "duplicatejoininformation divalue civalue ipinci ipindi".split()
)


class ConnectingInformation:
    """What it finds
        Columns headed ci or di whose values are 88 (CI) or 64 (DI) characters of base64, and columns that carry the
        full name (연계정보, 중복가입확인정보, conn_info), whatever their values are.
    What it must not find
        Columns of builds (continuous integration), indices, hexadecimal digests of 64 digits.
    Legal basis
        CI stands for the resident number across services (Network Act Art. 23-5, 23-6); to be kept apart and encrypted.
    Known gaps
        By header only: in other columns the values look like any base64.
    References
        Identity verification service guidelines of the Korea Internet & Security Agency: CI 88 bytes, DI 64 bytes.
    """

    kind = Kind("ci_di", "connecting information (CI, DI)", keep=(0, 0))
    headers = PLAIN_NAMES | frozenset("ci di cino dino cihash userci userdi mbrci mbrdi".split())
    column = ColumnRule(
        hinted=0.6,
        unhinted=None,
        sparse=False,
        unless=frozenset(["build", "job", "pipeline", "url"]),
        alone=PLAIN_NAMES,
    )
    heads = None

    def matches(self, values: pa.Array) -> npt.NDArray[np.bool_]:
        return matching(values, PATTERN, HEXADECIMAL)
