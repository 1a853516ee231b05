"""What protects whole values already: a mask, a hash, the ciphertext of another tool.

Recognised by form alone, and only where the form is unmistakable: a value that is taken for protected is not searched
for personal data. Lengths and first bytes choose candidates in all values at once; RE2 sees candidates alone. Tokens of
pii-guard itself are for `pii_guard.crypto` to judge.

Sources: the modular crypt format and PHC strings as Passlib and Django write them; RFC 2307 and RFC 9106; the Fernet
specification; Vault's transit engine; the message formats of the AWS Encryption SDK; RFC 9580 (OpenPGP) and RFC 7516
(JWE); CipherSweet's message headers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pii_guard.engine.patterns import as_strings
from pii_guard.engine.text import Index, Text
from pii_guard.engine.whole_values import Heads, matching
from pii_guard.model import INDEX

__all__ = ["GUESSABLE", "HMAC", "INDEX", "MASKED", "STATES", "hashes", "is_digest", "is_hash", "protected"]

MASKED = "masked"
DIGEST = "hashed/digest-"
HMAC = "hashed/hmac"

STATES: Mapping[str, str] = {
    MASKED: "masked values",
    "hashed/bcrypt": "bcrypt hashes",
    "hashed/argon2": "Argon2 hashes",
    "hashed/scrypt": "scrypt hashes",
    "hashed/pbkdf2": "PBKDF2 hashes",
    "hashed/sha-crypt": "SHA-crypt hashes",
    "hashed/md5-crypt": "MD5-crypt hashes, which are out of date",
    "hashed/ldap": "LDAP password hashes",
    "hashed/scram": "SCRAM verifiers",
    HMAC: "pseudonyms of pii-guard",
    INDEX: "blind indexes of pii-guard",
    "hashed/digest-32": "unsalted digests of the length of MD5",
    "hashed/digest-40": "unsalted digests of the length of SHA-1",
    "hashed/digest-64": "unsalted digests of the length of SHA-256",
    "hashed/digest-128": "unsalted digests of the length of SHA-512",
    "encrypted/fernet": "Fernet ciphertexts",
    "encrypted/vault": "Vault transit ciphertexts",
    "encrypted/aws-kms": "AWS KMS ciphertexts",
    "encrypted/aws-encryption-sdk": "AWS Encryption SDK messages",
    "encrypted/pgp": "OpenPGP messages",
    "encrypted/age": "age files",
    "encrypted/ciphersweet": "CipherSweet ciphertexts",
    "encrypted/jwe": "JSON Web Encryption objects",
    "encrypted/openssl": "OpenSSL `enc` ciphertexts",
    "encrypted/sops": "SOPS ciphertexts",
}
"""What protects a value -> what such values are called. What stands before a slash is a `model.Protection`."""

GUESSABLE = frozenset(
    "email password kr_phone_mobile kr_phone_fixed kr_rrn kr_alien_registration kr_passport kr_driver_license "
    "kr_bank_account "
    "kr_business_registration kr_corporate_registration kr_health_insurance credit_card date_of_birth "
    "ip_address".split()
)
"""Kinds with so few possible values that a digest of one without a secret is undone by trying them all (2^33 mobile
numbers take seconds), or of which people choose few."""

BASE64, BASE64URL, CRYPT = "[A-Za-z0-9+/]", "[A-Za-z0-9_-]", "[./A-Za-z0-9]"


@dataclass(frozen=True, slots=True)
class _Form:
    """How values of one state look: RE2 over the whole value, and what each of them begins with."""

    state: str
    pattern: str
    heads: tuple[str, ...]


# at least four bytes a head where there are so many, for English words begin with two or three of them
FORMS = (
    _Form("hashed/bcrypt", rf"(?:bcrypt\$|bcrypt_sha256\$)?\$2[abxy]?\$\d\d\${CRYPT}{{53}}", ("$2", "bcrypt")),
    _Form("hashed/argon2", r"(?:argon2)?\$argon2(?:id|i|d)\$[a-zA-Z0-9=,$+/-]{20,}", ("$argon2", "argon2$")),
    _Form(
        "hashed/scrypt",
        r"(?:scrypt[$:][0-9:]+\$|\$scrypt\$|\$7\$|\$y\$)[A-Za-z0-9./+=,$_-]{20,}",
        ("scrypt", "$scrypt", "$7$", "$y$"),
    ),
    _Form(
        "hashed/pbkdf2",
        r"(?:\$?pbkdf2[_:-]?[a-z0-9]*[$:]|\{PBKDF2[A-Z0-9-]*\})[A-Za-z0-9./+=,$:_-]{20,}",
        ("pbkdf2", "$pbkdf2", "{PBKDF2"),
    ),
    _Form("hashed/sha-crypt", rf"\$[56]\$(?:rounds=\d+\$)?[^$]{{0,16}}\${CRYPT}{{43,86}}", ("$5$", "$6$")),
    _Form(
        "hashed/md5-crypt",
        rf"\$(?:1|apr1)\$[^$]{{0,8}}\${CRYPT}{{22}}|\$[PH]\${CRYPT}{{31}}",
        ("$1$", "$apr1", "$P$", "$H$"),
    ),
    _Form(
        "hashed/ldap",
        rf"\{{(?:S?SHA(?:256|384|512)?|S?MD5)\}}{BASE64}{{20,}}=*|\{{CRYPT\}}.{{13,}}",
        ("{SSHA", "{SHA", "{SMD5", "{MD5", "{CRYPT"),
    ),
    _Form("hashed/scram", rf"SCRAM-SHA-(?:1|256|512)\$\d+:{BASE64}+=*\${BASE64}+=*:{BASE64}+=*", ("SCRAM-",)),
    _Form(HMAC, rf"pgh1{BASE64URL}{{51}}", ("pgh1",)),
    _Form(INDEX, rf"pgx1{BASE64URL}{{8}}[a-z2-7]{{1,7}}", ("pgx1",)),
    _Form("encrypted/fernet", rf"gAAAA{BASE64URL}{{91,}}={{0,2}}", ("gAAAA",)),
    _Form("encrypted/vault", rf"vault:v\d+:{BASE64}{{16,}}={{0,2}}", ("vault:v",)),
    _Form("encrypted/aws-kms", rf"AQ[IE]CAH{BASE64}{{80,}}={{0,2}}", ("AQICAH", "AQECAH")),
    _Form("encrypted/aws-encryption-sdk", rf"(?:AYAD|AgV4|AgR4){BASE64}{{100,}}={{0,2}}", ("AYAD", "AgV4", "AgR4")),
    _Form("encrypted/pgp", r"(?s)-----BEGIN PGP MESSAGE-----\s.*", ("-----BEG",)),
    _Form("encrypted/age", r"(?s)-----BEGIN AGE ENCRYPTED FILE-----\s.*", ("-----BEG",)),
    _Form("encrypted/ciphersweet", rf"(?:nacl|brng|fips):{BASE64URL}{{32,}}=*", ("nacl:", "brng:", "fips:")),
    _Form("encrypted/jwe", rf"eyJ{BASE64URL}+\.{BASE64URL}*(?:\.{BASE64URL}+){{3}}", ("eyJ",)),
    _Form("encrypted/openssl", rf"U2FsdGVkX1{BASE64}{{22,}}={{0,2}}", ("U2FsdGVk",)),
    _Form("encrypted/sops", rf"ENC\[AES256_GCM,data:{BASE64}*=*,iv:[^\]]+\]", ("ENC[AES2",)),
)
SHORTEST_FORM = 13

HEX_DIGESTS = (32, 40, 64, 128)
# length -> (length in hexadecimal digits, padding)
BASE64_DIGESTS = {24: (32, 2), 28: (40, 1), 44: (64, 1), 88: (128, 2)}
HEX = np.zeros(256, np.bool_)
HEX[list(b"0123456789abcdefABCDEF")] = True

STAR = ord("*")
HANGUL = 0xEA
"""The least first byte of a Hangul syllable."""
LONGEST_MASK = 160
# stars where the value would be, not beside it: numbers, addresses of mail, names, login ids, places
STARRED = (
    r"(?:\+?[0-9*(][0-9*() .-]{4,}[0-9*]",
    r"[A-Za-z0-9._%+-]{0,12}[*][A-Za-z0-9._%+*-]*@[A-Za-z0-9.*-]+",
    r"[가-힣]{1,2}[*]{1,6}[가-힣]{0,2}",
    r"(?:[가-힣]{2} )?(?:[가-힣]{1,7}[시도군구] ){1,3}(?:[가-힣]{1,7}[읍면동로길] )?[*][* 가-힣-]*",
    r"[A-Za-z][A-Za-z0-9._-]{0,12}[*]{2,}[A-Za-z0-9._-]{0,8}",
    r"(?:[A-Z][a-zA-Z-]* )?[A-Z]?[*]{2,}[a-z]{0,2}(?: [A-Z]?[*]{2,}[a-z]{0,2}){0,2}(?: [A-Z][a-zA-Z-]*)?)",
)
WHOLE_NUMBER = r"(?:[0-9][-. ()]{0,2}){8}[0-9]"
"""Nine digits in a row are not masked, whatever stands behind them."""
# letters, circles or number signs in place of stars, by the length of the value: which byte would be one of them
PLACES = {5: 3, 7: 3, 8: 6, 9: 3, 11: 4, 13: 4, 14: 8, 16: 5, 19: 5}
NAME_LENGTHS = (5, 7, 8, 9)
FILLER = np.zeros(256, np.bool_)
FILLER[[*b"Xx#Oo", 0xE2]] = True
FILLED = (
    r"01[016-9][-. ]?[Xx#]{3,4}[-. ]?[0-9]{4}|[0-9]{6}-[0-9]?[Xx#]{6,7}|"
    r"(?:[0-9]{4}|[Xx#]{4})[- ]?[0-9]{0,2}[Xx#]{2,4}[- ]?[Xx#]{4}[- ]?[0-9]{4}|"
    r"[가-힣](?:[OoXx]{2}|[○●◯]{1,2})|[가-힣](?:[OoXx]|[○●◯])[가-힣]|[가-힣]{2}[OoXx]{2}"
)


def _probe() -> npt.NDArray[np.int64]:
    table = np.full(max(PLACES) + 2, -1, np.int64)
    for length, place in PLACES.items():
        table[length] = place
    return table


PROBE = _probe()
HEADS = Heads(head.encode()[:8] for form in FORMS for head in form.heads)
FORM_HEADS = [Heads(head.encode()[:8] for head in form.heads) for form in FORMS]


def is_hash(state: str) -> bool:
    """Whether this state is a hash of passwords, with a salt; what pii-guard makes with a key is none."""
    return state.startswith("hashed/") and not is_digest(state) and state not in (HMAC, INDEX)


def is_digest(state: str) -> bool:
    """Whether this state is a bare digest."""
    return state.startswith(DIGEST)


def hashes(values: pa.Array) -> npt.NDArray[np.bool_]:
    """Which texts (string) have the form of a password hash; null has not."""
    found = np.zeros(len(values), np.bool_)
    for state, rows in _forms(Text.of(values.fill_null(""))):
        if is_hash(state):
            found[rows] = True
    return found


def protected(text: Text, *, hexadecimal: bool = True, base64: bool = False) -> Iterator[tuple[str, Index]]:
    """(state, rows in that state), any number of times a state; a row is in one state at most.

    `hexadecimal`: whether hexadecimal digits of a digest's length are a digest; under a header of session ids they are
    not. `base64`: whether base64 of such a length is one; only where a header says what was hashed.
    """
    if not len(text.data):
        return
    taken = np.zeros(len(text), np.bool_)
    for state, rows in (*_forms(text), *_masked(text), *_digests(text, hexadecimal, base64)):
        rows = rows[~taken[rows]]
        if len(rows):
            taken[rows] = True
            yield state, rows


def _forms(text: Text) -> Iterator[tuple[str, Index]]:
    near = HEADS.near(text, SHORTEST_FORM)
    if not len(near):
        return
    for form, heads in zip(FORMS, FORM_HEADS, strict=True):
        rows = heads.rows(text, near)
        if len(rows):
            yield form.state, rows[matching(as_strings(text.take(rows)), form.pattern)]


def _masked(text: Text) -> Iterator[tuple[str, Index]]:
    lengths = np.diff(text.offsets)
    starred = text.data == STAR
    if starred.any():
        stars = np.diff(np.searchsorted(np.flatnonzero(starred), text.offsets))
        rows = np.flatnonzero((stars > 0) & (lengths <= LONGEST_MASK))
        # one star hides a syllable of a name; elsewhere it is a footnote or a product
        rows = rows[(stars[rows] >= 2) | (text.data[text.offsets[rows]] >= HANGUL)]
        yield MASKED, rows[matching(as_strings(text.take(rows)), "|".join(STARRED), rf".*{WHOLE_NUMBER}.*")]
    probe = PROBE.take(lengths, mode="clip")
    rows = np.flatnonzero(probe >= 0)
    if len(rows):
        rows = rows[FILLER.take(text.data.take(text.offsets[rows] + probe[rows]))]
    if len(rows):
        hangul = text.data[text.offsets[rows]] >= HANGUL
        rows = rows[hangul == np.isin(lengths[rows], NAME_LENGTHS)]
    if len(rows):
        yield MASKED, rows[matching(as_strings(text.take(rows)), FILLED)]


def _digests(text: Text, hexadecimal: bool, base64: bool) -> Iterator[tuple[str, Index]]:
    lengths = np.diff(text.offsets)
    if hexadecimal:
        for length in HEX_DIGESTS:
            rows = np.flatnonzero(lengths == length)
            for place in (0, length - 1, length // 2):  # a few bytes first: texts of that length end here
                rows = rows[HEX[text.data[text.offsets[rows] + place]]]
            if len(rows):
                digits = text.data[text.offsets[rows][:, None] + np.arange(length)]
                letters = (digits > ord("9")).sum(axis=1)
                yield f"{DIGEST}{length}", rows[HEX[digits].all(axis=1) & (letters >= length // 8)]
    if base64:
        for length, (digits_of, padding) in BASE64_DIGESTS.items():
            rows = np.flatnonzero(lengths == length)
            if len(rows):
                pattern = rf"{BASE64}{{{length - padding}}}={{{padding}}}"
                yield f"{DIGEST}{digits_of}", rows[matching(as_strings(text.take(rows)), pattern)]
