"""E-mail addresses."""

from __future__ import annotations

from string import ascii_letters

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from pii_guard.detectors.surroundings import SYLLABLE, labelled, reach, touches
from pii_guard.engine.detection import REJECTED, ColumnRule, Judgement
from pii_guard.engine.text import Index, Text, scratch
from pii_guard.engine.tokens import Family, Tokens
from pii_guard.model import Confidence, Kind

__all__ = ["Email"]

ATOM = r"[A-Za-z0-9_%+-]+"
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
TOP = r"(?:[A-Za-z]{2,24}|xn--[A-Za-z0-9-]{1,59})"
ADDRESS = rf"\A{ATOM}(?:\.{ATOM})*@(?:{LABEL}\.)+{TOP}\z"
HYPHEN, FULL_STOP = ord("-"), ord(".")
IS_LETTER = np.zeros(256, np.bool_)
IS_LETTER[list(ascii_letters.encode())] = True
LONGEST_SURE_TOP = 4
LOCAL = rf"\A{ATOM}(?:\.{ATOM})*@"
# Hangul top-level domains (IANA list, 2026-10): others would swallow the particle behind an address
KOREAN_TOP = "(?:한국|닷컴|닷넷|삼성)"
KOREAN_LABEL = rf"(?:[0-9A-Za-z-]|{SYLLABLE}){{1,63}}"
KOREAN_DOMAIN = rf"{KOREAN_LABEL}(?:\.{KOREAN_LABEL}){{0,3}}\.(?:{KOREAN_TOP}|[A-Za-z]{{2,24}})"
KOREAN_REST = rf"\.(?:{KOREAN_LABEL}\.){{0,3}}{KOREAN_TOP}"
KOREAN_NAME = rf"{SYLLABLE}{{1,10}}"
LONG_LABEL = r"@(?:.*\.)?[^.]{64}"
# `icon@2x.png` is a picture, `app@db.internal` a host: endings that no top-level domain has (IANA list, 2026-10)
ENDINGS = (
    "png jpg jpeg gif svg webp ico bmp tif tiff css js jsx ts tsx json html htm php xml yml yaml pdf gz tar woff "
    "internal local localhost localdomain lan"
).split()
NOT_A_DOMAIN = rf"(?i)\.(?:{'|'.join(ENDINGS)})\z"
IN_ENDINGS = np.zeros((256, 256), np.bool_)  # by the last two bytes: most addresses need no second look
for _ending in ENDINGS:
    for _one in (_ending[-2].lower(), _ending[-2].upper()):
        for _two in (_ending[-1].lower(), _ending[-1].upper()):
            IN_ENDINGS[ord(_one), ord(_two)] = True
REPOSITORY_USER = r"\A(?:git|hg|svn)@"
IN_URL = r"://[^\s/@]*\z"
LONGEST_LOCAL, LONGEST_LABEL, LONGEST = 64, 63, 254  # RFC 5321, 4.5.3.1; RFC 1035, 2.3.4


class Email:
    """What it finds
        Addresses of RFC 5321 form with a domain of two labels or more, also with a Korean particle glued on
        (`hong@example.com으로`); Korean domains (`gildong@example.한국`), written in ASCII (`xn--`) too; Hangul local
        parts (`홍길동@example.com`), `possible` alone, since a word of the sentence may be glued on.
    What it must not find
        Handles (`@hong`), package versions (`left-pad@1.3.0`), picture names (`icon@2x.png`), repository addresses
        (`git@host:path`), user names and passwords in URLs, masked addresses.
    Legal basis
        Personal data (PIPA Art. 2); in transit and on staff PCs to be encrypted (Safety Measures Standard Art. 7).
    Known gaps
        Quoted local parts; local parts of Hangul and other characters mixed; Hangul on both sides of the at sign. Any
        top-level domain of letters passes.
    References
        RFC 5321 sections 4.1.2 and 4.5.3.1; RFC 5890 and RFC 6531; IANA list of top-level domains.
    """

    kind = Kind("email", "e-mail address", keep=(1, 0))
    headers = frozenset(
        "이메일 메일 전자우편 이메일주소 메일주소 email mail emailaddr emailaddress emladdr eml mailaddr".split()
    )
    column = ColumnRule()

    def candidates(self, tokens: Tokens) -> Index:
        block = tokens.family(Family.EMAIL)
        return np.arange(block.start, block.stop)

    def confirm(self, tokens: Tokens, index: Index) -> Judgement:
        confidence = np.full(len(index), REJECTED, np.int8)
        local, whole = tokens.mark[index] - tokens.start[index], tokens.end[index] - tokens.start[index]
        fits = np.flatnonzero((local <= LONGEST_LOCAL) & (whole <= LONGEST) & ~touches(tokens, index, b"@*"))
        regular = _surely_regular(tokens, index[fits])
        unsure = np.flatnonzero(~regular)
        regular[unsure] = _matches(tokens, index[fits[unsure]], ADDRESS)
        rest, fits = fits[~regular], fits[regular]
        confidence[fits] = Confidence.CERTAIN
        tail = tokens.end[index[fits]]
        doubtful = fits[IN_ENDINGS[tokens.text.data[tail - 2], tokens.text.data[tail - 1]]]
        confidence[doubtful[_matches(tokens, index[doubtful], NOT_A_DOMAIN)]] = REJECTED
        long = fits[whole[fits] > LONGEST_LABEL]
        confidence[long[_matches(tokens, index[long], LONG_LABEL)]] = REJECTED
        behind = tokens.after[index[fits]]
        repository = fits[(behind == ord(":")) | (behind == ord("/"))]
        confidence[repository[_matches(tokens, index[repository], REPOSITORY_USER)]] = REJECTED
        in_url = fits[tokens.before[index[fits]] == ord(":")]
        confidence[in_url[labelled(tokens, index[in_url], IN_URL)]] = REJECTED
        start, end = _korean(tokens, index, rest, confidence)
        return Judgement(confidence, start=start, end=end)


