"""Korean bank account numbers."""

from __future__ import annotations

from itertools import product

import numpy as np

from pii_guard.detectors.arithmetic import number, weighted_sum
from pii_guard.detectors.surroundings import among, beside_letters, labelled, touches
from pii_guard.engine.detection import REJECTED, WEAK, ColumnRule, Judgement
from pii_guard.engine.text import Index
from pii_guard.engine.tokens import Gap, Tokens, gaps, shape
from pii_guard.model import Confidence, Kind

__all__ = ["BankAccount"]

TABLE_DATE = "2026-05-08"
"""The account number scheme of the Korea Financial Telecommunications and Clearings Institute that GROUPS follows."""

# everyday and official groupings, with the banks that use them
GROUPS = (
    (6, 2, 6),  # KB Kookmin, post office
    (3, 2, 4, 3),  # KB Kookmin, old
    (3, 2, 4, 2, 1),
    (3, 3, 6),  # Shinhan, Gwangju, Jeju, K bank, Shinhyup
    (3, 2, 5, 1),  # Shinhan old, former KEB
    (4, 3, 6),  # Woori
    (3, 6, 2, 3),  # Woori linked, IBK
    (3, 6, 5),  # Hana
    (3, 4, 4, 2),  # NH, Busan, Kyongnam
    (3, 2, 6),  # SC First, NH old, Suhyup
    (3, 5, 3, 2),  # Citi
    (3, 6, 3),  # Citi
    (3, 2, 6, 1),  # iM (Daegu), Busan old
    (3, 2, 6, 3),  # iM
    (4, 2, 7),  # KakaoBank, Jeonbuk
    (3, 2, 7),  # Jeonbuk old
    (4, 4, 4),  # Toss, Suhyup
    (6, 2, 5, 1),  # NH coop old, post office
    (4, 4, 4, 1),  # MG Saemaul
    (4, 2, 6, 1),  # MG Saemaul old
    (3, 2, 2, 6, 1),  # savings banks
    (5, 2, 6),  # forestry cooperatives
    (3, 4, 4, 3),  # KDB
    (2, 2, 5, 1),  # Jeju old
    (4, 4, 2),  # Kiwoom
)
BARE = tuple(shape(length) for length in range(10, 15))
LISTED = frozenset({*(shape(*lengths) for lengths in GROUPS), *BARE})
# people group as they like: any three groups of an account's length will do behind a label, but not those of others
OTHERS = {(3, 3, 4), (3, 4, 4), (4, 3, 4), (2, 4, 4), (3, 2, 5)}  # phones, business registrations
FREE = frozenset(
    shape(*lengths)
    for lengths in product(range(2, 7), range(2, 8), range(2, 8))
    if 10 <= sum(lengths) <= 14 and lengths not in OTHERS
)
CODES = LISTED | FREE
PHONE_LIKE = shape(4, 4, 4)
MOBILE_LIKE = shape(11)
BARCODE_LIKE, BARCODE_PREFIX = shape(13), 880
"""Barcodes of GS1 Korea, with the check digit of EAN-13 (GS1 General Specifications, 7.9)."""
EAN_WEIGHTS = (1, 3) * 6 + (1,)
SEPARATORS = (Gap.HYPHEN, Gap.SPACE, Gap.SPACED_HYPHEN)
UNIFORM = frozenset({0, *(gaps(*[gap] * count) for gap in SEPARATORS for count in (2, 3, 4))})

NAMED = (
    r"계좌|입금|송금|이체|예금주|통장|은행|account|acct|bank|"
    r"신한|농협|(?:\A|[^a-z])(?:nh|kb|ibk|mg|sc)(?:[^a-z]|\z)|sc제일|씨티|수협|우체국|새마을|신협|카카오|카뱅|케이뱅크|토스|"
    r"부산|대구|광주|전북|경남"
)
# ordinary words as well: only directly in front of the number
DIRECT = r"(?:국민|우리|하나|기업|환불|급여)[\s:(]{0,3}\z"
BEFORE = rf"(?:(?:{NAMED})[^0-9]{{0,40}}\z|{DIRECT})"
BEHIND = r"\A\s{0,2}\(?\s?(?:국민|우리|하나|기업|신한|농협|카카오|토스|[가-힣]{1,5}은행|예금주)"

# what else is said of accounts, and accounts that are no bank's
NOT_NUMBERS = frozenset(
    "id key seq type status created updated modified opened closed at on date time ts balance amount amt count gl aws "
    "service user 잔액 금액 개설일 해지일 구분 상태".split()
)


class BankAccount:
    """What it finds
        Numbers in the groupings of Korean banks, or 10 to 14 bare digits, behind a bank's name or a label such as 계좌,
        or in a column whose header says so.
    What it must not find
        The same shapes without such context, phone numbers, cards, registration numbers, product codes.
    Legal basis
        To be encrypted at rest (Safety Measures Standard Art. 7(2)).
    Known gaps
        Banks keep their check digits secret: a wrong digit cannot be seen. A column of accounts without a header is
        not found.
    References
        KFTC account number scheme by participant, as of 2026-05-08.
    """

    kind = Kind("kr_bank_account", "Korean bank account number", keep=(0, 2))
    headers = frozenset(
        "계좌번호 계좌 입금계좌 환불계좌 급여계좌 가상계좌 통장번호 accountno acctno actno acntno bankaccount bankacct "
        "accountnumber refundaccount vaccount account".split()
    )
    column = ColumnRule(hinted=0.6, unhinted=None, unless=NOT_NUMBERS)

    def candidates(self, tokens: Tokens) -> Index:
        return tokens.with_shape(CODES)

    def confirm(self, tokens: Tokens, index: Index) -> Judgement:
        confidence = np.full(len(index), WEAK, np.int8)
        first = tokens.text.data[tokens.start[index]]
        code, joint = tokens.shape[index], tokens.gaps[index]
        confidence[~among(joint, UNIFORM)] = REJECTED
        confidence[(code == PHONE_LIKE) & (first == ord("0"))] = REJECTED
        confidence[beside_letters(tokens, index)] = REJECTED
        confidence[touches(tokens, index, b"*@+")] = REJECTED
        unlisted = ~among(code, LISTED)
        thirteen = np.flatnonzero((code == BARCODE_LIKE) & (confidence == WEAK))
        if len(thirteen):
            digits = tokens.digits(index[thirteen], BARCODE_LIKE)
            korean = number(digits[:3]) == BARCODE_PREFIX
            confidence[thirteen[korean & (weighted_sum(digits, EAN_WEIGHTS) % 10 == 0)]] = REJECTED
        open_ = np.flatnonzero((confidence == WEAK) & ~((code == MOBILE_LIKE) & (first == ord("0"))))
        named = labelled(tokens, index[open_], BEFORE, BEHIND, width=60)
        confidence[open_[named]] = Confidence.LIKELY
        confidence[unlisted & (confidence == WEAK)] = REJECTED
        return Judgement(confidence)
