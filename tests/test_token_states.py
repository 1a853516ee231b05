"""A scan tells what values that begin like tokens are: by their form, by public key ids, row by row by marker keys."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cli_runner import Result, run
from hypothesis import given
from hypothesis import strategies as st

from pii_guard.crypto.recognition import Known, _readable
from pii_guard.crypto.token import encrypt_column, find_tokens
from pii_guard.detectors import select
from pii_guard.keys.destruction import destroy
from pii_guard.keys.keyring import Keyring
from pii_guard.keys.markers import KnownKeys, export_markers
from pii_guard.keys.selection import Selection
from pii_guard.scanner import scan_data

PHONE, EMAIL = "data.phone", "data.email"
PURPOSES = ["delivery"]


@pytest.fixture
def ring(tmp_path: Path) -> Keyring:
    return Keyring.create(tmp_path / "ring")


def tokens(ring: Keyring, count: int, field: str = PHONE) -> list[str]:
    values = pa.array([f"010-1234-{number:04}" for number in range(count)])
    column: list[str] = encrypt_column(values, ring.encryption_key(field, "contract", PURPOSES)).to_pylist()
    return column


def pasted(token: str, text: bytes = b"gildong@example.com, 010-1234-5678, 900101-1234567. Hello.") -> str:
    """The head of a token before base64 of plain text, as long as a token."""
    raw = base64.urlsafe_b64decode(token)
    return base64.urlsafe_b64encode(raw[:9] + (text * 10)[: len(raw) - 9]).decode()


def states(values: list[str | None], known: KnownKeys | None, field: str = "phone") -> dict[str, int]:
    report = scan_data(pa.table({field: values}), detectors=select(), known=Known(known) if known else None)
    return dict(report.fields[0].tally.token_states)


def mixture(ring: Keyring) -> list[str | None]:
    """One of each kind among a hundred tokens."""
    good, other, doomed = tokens(ring, 104), tokens(ring, 2, EMAIL), tokens(ring, 3, "data.memo")
    destroy(ring, Selection(field="data.memo"))
    stranger = Keyring.create(ring.directory.with_name("stranger"))
    changed = good[3][:40] + ("A" if good[3][40] != "A" else "B") + good[3][41:]
    return [
        *good[4:],
        *other,
        *doomed,
        tokens(stranger, 1)[0],
        changed,
        pasted(good[0]),
        pasted(good[0], "홍길동의 전화번호는 공일공 일이삼사 오육칠팔 입니다".encode()),
        good[1][:-8],
        good[2][:13],
        good[2] + "AAAA",
        "010-1234-5678",
        None,
        "",
    ]


def test_without_keys_the_form_is_told_from_encodings_and_fragments(ring: Keyring) -> None:
    """What is base64 of text behind a head, and what is cut off, is told without any key; the rest looks encrypted."""
    assert states(mixture(ring), None) == {"looks": 107, "text": 2, "broken": 3}


def test_the_public_part_tells_fields_and_destroyed_keys(ring: Keyring) -> None:
    """With keyring.json alone: keys of this field, of another, destroyed and unknown ones. Nothing is verified."""
    values = mixture(ring)
    (ring.directory / "root.secret").unlink()
    assert states(values, KnownKeys.public(ring.directory)) == {
        "known": 101,
        "other-field/data.email": 2,
        "destroyed": 3,
        "unknown-key": 1,
        "text": 2,
        "broken": 3,
    }


@pytest.mark.parametrize("exported", [True, False], ids=["marker file", "open directory"])
def test_marker_keys_verify_row_by_row(ring: Keyring, tmp_path: Path, exported: bool) -> None:
    """With marker keys a changed token is told from a verified one; they come from an open directory or a file."""
    values = mixture(ring)
    if exported:
        assert export_markers(ring, tmp_path / "markers.json") == 2
        (ring.directory / "keyring.json").unlink()
    known = KnownKeys.exported(tmp_path / "markers.json") if exported else KnownKeys.opened(ring)
    assert states(values, known) == {
        "verified": 100,
        "other-field/data.email": 2,
        "destroyed": 3,
        "unknown-key": 1,
        "forged": 1,
        "text": 2,
        "broken": 3,
    }


def test_one_plain_row_among_a_million(ring: Keyring) -> None:
    """999,999 verified tokens and one number in the clear: the counts are exact."""
    column = pa.array(tokens(ring, 10_000) * 100)
    million = pa.chunked_array([column.slice(0, 999_999), pa.array(["010-1234-5678"])])
    known = Known(KnownKeys.opened(ring))
    report = scan_data(pa.table({"phone": million}), detectors=select(), known=known)
    tally = report.fields[0].tally
    assert (tally.token_states, tally.tokens, tally.plain) == ({"verified": 999_999}, 999_999, 1)
    assert report.fields[0].protection == "mixed"


def test_dictionaries_and_batches_count_alike(ring: Keyring) -> None:
    """A dictionary is judged once and counted as often as it occurs; batches add up."""
    values = mixture(ring)
    known = Known(KnownKeys.opened(ring))
    whole = states(values, known.keys)  # type: ignore[arg-type]
    table = pa.table({"phone": pa.array(values * 3).dictionary_encode()})
    report = scan_data(table, detectors=select(), known=known)
    assert report.fields[0].tally.token_states == {state: 3 * count for state, count in whole.items()}
    batches = pa.Table.from_batches(pa.table({"phone": values}).to_batches(max_chunksize=7))
    assert scan_data(batches, detectors=select(), known=known).fields[0].tally.token_states == whole


def test_a_tag_or_a_sidecar_says_which_field_it_is(ring: Keyring) -> None:
    """A table of another name is of its tag's field, or of the one that the sidecar names."""
    column = pa.table({"mobile": tokens(ring, 3)})
    keys = KnownKeys.opened(ring)
    for known, expected in (
        (Known(keys), {"other-field/data.phone": 3}),
        (Known(keys, {"data.mobile": PHONE}), {"verified": 3}),
    ):
        report = scan_data(column, detectors=select(), known=known)
        assert report.fields[0].tally.token_states == expected


