"""The Korean telephone numbering plan: how a national number may be written, at home and from abroad.

Source: the metadata of libphonenumber for region KR (phonenumbers 9.0, data/region_KR.py), and the forms people use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pii_guard.detectors.surroundings import beside_letters, labelled, touches
from pii_guard.engine.detection import REJECTED, WEAK, Judgement
from pii_guard.engine.text import Bytes, Index
from pii_guard.engine.tokens import GAP_BITS, Gap, Tokens, shape
from pii_guard.model import Confidence

__all__ = ["Form", "forms", "judge", "prefixes"]

COUNTRY = (8, 2)
LABELS = (
    r"(?:전화|연락처|휴대|핸드폰|폰번호|수신|발신|(?:\A|[^a-z])(?:hp|tel|phone|mobile|cell|contact|fax))[^0-9]{0,16}\z"
)
NOT_BETWEEN = (Gap.SLASH, Gap.DOT_SPACE)
OPENED = (Gap.CLOSE, Gap.CLOSE_SPACE, Gap.CLOSE_HYPHEN)


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write a number: the lengths of its groups, the digits in front of the national number."""

    lengths: tuple[int, ...]
    prefix: tuple[int, ...]
    """Trunk 0, country code, or both; nothing for numbers without one, and where a spreadsheet dropped it."""
    area: int | None
    """Digits of the area or service code where a gap follows it; None where nothing separates it."""

    @property
    def code(self) -> int:
        return shape(*self.lengths)

    @property
    def national(self) -> int:
        """Digits of the national number, without the trunk 0."""
        return sum(self.lengths) - len(self.prefix)

    @property
    def abroad(self) -> bool:
        return COUNTRY in (self.prefix[:2], self.prefix[2:4], self.prefix[3:5])


Table: TypeAlias = dict[int, list[Form]]
"""Shape code -> the forms that have it."""


def forms(national: Iterable[tuple[int, ...]], without_prefix: Iterable[tuple[int, ...]] = ()) -> Table:
    """All ways to write national numbers with these groups (without the trunk 0; (2, 4, 4) is 10-1234-5678).

    `without_prefix`: groups that also stand alone, without trunk 0 and country code.
    """
    table: Table = {}
    for form in (form for groups in national for form in _forms(groups)):
        table.setdefault(form.code, []).append(form)
    for groups in without_prefix:
        table.setdefault(shape(*groups), []).append(Form(groups, (), None))
    return table


def _forms(groups: tuple[int, ...]) -> Iterator[Form]:
    area = groups[0] if len(groups) > 1 else None
    first, rest = groups[0], groups[1:]
    yield Form((first + 1, *rest), (0,), area)  # 010-1234-5678
    for abroad in ((8, 2), (0, 0, 8, 2)):
        yield Form((len(abroad), *groups), abroad, area)  # +82-10-1234-5678, 0082-10-1234-5678
        yield Form((len(abroad), first + 1, *rest), (*abroad, 0), area)  # +82-010-1234-5678
    yield Form((3, 2, *groups), (0, 0, 1, 8, 2), area)  # 001-82-10-1234-5678
    yield Form((2, 1, *groups), (8, 2, 0), area)  # +82 (0)10-1234-5678
    yield Form((2 + first, *rest), (8, 2), area)  # +8210-1234-5678, +821012345678
    yield Form((3 + first, *rest), (8, 2, 0), area)  # +82010-1234-5678


def prefixes(national: Iterable[int]) -> npt.NDArray[np.bool_]:
    """The first two digits that a number may have: the trunk 0 and one of `national`, or those of an area abroad."""
    table = np.zeros(100, np.bool_)
    table[[0, 82, *national]] = True
    return table


def judge(
    tokens: Tokens,
    index: Index,
    table: Table,
    valid: Callable[[Form, Bytes], npt.NDArray[np.bool_]],
    bare: int,
) -> Judgement:
    """Confidence of phone numbers in the forms of `table`, their span with a leading `+` or bracket.

    `valid(form, digits)` says which numbers the plan has; `digits` are the first four of the national number. `bare` is
    the confidence of a number without separators and without a label; without its 0 as well it is WEAK.
    """
    confidence = np.full(len(index), REJECTED, np.int8)
    plus = tokens.before[index] == ord("+")
    for code, place in tokens.by_shape(index):
        part, sign = index[place], plus[place]
        level = np.full(len(part), REJECTED, np.int8)
        digits = tokens.digits(part, code, max(len(form.prefix) for form in table[code]) + 4)
        for form in table[code]:
            match = valid(form, digits[len(form.prefix) : len(form.prefix) + 4])
            for number, digit in enumerate(form.prefix):
                match &= digits[number] == digit
            if form.abroad:
                grouped = Confidence.LIKELY if len(form.lengths) > 1 and form.lengths[0] <= 4 else REJECTED
                level[match] = np.where(sign[match], np.int8(Confidence.CERTAIN), np.int8(grouped))
            else:
                single = bare if form.prefix else WEAK
                level[match] = Confidence.LIKELY if len(form.lengths) > 1 else single
                level[match & sign] = REJECTED
        confidence[place] = level
    joint = tokens.gaps[index]
    for shift in range(0, int(joint.max(initial=0)).bit_length(), GAP_BITS):
        between = (joint >> shift) & ((1 << GAP_BITS) - 1)
        confidence[(between == NOT_BETWEEN[0]) | (between == NOT_BETWEEN[1])] = REJECTED
    confidence[touches(tokens, index, b"*@")] = REJECTED
    alone = np.flatnonzero((joint == 0) & (confidence > REJECTED))
    glued = beside_letters(tokens, index[alone])
    confidence[alone[glued]] = REJECTED
    unsure = alone[~glued & (confidence[alone] < Confidence.LIKELY)]
    behind_hyphen = unsure[tokens.before[index[unsure]] == ord("-")]
    confidence[behind_hyphen] = WEAK
    confidence[unsure[labelled(tokens, index[unsure], LABELS)]] = Confidence.LIKELY
    opened = tokens.before[index] == ord("(")
    opened[opened] = np.isin(joint[opened] & ((1 << GAP_BITS) - 1), OPENED)
    return Judgement(confidence, start=tokens.start[index] - (plus | opened))
