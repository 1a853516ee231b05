"""What protects values already is recognised by form, exactly counted, and never hides a plain value."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from cryptography.fernet import Fernet
from hypothesis import example, given
from hypothesis import strategies as st

from pii_guard import Finding, scan
from pii_guard.detectors import TABLE
from pii_guard.engine.protection import GUESSABLE, MASKED, STATES, is_digest, is_hash, protected
from pii_guard.engine.text import Text
from pii_guard.model import Confidence, Protection
from pii_guard.reports import FieldReport

SALTED = {
    "hashed/bcrypt": [
        "$2b$12$" + "R9h/cIPz0gi.URNNX3kh2O" + "PST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
        "bcrypt$$2b$12$" + "a" * 53,
    ],
    "hashed/argon2": ["$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b5dWRWJTmaaJObG"],
    "hashed/scrypt": [
        "scrypt:32768:8:1$saltsalt$" + "0f" * 64,
        "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E",
        "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7",
    ],
    "hashed/pbkdf2": [
        "pbkdf2_sha256$260000$c2FsdHNhbHQ$vRyUYlVjBAPPkHzBuMaJTBMxMJTBMxMJTBMxMJTBMxM=",
        "pbkdf2:sha256:260000$saltsalt$" + "0f" * 32,
        "$pbkdf2-sha256$6400$.6UI/S.nXIk8jcbdHx3Fhg$98jZicV16ODfEsEZeYPGHU3kbrUrvUEXOPimVSQDD44",
    ],
    "hashed/sha-crypt": ["$6$saltsalt$" + "a" * 86, "$5$rounds=5000$saltsalt$" + "b" * 43],
    "hashed/md5-crypt": ["$1$saltsalt$" + "a" * 22, "$apr1$saltsalt$" + "b" * 22, "$P$B" + "c" * 30],
    "hashed/ldap": ["{SSHA}DkMTwBl+a/3DQTxCYEApdUtNXGgdUac3", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="],
    "hashed/scram": ["SCRAM-SHA-256$4096:c2FsdA==$U3RvcmVkS2V5:U2VydmVyS2V5"],
}
BYTES = base64.b64encode(hashlib.sha512(b"x").digest() * 4).decode()
FOREIGN = {
    "encrypted/fernet": [Fernet(Fernet.generate_key()).encrypt(b"010-1234-5678").decode()],
    "encrypted/vault": ["vault:v1:" + BYTES[:60], "vault:v12:" + BYTES[:38] + "=="],
    "encrypted/aws-kms": ["AQICAHh" + BYTES[:120]],
    "encrypted/aws-encryption-sdk": ["AYADeP" + BYTES[:200], "AgV4cQ" + BYTES[:200]],
    "encrypted/pgp": ["-----BEGIN PGP MESSAGE-----\n\nhQEMA\n=abcd\n-----END PGP MESSAGE-----\n"],
    "encrypted/age": ["-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n-----END AGE ENCRYPTED FILE-----"],
    "encrypted/ciphersweet": ["nacl:" + "Ab-_" * 12, "brng:" + "Ab-_" * 12 + "=", "fips:" + "Ab-_" * 12],
    "encrypted/jwe": ["eyJhbGciOiJSU0EtT0FFUCJ9.OKOawDo1.48V1_ALb6US04U3b.5eym8TW_c8Su.XFBoMYUZodetZdvTiFvSkQ"],
    "encrypted/openssl": ["U2FsdGVkX1" + BYTES[:42] + "=="],
    "encrypted/sops": ["ENC[AES256_GCM,data:Tr7o=,iv:1=,aad:No=,tag:k=,type:str]"],
}
MASKS = (
    "010-****-5678|010 **** 5678|010****5678|+82-10-****-5678|02-***-4567|900101-1******|110-***-******|****1111|"
    "4111-11**-****-1111|1234-****-****-1234|홍*동|홍**|남궁*수|gil***|ho**99|g***@example.com|ab*****@ex*****.com|"
    "서울 강남구 ***|경기도 성남시 ** ***|H*** G******|HONG G******|********|010-XXXX-5678|010-####-5678|"
    "900101-XXXXXXX|900101-1XXXXXX|XXXX-XXXX-XXXX-1111|김OO|홍O동|홍X동|남궁OO|김○○|홍○동"
).split("|")
PLAIN = [
    *(
        "010-1234-5678",
        "010-1234-5678 ***",
        "02-123-4567 **",
        "연락처 01012345678 ***",
        "홍길동 ***",
        "홍길동**",
        "홍길동",
    ),
    *(
        "gildong@example.com",
        "gildong@example.com**",
        "* item",
        "*",
        "2*3",
        "5 * 3",
        "2**10",
        "C*",
        "**굵은 글씨** 입니다",
    ),
    *("문의 **010-1234-5678**", "select * from t", "photo", "hello", "XXL", "OOO", "서울 OO", "xxxx", "900101-1234567"),
    *(
        "$2b$ is bcrypt",
        "$5.00 for the first, $6.00 for the second",
        "vault:v1",
        "brng: a family of generators, see below",
    ),
    *("f47ac10b-58cc-4372-a567-0e02b2c3d479", "12345678901234567890123456789012", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.c2ln"),
    *("AQICAH", "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----", "deadbeef" * 4 + "!", "{SHA}", "md5"),
    "a hexadecimal value of 64 bytes would be here, but words are here",
    *("pgx1 is a prefix", "pgx1TQECAwSl3i2!", "pgx1TQECAwSl", "pgh1", "pgh1AQECAwSOlKuH"),
]
KEYED = {
    "hashed/hmac": ["pgh1AQECAwSOlKuHFnJeGIEVe48P7drQu3aWFLffoKZeg1E9owjwY0M"],
    "hashed/index": ["pgx1TQECAwSl3i2", "pgx1AAECAwT8a", "pgx1H_8A_wA9abcdefg"],
}
EVERY = {**SALTED, **FOREIGN, **KEYED, MASKED: MASKS}


def states(values: Sequence[str], *, hexadecimal: bool = True, base64: bool = False) -> list[str | None]:
    found: list[str | None] = [None] * len(values)
    for state, rows in protected(Text.of(pa.array(values, pa.string())), hexadecimal=hexadecimal, base64=base64):
        for row in rows:
            assert found[row] is None, "a value is in one state"
            found[row] = state
    return found


def report(values: Sequence[str], header: str = "c") -> FieldReport:
    return scan(pa.table({header: values})).fields[0]


def finding(field: FieldReport, kind: str) -> Finding | None:
    return next((finding for finding in field.findings if finding.kind == kind), None)


@pytest.mark.parametrize(("state", "value"), [(state, value) for state, values in EVERY.items() for value in values])
def test_a_form_is_known_whatever_stands_around(state: str, value: str) -> None:
    """Each form is recognised alone and between other values, and leaves those as they are."""
    assert states([value]) == [state]
    assert states(["", *PLAIN, value, "x"]) == [None] * (len(PLAIN) + 1) + [state, None]


@pytest.mark.parametrize("value", PLAIN)
def test_a_plain_value_is_never_taken_for_protected(value: str) -> None:
    """Stars beside a value, words, keys of other kinds: nothing is hidden from detection."""
    assert states([value]) == [None]


@given(st.lists(st.one_of(st.sampled_from([*MASKS, *PLAIN, *(v[0] for v in FOREIGN.values())]), st.text(max_size=20))))
def test_a_value_is_judged_by_itself(values: list[str]) -> None:
    """A column has the states of its values, wherever it is cut."""
    assert states(values) == [state for value in values for state in states([value])]


@given(st.binary(min_size=1, max_size=40))
@example(b"\x91")
def test_digests_of_every_usual_length_are_known(value: bytes) -> None:
    """MD5, SHA-1, SHA-256 and SHA-512 in hexadecimal, in either case; not where a header says session ids.

    One digest of MD5 in some five thousand has fewer letters than an eighth and reads as a long number instead.
    """
    digests = [hashlib.new(name, value).hexdigest() for name in ("md5", "sha1", "sha256", "sha512")]
    states_of = [f"hashed/digest-{len(digest)}" for digest in digests]
    lettered = [sum(map(str.isalpha, digest)) * 8 >= len(digest) for digest in digests]
    expected = [state if enough else None for state, enough in zip(states_of, lettered, strict=True)]
    assert states(digests) == states([digest.upper() for digest in digests]) == expected
    assert states(digests, hexadecimal=False) == [None] * 4
    encoded = [base64.b64encode(bytes.fromhex(digest)).decode() for digest in digests]
    assert states(encoded, base64=True) == states_of
    assert states(encoded) == [None] * 4


def test_every_state_has_its_words() -> None:
    """States are named once, belong to a protection, and every kind called guessable exists."""
    assert set(EVERY) | {state for state in STATES if is_digest(state)} == set(STATES)
    assert {state.partition("/")[0] for state in STATES} == {"masked", "hashed", "encrypted"}
    assert all(is_hash(state) for state in SALTED)
    assert not any(is_hash(state) for state in KEYED)
    assert set(TABLE) >= GUESSABLE


def test_a_masked_column_is_masked_and_nothing_else() -> None:
    """No hit of a kind, no personal finding, the exact count in words."""
    field = report(["010-****-5678"] * 9 + ["010-****-0000"], "phone")
    assert field.protection is Protection.MASKED
    assert [(found.kind, found.personal, found.hits) for found in field.findings] == [("masked_value", False, 10)]
    assert field.findings[0].evidence == ("10 of 10 values are masked",)
    assert field.tally.kinds["kr_phone_mobile"].shaped == 0


def test_a_few_masked_values_leave_a_finding_as_it_is() -> None:
    """Ninety plain numbers beside ten masked ones: a mixed column of ninety, all of which are in the clear."""
    field = report([f"010-1234-{n:04d}" for n in range(90)] + ["010-****-5678"] * 10, "phone")
    found = finding(field, "kr_phone_mobile")
    assert found is not None
    assert (found.hits, found.examined, found.protection) == (90, 100, Protection.MIXED)
    assert found.evidence[-2:] == ("10 of 100 values are masked values", "90 of 100 values are plain")


@pytest.mark.parametrize("header", ["phone_hash", "휴대폰", "email", "생년월일", "rrn"])
def test_digests_of_guessable_values_are_called_reversible(header: str) -> None:
    """Under a header of a kind with few possible values a digest is a finding of that kind, hashed and reversible."""
    digests = [hashlib.sha256(f"010-1234-{n:04d}".encode()).hexdigest() for n in range(10)]
    (found,) = report(digests, header).findings
    assert found.kind in GUESSABLE
    assert (found.confidence, found.personal, found.protection) == (Confidence.LIKELY, True, Protection.HASHED)
    assert found.hits == 10
    assert any("reversible" in reason for reason in found.evidence)
    assert "10 of 10 values are unsalted digests of the length of SHA-256" in found.evidence


def test_digests_under_other_headers_are_no_finding() -> None:
    """A checksum of a file is hashed, and nobody's data."""
    field = report([hashlib.sha1(bytes([n])).hexdigest() for n in range(10)], "commit")  # noqa: S324
    assert (field.protection, field.findings) == (Protection.HASHED, ())


