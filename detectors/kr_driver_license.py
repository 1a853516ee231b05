"""Korean driver licence numbers."""

from __future__ import annotations

import numpy as np

from pii_guard.detectors.surroundings import among, beside_letters, labelled, reach, touches
from pii_guard.engine.detection import REJECTED, WEAK, ColumnRule, Judgement
from pii_guard.engine.text import Index
from pii_guard.engine.tokens import Gap, Tokens, gaps, shape
from pii_guard.model import Confidence, Kind

__all__ = ["DriverLicense"]

FULL, NAMED, BARE = shape(2, 2, 6, 2), shape(2, 6, 2), shape(12)
CODES = frozenset({FULL, NAMED, BARE})
SEPARATORS = (Gap.HYPHEN, Gap.SPACE, Gap.SPACED_HYPHEN)
UNIFORM = frozenset({0, *(gaps(*[gap] * count) for gap in SEPARATORS for count in (2, 3))})
REGIONS = np.zeros(100, np.bool_)
REGIONS[[*range(11, 27), 28]] = True
"""11 Seoul to 26 Ulsan, 28 northern Gyeonggi (presidio-analyzer, country_specific/korea; Microsoft Purview)."""
REGION = r"(?:서울|부산|경기(?:남부|북부)?|강원|충북|충남|전북|전남|경북|경남|제주|대구|인천|광주|대전|울산)\s?-?\s?"
"""Older cards print the region in words."""
LABEL = r"(?:면허|driver|licen[cs]e)[^0-9]{0,24}\z"


class DriverLicense:
    """What it finds
        RR-YY-NNNNNN-CC with the code of a region, in groups of 2, 2, 6 and 2 by hyphens or blanks (`possible`), or the
        region in Hangul and the rest (`likely`); behind a label or under a header also bare digits, and YY-NNNNNN-CC
        without a region.
    What it must not find
        Codes that no region has (10, 27, 29 and more), twelve bare digits (account numbers, YYYYMMDDHHMM), times, other
        groupings.
    Legal basis
        Unique identifier (PIPA Art. 24, Decree Art. 19): separate consent or a statute; to be encrypted (Art. 24(3)).
    Known gaps
        The rule of the last two digits is not public: a wrong digit cannot be seen.
    References
        presidio-analyzer, country_specific/korea; Microsoft Purview, South Korea driver's license number.
    """

    kind = Kind("kr_driver_license", "Korean driver licence number", keep=(0, 2))
    headers = frozenset(
        "운전면허번호 면허번호 운전면허 운전면허증번호 driverlicense driverlicence driverlicenseno driverslicense "
        "driverslicenseno drvlicno licenseno lcnsno dlno".split()
    )
    column = ColumnRule(hinted=0.6)

    def candidates(self, tokens: Tokens) -> Index:
        index = tokens.with_shape(CODES)
        data, start = tokens.text.data, tokens.start[index]
        region = REGIONS[(data[start] - 48) * 10 + (data[start + 1] - 48)]
        found: Index = index[region | (tokens.shape[index] == NAMED)]
        return found

    def confirm(self, tokens: Tokens, index: Index) -> Judgement:
        confidence = np.full(len(index), WEAK, np.int8)
        code, joint, start = tokens.shape[index], tokens.gaps[index], tokens.start[index]
        confidence[code == FULL] = Confidence.POSSIBLE
        confidence[~among(joint, UNIFORM)] = REJECTED
        confidence[beside_letters(tokens, index)] = REJECTED
        confidence[touches(tokens, index, b"*@+:")] = REJECTED
        rest = np.flatnonzero((confidence == WEAK) & (code == NAMED) & (tokens.before[index] != 0))
        named = reach(tokens, index[rest], before=REGION, width=24)
        start[rest] -= named
        confidence[rest[named > 0]] = Confidence.LIKELY
        unsure = np.flatnonzero((confidence >= WEAK) & (confidence < Confidence.LIKELY))
        confidence[unsure[labelled(tokens, index[unsure], LABEL)]] = Confidence.LIKELY
        return Judgement(confidence, start=start)
