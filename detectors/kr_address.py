"""Korean addresses, as columns."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pii_guard.engine.detection import ColumnRule
from pii_guard.engine.whole_values import Heads, beginning
from pii_guard.model import Kind

__all__ = ["Address"]

TABLE_DATE = "2024-01-18"
"""PROVINCES are those since the Jeonbuk State came to be; names before a change stay in use and stay in the table."""
# short form -> long forms
PROVINCES = {
    "서울": "서울특별시 서울시",
    "부산": "부산광역시 부산시",
    "대구": "대구광역시 대구시",
    "인천": "인천광역시 인천시",
    "광주": "광주광역시 광주시",
    "대전": "대전광역시 대전시",
    "울산": "울산광역시 울산시",
    "세종": "세종특별자치시 세종시",
    "경기": "경기도",
    "강원": "강원특별자치도 강원도",  # since 2023-06-11
    "충북": "충청북도",
    "충남": "충청남도",
    "전북": "전북특별자치도 전라북도 전북도",  # since 2024-01-18
    "전남": "전라남도",
    "경북": "경상북도",
    "경남": "경상남도",
    "제주": "제주특별자치도 제주도",
}
ROMAN_PROVINCES = (
    "Seoul Busan Daegu Incheon Gwangju Daejeon Ulsan Sejong Sejong-si Gyeonggi-do Gangwon-do Gangwon-State "
    "Chungcheongbuk-do Chungcheongnam-do Jeollabuk-do Jeonbuk-State Jeollanam-do Gyeongsangbuk-do Gyeongsangnam-do "
    "Jeju-do"
).split()

NAMES = sorted((name for short, long in PROVINCES.items() for name in (short, *long.split())), key=len, reverse=True)
POSTCODE = r"(?:[(\[]?(?:[0-9]{5}|[0-9]{3}-[0-9]{3})[)\]]?,? *)?"
PROVINCE = f"(?:{'|'.join(NAMES)})"
DISTRICT = r"(?:[가-힣]{1,6}[시군구])"
REGION = rf"(?:{PROVINCE}(?: +{DISTRICT}){{1,3}}|세종(?:특별자치시|시)?|{DISTRICT}(?: +{DISTRICT}){{0,2}})"
VILLAGE = r"(?: +[가-힣]{1,6}[0-9]{0,2}[읍면])?(?: +[가-힣]{1,6}[0-9]{0,2}[동리])?"
ROAD = r"[가-힣0-9A-Za-z·.]+(?:대로|로|길)(?: ?[0-9]+(?:번|가|나|다|라|마|바)?길)?(?: ?[0-9]+번안길)?"
NUMBER = r"(?:지하 ?)?[0-9]{1,5}(?:-[0-9]{1,4})?"
LOT = r"[가-힣]{1,8}[0-9]{0,2}(?:동|가|리|읍|면)[0-9]{0,2}(?:가)? +(?:산 ?)?[0-9]{1,4}(?:-[0-9]{1,4})?(?:번지)?"
KOREAN = rf"{POSTCODE}{REGION}{VILLAGE} +(?:{ROAD} ?{NUMBER}|{LOT})(?:[ ,(]|\z)"
# the second line of a form
DETAIL = r"(?:[가-힣A-Za-z0-9()·. ]{1,30}[ ,]+)?[0-9A-Za-z가-힣]{1,5}동 ?[0-9]{1,4}호"
ROMAN = (
    r"(?:[0-9A-Za-z#-]+,? )?[0-9]{1,5}(?:-[0-9]{1,4})?,? [A-Z][A-Za-z0-9'-]*-?(?:ro|gil|daero|dong|ri|ga)"
    r"(?: ?[0-9]+(?:beon)?-?gil)?,? (?:[A-Z][A-Za-z-]*-(?:gu|si|gun|eup|myeon|dong),? ){1,3}"
    rf"(?:{'|'.join(ROMAN_PROVINCES)})(?:,? [0-9]{{5}})?(?:,? (?:Republic of |South )?Korea)?"
)
PATTERN = rf"{KOREAN}|(?:{DETAIL}|{ROMAN})\s*\z"
NOT_PLACES = frozenset(
    "ip mac email mail e url web site host net network wallet memory server dns gateway 이메일 메일 전자우편 아이피 "
    "웹 홈페이지 "
    "사이트 지갑 맥".split()
)


class Address:
    """What it finds
        Columns of addresses by road (`서울특별시 강남구 테헤란로 9999, 101동 1203호`) or by lot
        (`충청남도 천안시 서북구 불당동 9999`): under a header such as 주소, addr or 배송지 when half of the values
        have a district, a road or village and a number; without one when they begin with a province as well.
    What it must not find
        Regions, districts or roads alone, postcodes, particles before numbers (`서버로 2 대`, `진행으로 1`),
        `분당 120회`, addresses of pages, mail and machines.
    Legal basis
        Personal data (PIPA Art. 2).
    Known gaps
        Addresses inside sentences; company addresses are found as well. In Latin letters by header only.
    References
        Road Name Address Act; the names of the 17 provinces as of 2024-01-18.
    """

    kind = Kind("kr_address", "Korean address", keep=(2, 0))
    headers = frozenset(
        "주소 도로명주소 지번주소 상세주소 기본주소 배송지 배송주소 거주지 거주지주소 집주소 자택주소 직장주소 "
        "소재지 본적 주소1 주소2 "
        "addr address addr1 addr2 roadaddr roadaddress jibunaddr jibunaddress daddr detailaddr detailaddress "
        "homeaddr homeaddress shipaddr shippingaddress deliveryaddress billingaddress streetaddress rcveraddr "
        "residence".split()
    )
    column = ColumnRule(hinted=0.5, unhinted=0.5, sparse=False, unless=NOT_PLACES)
    heads = Heads(name.encode()[:6] for name in NAMES)

    def matches(self, values: pa.Array) -> npt.NDArray[np.bool_]:
        return beginning(values, PATTERN)