def test_digests_in_base64_need_their_header() -> None:
    """Base64 of 32 bytes is a digest under `email_sha256`, and anything under `payload`."""
    values = [base64.b64encode(hashlib.sha256(bytes([n])).digest()).decode() for n in range(10)]
    assert report(values, "email_sha256").protection is Protection.HASHED
    assert report(values, "payload").protection is Protection.PLAIN


@pytest.mark.parametrize(("state", "words"), [("hashed/bcrypt", "bcrypt hashes"), ("hashed/argon2", "Argon2 hashes")])
def test_the_evidence_on_passwords_names_the_scheme(state: str, words: str) -> None:
    """Hashed passwords are passwords, hashed; some plain ones among them are counted as such."""
    hashed = SALTED[state][0]
    (found,) = report([hashed] * 5, "password").findings
    assert (found.kind, found.protection, found.hits) == ("password", Protection.HASHED, 5)
    assert f"5 of 5 values are {words}" in found.evidence
    (found,) = report([hashed] * 5 + ["hunter2"], "password").findings
    assert (found.protection, found.hits) == (Protection.MIXED, 1)
    assert found.evidence[0] == "1 of 6 values are not hashed"
    assert found.samples == ("********",)


@pytest.mark.parametrize("state", FOREIGN)
def test_ciphertext_of_others_is_an_encrypted_value(state: str) -> None:
    """Its kind is for its tag to say; the tool is named."""
    (found,) = report(FOREIGN[state] * 3).findings
    assert (found.kind, found.protection, found.personal) == ("encrypted_value", Protection.ENCRYPTED, True)
    assert STATES[state] in found.evidence[0]


def test_counts_of_states_weigh_and_add_up() -> None:
    """Repeated values count as often as they occur; parts of a column give the counts of the whole."""
    values = [MASKS[0]] * 5_000 + [FOREIGN["encrypted/vault"][0]] * 3_000 + ["010-1234-5678"] * 2_000
    table = pa.table({"phone": values})
    whole = scan(table).fields[0].tally
    assert whole.protected == {"masked": 5_000, "encrypted/vault": 3_000}
    assert whole.states == {Protection.PLAIN: 2_000, Protection.MASKED: 5_000, Protection.ENCRYPTED: 3_000}
    parts = [scan(table.slice(start, 2_500)).fields[0].tally for start in range(0, 10_000, 2_500)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    assert total == whole


def test_slices_and_invalid_text_do_no_harm() -> None:
    """A slice of a column, empty values and broken UTF-8 are judged like any other."""
    column = pa.array([b"\xff*\xfe**", b"", b"\xea*", MASKS[0].encode(), b"*" * 500], pa.binary())[1:]
    found = [(state, rows.tolist()) for state, rows in protected(Text.of(column))]
    assert found == [(MASKED, [2])]
    assert np.array_equal(Text.of(column).offsets[:2], [0, 0])
