"""Names of Korean banks: no personal data, but what stands beside account numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pii_guard.engine.detection import ColumnRule
from pii_guard.engine.whole_values import Heads, matching
from pii_guard.model import Kind

__all__ = ["BankName"]

TABLE_DATE = "2026-05-08"
"""Participants of the account scheme of the Korea Financial Telecommunications and Clearings Institute."""
# names and the short forms that people use; 은행 may follow the first group
WITH_BANK = (
    "KB국민 국민 KB 신한 우리 KEB하나 하나 IBK기업 기업 IBK NH농협 농협 SC제일 제일 SC 씨티 한국씨티 대구 iM 부산 "
    "BNK부산 경남 BNK경남 광주 전북 제주 수협 Sh수협 산업 KDB산업 한국산업 수출입 카카오 케이 토스 저축"
).split()
WITHOUT = (
    "카카오뱅크 카뱅 케이뱅크 K뱅크 토스뱅크 iM뱅크 새마을금고 MG새마을금고 신협 우체국 산림조합 지역농협 단위농협"
).split()
PATTERN = rf"(?:{'|'.join(WITH_BANK)})(?: ?은행)?|{'|'.join(WITHOUT)}"
BARE_WORDS = (
    r"(?:국민|우리|하나|기업|제일|산업|한국산업|수출입|저축|케이|토스|카카오|제주|부산|대구|광주|경남|전북|"
    r"KB|SC|iM)"
)
"""Words, places and companies that say nothing without 은행 behind them or a header."""


class BankName:
    """What it finds
        Columns of the names of Korean banks (`국민은행`, `NH농협`, `카카오뱅크`), and columns headed 은행, bank and the
        like; numbers of the shape of an account in a column beside them are then accounts.
    What it must not find
        Companies, cities and provinces that share a name with a bank (`부산`, `우리`, `하나카드`).
    Legal basis
        None: not personal by itself.
    Known gaps
        Codes of banks (`004`); securities firms; banks from abroad.
    References
        Participants of the KFTC account scheme, as of 2026-05-08.
    """

    kind = Kind("kr_bank_name", "name of a Korean bank", personal=False, keep=None, domain=100)
    headers = frozenset(
        "은행 은행명 거래은행 입금은행 환불은행 급여은행 금융기관 금융기관명 bank bankname banknm refundbank".split()
    )
    column = ColumnRule(
        hinted=0.5, unhinted=0.8, sparse=False, unless=frozenset("account acct actno no number".split()), alone=headers
    )
    heads = Heads(name.encode()[: 6 if name[0] > "z" else 2] for name in (*WITH_BANK, *WITHOUT))

    def matches(self, values: pa.Array) -> npt.NDArray[np.bool_]:
        return matching(values, PATTERN, BARE_WORDS)