def _surely_regular(tokens: Tokens, index: Index) -> npt.NDArray[np.bool_]:
    """Which candidates match `ADDRESS` beyond doubt: no full stops or hyphens in a row, a short top-level domain.

    A few looks at all bytes of a column of addresses take a tenth of the time of RE2.
    """
    data, start, at, end = tokens.text.data, tokens.start[index], tokens.mark[index], tokens.end[index]
    if 2 * int((end - start).sum()) < len(data):  # a few in texts: the bytes between them are left out
        part = Text.of(tokens.slices(index))
        data, shift = part.data, part.offsets[:-1] - start
        start, at, end = start + shift, at + shift, end + shift
    if not len(data):
        return np.zeros(len(index), np.bool_)
    above, mark = scratch(2, len(data))
    np.subtract(data, HYPHEN, out=above.view(np.uint8))  # wraps below it
    np.less_equal(above.view(np.uint8), FULL_STOP - HYPHEN, out=mark)
    touching = np.flatnonzero(np.logical_and(mark[:-1], mark[1:], out=above[:-1]))
    sure: npt.NDArray[np.bool_] = (start < at) & (at + 1 < end) & ~mark.take(at + 1, mode="clip")
    sure &= (data.take(start, mode="clip") != FULL_STOP) & (data.take(at - 1, mode="clip") != FULL_STOP)
    if len(touching):
        sure &= np.searchsorted(touching, start) == np.searchsorted(touching, end - 1)
    top, place = np.zeros(len(index), np.bool_), end - 1
    letters = IS_LETTER.take(data.take(place, mode="clip"))
    for length in range(1, LONGEST_SURE_TOP + 1):  # so many letters stand at the end
        place -= 1
        before = data.take(place, mode="clip")
        if length > 1:
            top |= letters & (before == FULL_STOP)
        letters &= IS_LETTER.take(before)
    return sure & top


def _korean(tokens: Tokens, index: Index, rest: Index, confidence: npt.NDArray[np.int8]) -> tuple[Index, Index]:
    """Judge the candidates at `rest`, which are no addresses in ASCII; spans of all with the Hangul parts."""
    start, end = tokens.start[index], tokens.end[index]
    domain = rest[(tokens.after[index[rest]] == ord(".")) | (tokens.after[index[rest]] >= 0x80)]
    domain = domain[_matches(tokens, index[domain], LOCAL)]
    whole = end[domain] - 1 == tokens.mark[index[domain]]  # nothing in ASCII behind the at sign
    for place, pattern in ((domain[whole], KOREAN_DOMAIN), (domain[~whole], KOREAN_REST)):
        length = reach(tokens, index[place], behind=pattern, width=LONGEST_LABEL * 3)
        end[place] += length
        confidence[place[length > 0]] = Confidence.CERTAIN
    local = rest[(start[rest] == tokens.mark[index[rest]]) & (tokens.before[index[rest]] >= 0x80)]
    local = local[_matches(tokens, index[local], rf"\A@(?:{LABEL}\.)+{TOP}\z")]
    local = local[~_matches(tokens, index[local], NOT_A_DOMAIN)]
    length = reach(tokens, index[local], before=KOREAN_NAME)
    start[local] -= length
    confidence[local[length > 0]] = Confidence.POSSIBLE
    return start, end


def _matches(tokens: Tokens, index: Index, pattern: str) -> npt.NDArray[np.bool_]:
    if not len(index):
        return np.zeros(0, np.bool_)
    found: npt.NDArray[np.bool_] = pc.match_substring_regex(tokens.slices(index), pattern).to_numpy(
        zero_copy_only=False
    )
    return found