def test_the_spread_of_bytes_tells_ciphertext_from_encodings(ring: Keyring) -> None:
    """Chi-square over the number of bytes is small for tokens, copies of few tokens aside, and large for encoded
    data of any kind that is no UTF-8."""
    good = tokens(ring, 300)
    text = "고객 번호 010-1234-5678".encode("cp949")
    for values, low, high in (
        (good, 0.0, 0.1),
        (good[:60] * 50, 0.0, 0.3),
        ([pasted(token, bytes([200 + number % 50]) + text) for number, token in enumerate(good)], 3.0, 99.0),
    ):
        tally = scan_data(pa.table({"phone": values}), detectors=select()).fields[0].tally
        assert tally.chi_square is not None
        assert low <= tally.chi_square <= high
    for few in (good[:9], [good[0]] * 300):
        assert scan_data(pa.table({"phone": few}), detectors=select()).fields[0].tally.chi_square is None


@given(st.lists(st.one_of(st.binary(min_size=45, max_size=45), st.text(min_size=45).map(str.encode)), max_size=20))
def test_readable_is_what_python_decodes(bodies: list[bytes]) -> None:
    """Whatever Python decodes as UTF-8, up to a last character that is cut, is readable; random bytes are not."""

    def oracle(body: bytes) -> bool:
        try:
            body.decode()
        except UnicodeDecodeError as error:
            return error.end == len(body) and error.reason == "unexpected end of data"
        return True

    fixed = [body[:45] for body in bodies]
    found = _readable(np.frombuffer(b"".join(fixed), np.uint8).reshape(-1, 45))
    for body, readable in zip(fixed, found.tolist(), strict=True):
        assert readable or not oracle(body)
        if not {0xE0, 0xED, 0xF0, 0xF4} & {*body}:  # after these not every byte may follow; it is enough to come near
            assert readable == oracle(body)


