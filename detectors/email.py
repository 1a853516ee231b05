"""E-mail addresses."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc

from pii_guard.detectors.surroundings import labelled, touches
from pii_guard.engine.detection import REJECTED, ColumnRule, Judgement
from pii_guard.engine.text import Index
from pii_guard.engine.tokens import Family, Tokens
from pii_guard.model import Confidence, Kind

__all__ = ["Email"]

ATOM = r"[A-Za-z0-9_%+-]+"
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
ADDRESS = rf"\A{ATOM}(?:\.{ATOM})*@(?:{LABEL}\.)+[A-Za-z]{{2,24}}\z"
# `icon@2x.png` is a picture, `app@db.internal` a host: endings that no top-level domain has (IANA list, 2026-10)
NOT_A_DOMAIN = (
    r"(?i)\.(?:png|jpe?g|gif|svg|webp|ico|bmp|tiff?|css|jsx?|tsx?|json|html?|php|xml|ya?ml|pdf|gz|tar|mp[34]|woff2?|"
    r"internal|local|localhost|localdomain|lan)\z"
)
REPOSITORY_USER = r"\A(?:git|hg|svn)@"
IN_URL = r"://[^\s/@]*\z"
LONGEST_LOCAL, LONGEST = 64, 254  # RFC 5321, 4.5.3.1


class Email:
    """What it finds
        Addresses of RFC 5321 form with a domain of two labels or more, also with a Korean particle glued on
        (`hong@example.com으로`).
    What it must not find
        Handles (`@hong`), package versions (`left-pad@1.3.0`), picture names (`icon@2x.png`), repository addresses
        (`git@host:path`), user names and passwords in URLs, masked addresses.
    Legal basis
        Personal data (PIPA Art. 2); in transit and on staff PCs to be encrypted (Safety Measures Standard Art. 7).
    Known gaps
        Quoted local parts; Korean top-level domains and Hangul local parts. Any top-level domain of letters passes.
    References
        RFC 5321 sections 4.1.2 and 4.5.3.1.
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
        text = tokens.slices(index[fits])
        good = pc.and_not(
            pc.match_substring_regex(text, ADDRESS), pc.match_substring_regex(text, NOT_A_DOMAIN)
        ).to_numpy(zero_copy_only=False)
        fits, text = fits[good], text.filter(good)
        if len(fits):
            repository = pc.match_substring_regex(text, REPOSITORY_USER).to_numpy(zero_copy_only=False)
            repository &= (tokens.after[index[fits]] == ord(":")) | (tokens.after[index[fits]] == ord("/"))
            in_url = (tokens.before[index[fits]] == ord(":")) & labelled(tokens, index[fits], IN_URL)
            confidence[fits[~repository & ~in_url]] = Confidence.CERTAIN
        return Judgement(confidence)
