"""Korean names in Latin letters, as columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pii_guard.detectors.person_name_ko import NOT_PERSONS
from pii_guard.engine.detection import ColumnRule
from pii_guard.engine.whole_values import matching
from pii_guard.model import Kind

__all__ = ["RomanName"]

# spellings in use of the frequent surnames; a longer one before one that it begins with
SURNAMES = (
    "Kim Gim Lee Yi Rhee Ri Park Pak Bak Choi Choe Chung Jeong Jung Kang Gang Cho Jo Yoon Yun Chang Jang Lim Rhim Rim "
    "Yim Im Han Oh Suh Seo So Shin Sin Kwon Gwon Hwang Ahn An Song Jeon Jun Chun Hong Ryu Yoo You Yu Koh Ko Go Moon "
    "Mun Yang Sohn Son Bae Baek Paik Paek Heo Hur Huh Nam Shim Sim Noh Roh Ha Kwak Gwak Seong Sung Cha Joo Ju Woo Wu "
    "Koo Gu Ku Na Ra Min Jin Ji Eom Um Chae Won Cheon Bang Kong Gong Hyun Hyeon Ham Byun Byeon Yeom Yum Yeo Choo Chu "
    "Do Seok Sun Sul Seol Ma Gil Kil Yeon Wi Pyo Myung Myeong Ki Ban Wang Keum Ok Yook In Maeng Je Mo Tak Kuk Eun Pyun "
    "Yong Ye Namgung Namkung Hwangbo Jegal Sagong Sunwoo Seonwoo Seomoon Dokgo Tokgo"
).split()
SYLLABLE = (
    "(?:kk|gg|tt|dd|pp|bb|ss|sh|jj|ch|[kgndtrlmbpsjhyw])?"
    "(?:yae|yeo|wae|eui|yoo|you|eo|eu|ae|oe|oo|ou|ee|ea|ui|uh|ya|ye|yo|yu|wa|we|wi|wo|[aeiou])"
    "(?:ng|ck|[kgntlmpbhr])?"
)
SURNAME = f"(?:{'|'.join(sorted(SURNAMES, key=len, reverse=True))})"
GIVEN = f"{SYLLABLE}(?:[- ]?{SYLLABLE}){{0,2}}"
INITIALS = r"[A-Z]\.?(?:[ -]?[A-Z]\.?)?"
PATTERN = f"(?i)(?:(?:{GIVEN}|(?-i:{INITIALS})) {SURNAME}|{SURNAME}(?:,? |,)(?:{GIVEN}|(?-i:{INITIALS})))"
SMALL_LETTER = r"(?:.*[\s,.])?[a-z].*"
# English words that are built of Korean syllables
WORDS = (
    r"(?i).*\b(?:data|name|home|base|item|sale|menu|page|note|game|time|date|size|model|hotel|market|bank|korea|seoul|"
    r"busan|mobile|line|team|media|radio|house|mall|total|net|one|top|more|none|area|mode|rate|pair|gate|temple|tea|"
    r"bar|inn|pool|lake|hall)\b.*"
)


class RomanName:
    """What it finds
        Columns headed 영문명, name_en, name, holder and the like, half of whose values are a Korean surname in one of
        its spellings and a given name of Korean syllables, in any order: `Gil-dong Hong`, `HONG GILDONG`,
        `Hong, Gildong`, `Lee Young Hee`, `Y. H. Lee`.
    What it must not find
        Places, streets, companies and words around a surname (`Han River`, `Park Avenue`, `Data Park`); names of
        products under headers that say so.
    Legal basis
        Personal data (PIPA Art. 2).
    Known gaps
        By header only. Surnames and given names in columns of their own; spellings outside the list; names of people
        from elsewhere.
    References
        Revised Romanization of Korean (2000); spellings in passports.
    """

    kind = Kind("person_name_roman", "Korean name in Latin letters", keep=(1, 0))
    headers = frozenset(
        "영문명 영문이름 영문성명 여권영문명 로마자성명 고객영문명 성명 성명영문 이름 고객명 회원명 예금주 담당자 "
        "수령인 수취인 대표자 "
        "name nameen namerom engnm engname englishname romanname passportname fullname username custnm custname "
        "customername mbrnm membername holder cardholder cardholdername acctholder depositor receiver recipient "
        "sender contactname empnm passengername guestname nm".split()
    )
    column = ColumnRule(hinted=0.5, unhinted=None, sparse=False, unless=NOT_PERSONS)
    heads = None

    def matches(self, values: pa.Array) -> npt.NDArray[np.bool_]:
        return matching(values, PATTERN, SMALL_LETTER, WORDS, first=b" ABCDEFGHIJKLMNOPQRSTUVWXYZ")