@pytest.fixture
def desk(tmp_path: Path, ring: Keyring) -> Path:
    """A protected table of one phone column with one of each, and its marker file."""
    values = mixture(ring)
    pq.write_table(pa.table({"phone": values}), tmp_path / "data.parquet")
    (tmp_path / "good").mkdir()
    pq.write_table(pa.table({"phone": tokens(ring, 50)}), tmp_path / "good" / "data.parquet")
    export_markers(ring, tmp_path / "markers.json")
    (tmp_path / "pii-guard.toml").write_text(
        'version = 1\n[purposes.delivery]\ntitle = "D"\n[retention.contract]\nperiod = "P5Y"\n'
        '[[fields]]\nmatch = "data.*"\npurposes = ["delivery"]\nretention = "contract"\n'
    )
    return tmp_path


def checked(desk: Path, name: str, *options: str) -> tuple[Result, list[tuple[str, str]]]:
    result = run("check", name, *options, "--format", "json", "--quiet", cwd=desk)
    return result, [(item["rule"], item["message"]) for item in json.loads(result.stdout)["violations"]]


def test_check_fails_on_each_of_them(desk: Path) -> None:
    """Tokens of another field, under lost keys, forged, encoded and cut off are violations of rules of their own."""
    ways: list[tuple[str, ...]] = [("--markers", "markers.json"), ("--keys", "ring", "--verify")]
    for options in ways:
        result, found = checked(desk, "data.parquet", *options)
        assert result.code == 1
        rules = [rule for rule, _ in found if rule != "PG001"]
        assert rules == ["PG060", "PG061", "PG061", "PG062", "PG062", "PG062"]
        assert "holds tokens of other fields: 2 of data.email" in str(found)
        assert "3 of 113 values are tokens of a destroyed key" in str(found)
    result, found = checked(desk, "data.parquet")
    assert [rule for rule, _ in found if rule != "PG001"] == ["PG062", "PG062"]
    for options in (*ways, ("--keys", "ring"), ()):
        assert checked(desk, "good/data.parquet", *options)[0].code == 0


def test_scan_reports_the_counts(desk: Path) -> None:
    """The report has them as numbers, as evidence, and in the table; without keys it says of tokens what it said."""
    report = json.loads(run("scan", "data.parquet", "--markers", "markers.json", "--format", "json", cwd=desk).stdout)
    (entry,) = [entry for entry in report["fields"] if entry["kind"] == "encrypted_value"]
    assert entry["tokens"]["verified"] == 100
    assert entry["tokens"]["other-field/data.email"] == 2
    assert "3 of 113 values are tokens of a destroyed key, unreadable for everybody" in str(entry["evidence"])
    table = run("scan", "data.parquet", "--markers", "markers.json", cwd=desk).stdout
    assert "100 verified" in table
    assert "1 forged" in table
    for form in ("jsonl", "csv"):
        assert "verify" in run("scan", "data.parquet", "--markers", "markers.json", "--format", form, cwd=desk).stdout
    plain = json.loads(run("scan", "good/data.parquet", "--format", "json", cwd=desk).stdout)
    assert "tokens" not in plain["fields"][0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--verify",), "--verify opens a key directory: name it with --keys"),
        (("--keys", "ring", "--markers", "markers.json"), "give one of --keys and --markers"),
        (("--markers", "none.json"), "none.json: the marker file cannot be read: No such file"),
        (("--markers", "broken.json"), "broken.json: damaged, not JSON"),
        (("--keys", "nowhere"), "nowhere: no key directory is here"),
    ],
)
def test_bad_calls(desk: Path, options: tuple[str, ...], message: str) -> None:
    """One line, exit 2, before anything is read."""
    (desk / "broken.json").write_text("{")
    (desk / "broken.json").chmod(0o600)
    for command in ("scan", "check"):
        result = run(command, "data.parquet", *options, cwd=desk)
        assert (result.code, result.stdout) == (2, "")
        assert message in result.stderr


def test_a_pasted_head_is_no_token_of_ours(ring: Keyring) -> None:
    """It has the form, so that the form alone proves nothing."""
    assert find_tokens(pa.array([pasted(tokens(ring, 1)[0])])).to_pylist() == [True]
