"""Payment card numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pii_guard.detectors.arithmetic import luhn, number
from pii_guard.detectors.surroundings import labelled, misplaced, starting
from pii_guard.engine.detection import REJECTED, WEAK, ColumnRule, Judgement
from pii_guard.engine.text import Index
from pii_guard.engine.tokens import GAP_BITS, Gap, Tokens, gaps, shape
from pii_guard.model import Confidence, Kind

__all__ = ["CreditCard"]

FOURS, AMEX, DINERS, LONG = shape(4, 4, 4, 4), shape(4, 6, 5), shape(4, 6, 4), shape(4, 4, 4, 4, 3)
BARE = tuple(shape(length) for length in (14, 15, 16, 19))
CODES = frozenset({FOURS, AMEX, DINERS, LONG, *BARE})
SEPARATORS = (Gap.HYPHEN, Gap.SPACE, Gap.SPACED_HYPHEN)
UNIFORM = frozenset({0, *(gaps(*[gap] * count) for gap in SEPARATORS for count in (2, 3, 4))})
# (first four digits from, to, length); ISO/IEC 7812 ranges of the schemes, and the domestic Korean 9-series
BRANDS = (
    (4000, 4999, 16),
    (4000, 4999, 19),
    (5100, 5599, 16),
    (2221, 2720, 16),
    (3400, 3499, 15),
    (3700, 3799, 15),
    (3600, 3699, 14),
    (3800, 3999, 14),
    (3000, 3059, 14),
    (3528, 3589, 16),
    (6200, 6299, 16),
    (6200, 6299, 19),
    (6000, 6099, 16),
    (6400, 6599, 16),
    (9000, 9999, 16),
)
LABEL = r"(?:카드|card|pan|결제)[^0-9]{0,24}\z"


def _scheme_tables() -> dict[int, npt.NDArray[np.bool_]]:
    """Length -> which first four digits a scheme has given out for it."""
    tables = {length: np.zeros(10_000, np.bool_) for _, _, length in BRANDS}
    for low, high, length in BRANDS:
        tables[length][low : high + 1] = True
    return tables


SCHEMES = _scheme_tables()
PREFIXES = np.any([table.reshape(100, 100).any(axis=1) for table in SCHEMES.values()], axis=0)


class CreditCard:
    """What it finds
        Numbers of 14, 15, 16 or 19 digits with the prefix and length of a card scheme, domestic Korean cards (9...)
        among them, that pass the Luhn check; grouped 4-4-4-4, 4-6-5, 4-6-4 or bare.
    What it must not find
        Numbers that fail the check, IMEI and SIM numbers, parts of longer numbers, prices, masked numbers.
    Legal basis
        To be encrypted at rest (Safety Measures Standard Art. 7(2)).
    Known gaps
        13-digit cards (Visa of old): a barcode has the same shape. One random 16-digit number in thirty passes: a bare
        number without a label is `likely`, and a column where few pass is `possible` at most.
    References
        ISO/IEC 7812-1 (Luhn, annex B); issuer ranges of the schemes; Korean press on 9-series domestic cards.
    """

    kind = Kind("credit_card", "payment card number", keep=(0, 2))
    headers = frozenset(
        "카드번호 신용카드번호 체크카드번호 신용카드 결제카드 card cardno cardnumber crdno ccno creditcard pan".split()
    )
    column = ColumnRule(check=0.9)

    def candidates(self, tokens: Tokens) -> Index:
        return starting(tokens, tokens.with_shape(CODES), PREFIXES)

    def confirm(self, tokens: Tokens, index: Index) -> Judgement:
        confidence = np.full(len(index), REJECTED, np.int8)
        checked = np.zeros(len(index), np.bool_)
        for code, place in tokens.by_shape(index):
            digits = tokens.digits(index[place], code)
            shaped = SCHEMES[len(digits)][number(digits[:4])]
            shaped &= (digits[1:] != digits[0]).any(axis=0)  # not one digit throughout
            passes = shaped & luhn(digits)
            level = np.where(shaped, np.int8(WEAK), np.int8(REJECTED))
            level[passes] = Confidence.LIKELY if code in BARE else Confidence.CERTAIN
            confidence[place], checked[place] = level, passes
        confidence[misplaced(tokens, index, UNIFORM)] = REJECTED
        unsure = np.flatnonzero(confidence == Confidence.LIKELY)
        confidence[unsure[labelled(tokens, index[unsure], LABEL)]] = Confidence.CERTAIN
        return Judgement(confidence, checked & (confidence > REJECTED))


assert max(UNIFORM) < 1 << (GAP_BITS * 5)  # noqa: S101 - five gaps at most
