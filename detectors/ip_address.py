"""IP addresses, version 4 and 6."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from pii_guard.detectors.surroundings import beside_letters, in_letters, labelled, reach, touches
from pii_guard.engine.detection import REJECTED, ColumnRule, Judgement
from pii_guard.engine.text import Index
from pii_guard.engine.tokens import GROUP_BITS, Family, Gap, Tokens, gaps, shape
from pii_guard.model import Confidence, Kind

__all__ = ["IpAddress"]

LENGTHS = (1, 2, 3)
CODES = frozenset(shape(a, b, c, d) for a in LENGTHS for b in LENGTHS for c in LENGTHS for d in LENGTHS)
DOTTED = gaps(Gap.DOT, Gap.DOT, Gap.DOT)
THIS_NETWORK, LOOPBACK, FIRST_NO_HOST = 0, 127, 224
"""RFC 6890: 0.0.0.0/8 and 127.0.0.0/8; RFC 5771, RFC 1112 and RFC 919: from 224 on multicast, reserved, broadcast."""
LARGE = 100
"""Two parts of three digits are hardly a version; of random addresses five in six have them."""
VERSION = (
    r"(?:(?:\A|[^a-z])(?:v|ver|version|rev|release|build|firmware|fw|oid|section)|objectidentifier|§|버전|릴리스|릴리즈|펌웨어)"
    r"[\s:=.\"'(]{0,3}\z|[=~<>!]=\s?\z"  # the last: operators of requirements (PEP 440)
)
PRODUCT = r"[a-z0-9_)][/-]\z"
"""product/version (RFC 9110, 10.1.5) as in Chrome/141.0.0.0, package-version; but Java writes host/address:port."""
LABEL = r"(?:(?:\A|[^a-z])(?:ip(?:v[46])?|client|remote|host|addr(?:ess)?)|아이피|접속)[^0-9]{0,16}\z"
NOT_ALONE = r"\A(?:/(?:[0-9]|[12][0-9]|3[01])(?:[^0-9]|\z)|[-+.][a-z0-9])"
"""A network (RFC 4632), or the rest of a version, a file or a host (`1.2.3.4-beta`, `1.2.3.4.tar`)."""

GROUP = "[0-9A-Fa-f]{1,4}"
V4 = r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.|\z)){4}"
FULL = rf"\A(?:{GROUP}:){{7}}{GROUP}\z|\A(?:{GROUP}:){{6}}{V4}\z"
SHORTENED = rf"\A(?:{GROUP}(?::{GROUP})*)?::(?:(?:{GROUP}:)*(?:{GROUP}|{V4}))?\z"
GLOBAL = r"\A(?:[23][0-9A-Fa-f]{3}:|64:ff9b:|::ffff:[0-9.]+\z)"
"""Where hosts of the internet are: 2000::/3 (IANA IPv6 address space), 64:ff9b::/96 (RFC 6052), ::ffff:0:0/96."""
LOCAL = r"\A(?:f[cd][0-9A-Fa-f]{2}:|fe[89ab][0-9A-Fa-f]:)"
"""Unique local and link-local addresses: fc00::/7 (RFC 4193), fe80::/10 (RFC 4291)."""
MAPPED = r"::ffff:(?:0\.|127\.|22[4-9]\.|2[3-5][0-9]\.)"
ZONE = r"%[0-9A-Za-z_.-]{1,32}"
NETWORK = r"/(?:[0-9]{1,2}|1[01][0-9]|12[0-7])(?:[^0-9]|\z)"


class IpAddress:
    """What it finds
        Four decimal parts of 0 to 255: `likely` behind a label (IP, 접속, client) or where at least two parts have
        three digits, else `possible`, for a version can look the same. Version 6 in all its forms (RFC 4291), with
        zones (`%eth0`) and mapped version 4: `certain` where it is global, else `possible`.
    What it must not find
        Versions behind a name or label (`Chrome/141.0.0.0`, `v1.2.3.4`), three or five parts, parts with leading zeros,
        networks (`10.0.0.0/8`), loopback, unspecified, multicast and broadcast addresses, times, hardware addresses,
        scopes of C++ and Rust (`std::vector`).
    Legal basis
        Personal data as a part of access records (PIPA Art. 2; Safety Measures Standard Art. 8).
    Known gaps
        A column of versions with four parts is `possible`. Addresses of a home or office network (RFC 1918) are
        `possible` without a label. Ranges (`10.0.0.1-10.0.0.9`) are not taken apart.
    References
        RFC 791, RFC 1918, RFC 4291, RFC 5952, RFC 6890; IANA IPv6 address space registry.
    """

    kind = Kind("ip_address", "IP address", keep=(1, 0))
    headers = frozenset(
        "접속아이피 접속ip 아이피 아이피주소 ip ipaddr ipaddress ipv4 ipv6 clientip remoteaddr remoteip loginip userip "
        "xforwardedfor cntnip".split()
    )
    column = ColumnRule(hinted=0.6, unhinted=None)

    def candidates(self, tokens: Tokens) -> Index:
        four = tokens.with_shape(CODES)
        block = tokens.family(Family.ADDRESS)
        return np.concatenate([four[tokens.gaps[four] == DOTTED], np.arange(block.start, block.stop)])

    def confirm(self, tokens: Tokens, index: Index) -> Judgement:
        block = tokens.family(Family.ADDRESS)
        fours = int(np.count_nonzero(index < block.start))
        four, six = index[:fours], index[fours:]
        end = tokens.end[index]
        confidence = np.concatenate([_version_4(tokens, four), _version_6(tokens, six)])
        zoned = np.flatnonzero((confidence > REJECTED) & (tokens.after[index] == ord("%")))
        end[zoned] += reach(tokens, index[zoned], behind=ZONE)
        return Judgement(confidence, end=end)


def _version_4(tokens: Tokens, index: Index) -> npt.NDArray[np.int8]:
    parts, real = _parts(tokens, index)
    confidence = np.full(len(index), REJECTED, np.int8)
    first, second = parts[0], parts[1]
    real &= (first != THIS_NETWORK) & (first != LOOPBACK) & (first < FIRST_NO_HOST)
    real &= ~in_letters(tokens.after[index]) & ~touches(tokens, index, b"*@")
    confidence[real] = Confidence.POSSIBLE
    home = (first == 10) | ((first == 172) & (second >= 16) & (second < 32)) | ((first == 192) & (second == 168))
    large = np.count_nonzero(parts >= LARGE, axis=0) >= 2
    confidence[real & large & ~home] = Confidence.LIKELY
    found = np.flatnonzero(real & ((tokens.before[index] | tokens.after[index]) != 0))
    part = index[found]
    other = labelled(tokens, part, VERSION, NOT_ALONE)
    named = labelled(tokens, part, LABEL) & ~other
    product = labelled(tokens, part, PRODUCT) & ~large[found] & (tokens.after[part] != ord(":"))
    other |= product & ~named
    confidence[found[named]] = Confidence.LIKELY
    confidence[found[other | (in_letters(tokens.before[part]) & ~named)]] = REJECTED
    return confidence


def _parts(tokens: Tokens, index: Index) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """The four parts (4, tokens), and which tokens have parts up to 255 without leading zeros."""
    data, parts = tokens.text.data, np.empty((4, len(index)), np.int64)
    fits = np.ones(len(index), np.bool_)
    for place in range(4):
        start = tokens.group_start[tokens.mark[index] + place]
        length = (tokens.shape[index] >> (GROUP_BITS * place)) & ((1 << GROUP_BITS) - 1)
        value = (data[start] - 48).astype(np.int64)
        fits &= (value > 0) | (length == 1)
        for step in (1, 2):
            longer = length > step
            digit = data[np.where(longer, start + step, start)] - 48
            value = np.where(longer, value * 10 + digit, value)
        fits &= value <= 255
        parts[place] = value
    return parts, fits


def _version_6(tokens: Tokens, index: Index) -> npt.NDArray[np.int8]:
    confidence = np.full(len(index), REJECTED, np.int8)
    alone = ~(beside_letters(tokens, index) | touches(tokens, index, b"*@"))
    place = np.flatnonzero(alone)
    if not len(place):
        return confidence
    text = tokens.slices(index[place])

    def matches(pattern: str) -> npt.NDArray[np.bool_]:
        found: npt.NDArray[np.bool_] = pc.match_substring_regex(text, pattern, ignore_case=True).to_numpy(
            zero_copy_only=False
        )
        return found

    def count(pattern: str) -> Index:
        found: Index = pc.count_substring_regex(text, pattern).to_numpy()
        return found

    groups = count("[0-9A-Fa-f]+") - 2 * (count(r"\.") > 0)  # the four parts of version 4 fill two groups
    real = matches(FULL) | (matches(SHORTENED) & (groups <= 7))
    real &= ~matches(MAPPED)
    slash = np.flatnonzero(tokens.after[index[place]] == ord("/"))
    real[slash[reach(tokens, index[place[slash]], behind=NETWORK) > 0]] = False
    level = np.where(matches(GLOBAL), np.int8(Confidence.CERTAIN), np.int8(REJECTED))
    level[matches(LOCAL)] = Confidence.POSSIBLE
    confidence[place] = np.where(real, level, np.int8(REJECTED))
    return confidence
