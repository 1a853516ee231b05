"""How fast is detection? Ours against presidio's analyzer and pyarrow's RE2, with the same kinds, in one process.

    python benchmarks/detect.py [--rows 1000000] [--presidio-rows 300] [--sweep 100000 1000000 10000000]

Presidio runs twice: with patterns for the six kinds that the table holds, against ours for the same kinds, and with
patterns for every kind of ours that has a shape, against all of ours. It looks at values alone, ours at headers too.

The table is that of `table.py`: 15 text columns of a shop, six of them personal data. The hits of every engine are
compared with what the table was made of before anything is timed. Times are CPU seconds of one thread, the median of
five interleaved rounds; machines differ and are shared, so read the ratios. Presidio is timed on its first rows and
scaled: its cost per value does not depend on how many there are (shown by the second, larger sample).

RE2 does less than the others: it says which rows match, without spans, check digits or context.
Then: the rate of each column alone, of either lexer alone, what each kind costs over the whole table, and with --sweep
whether time is linear.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
from collections.abc import Callable, Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc
import table as shop

from pii_guard.detectors import TABLE, select
from pii_guard.engine.detection import Detector
from pii_guard.engine.lexer import LEXER, choose
from pii_guard.engine.text import Text
from pii_guard.errors import UsageError
from pii_guard.scanner import scan_data

# the shapes of the table's hits, for engines of regular expressions; names have no pattern
PATTERNS = {
    "email": r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}",
    "kr_phone_mobile": r"01[016789][- .]?[0-9]{3,4}[- .]?[0-9]{4}",
    "credit_card": r"[3-69][0-9]{3}[- ]?[0-9]{4}[- ]?[0-9]{4}[- ]?[0-9]{4}",
    "kr_rrn": r"[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])-[1-4][0-9]{6}",
    "kr_bank_account": r"[0-9]{3}-[0-9]{3}-[0-9]{6}",
    "kr_phone_fixed": r"0(?:2|[3-6][1-5]|70|50[2-8])[)-][0-9]{3,4}-[0-9]{4}",
}
# of the other kinds those that have a shape at all; the rest is known by headers, which presidio does not have
MORE_PATTERNS = {
    "kr_alien_registration": r"[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])-[5-8][0-9]{6}",
    "kr_corporate_registration": r"[0-9]{6}-[0-9]{7}",
    "kr_business_registration": r"[0-9]{3}-[0-9]{2}-[0-9]{5}",
    "ip_address": r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}|(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}",
    "kr_phone_service": r"1[568][0-9]{2}-[0-9]{4}|080-[0-9]{3,4}-[0-9]{4}",
    "kr_driver_license": r"[0-9]{2}-[0-9]{2}-[0-9]{6}-[0-9]{2}",
    "kr_passport": r"[MSROD][0-9]{8}|[MSROD][0-9]{3}[A-Z][0-9]{4}",
    "kr_health_insurance": r"[1-9]-?[0-9]{10}",
    "date_of_birth": r"(?:19|20)[0-9]{2}[-./](?:0?[1-9]|1[0-2])[-./](?:0?[1-9]|[12][0-9]|3[01])",
    "person_name_ko": r"[김이박최정강조윤장임한오서신권황안송류홍전고문양배백허유남심노하성차주우구민진][가-힣]{1,2}",
    "kr_address": r"[가-힣]+(?:시|도)\s[가-힣]+(?:구|군|시)\s[가-힣0-9]+(?:로|길|동)\s?[0-9-]+",
}
ALONE = r"(?<![0-9A-Za-z-]){}(?![0-9A-Za-z-])"
SAME, ALL = "pii-guard, same kinds", f"pii-guard, all {len(TABLE)} kinds"
PRESIDIO, MORE = f"presidio, {len(PATTERNS)} kinds", f"presidio, {len(PATTERNS) + len(MORE_PATTERNS)} kinds"
ROUNDS = 5


def ours(table: pa.Table, kinds: Iterable[str] = ()) -> dict[tuple[str, str], int]:
    report = scan_data(table, detectors=select(kinds))
    return {(field.field.path, finding.kind): finding.hits for field, finding in report.findings}


def re2(table: pa.Table) -> int:
    alternation = "|".join(f"(?:(?:^|[^0-9A-Za-z]){pattern}(?:$|[^0-9A-Za-z]))" for pattern in PATTERNS.values())
    return sum(pc.sum(pc.match_substring_regex(column, alternation)).as_py() or 0 for column in table.columns)


def presidio_analyzer(patterns: Mapping[str, str]) -> Callable[[pa.Table], dict[str, int]]:
    from presidio_analyzer import AnalyzerEngine, Pattern, PatternRecognizer, RecognizerRegistry
    from presidio_analyzer.nlp_engine import NoOpNlpEngine  # no model, no words: patterns alone

    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
    recognizers = [
        PatternRecognizer(supported_entity=kind.upper(), patterns=[Pattern(kind, ALONE.format(f"(?:{pattern})"), 0.8)])
        for kind, pattern in patterns.items()
    ]
    nlp = NoOpNlpEngine([{"lang_code": "en", "model_name": "none"}])
    nlp.load()
    registry = RecognizerRegistry(recognizers=recognizers)
    engine = AnalyzerEngine(registry=registry, nlp_engine=nlp, supported_languages=["en"])

    def analyze(table: pa.Table) -> dict[str, int]:
        found: dict[str, int] = {}
        for column in table.columns:
            for value in column.to_pylist():
                for hit in engine.analyze(value, "en"):
                    found[hit.entity_type.lower()] = found.get(hit.entity_type.lower(), 0) + 1
        return found

    return analyze


class Timed:
    """A detector that counts its own CPU time."""

    def __init__(self, detector: Detector) -> None:
        self.kind, self.headers, self.column = detector.kind, detector.headers, detector.column
        self.heads, self.spent = getattr(detector, "heads", None), 0.0
        for name in ("candidates", "confirm", "matches"):
            if hasattr(detector, name):
                setattr(self, name, self._timed(getattr(detector, name)))

    def _timed(self, work: Callable[..., object]) -> Callable[..., object]:
        def timed(*arguments: object) -> object:
            start = time.process_time()
            result = work(*arguments)
            self.spent += time.process_time() - start
            return result

        return timed


def lexing(table: pa.Table) -> None:
    """The lexers alone over the whole table, and their ratio: the best of interleaved rounds."""
    parts = [part for column in table.columns for chunk in column.chunks for _, part in Text.of(chunk).chunks()]
    spent: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name in ("numpy", "native"):
            try:
                lexer = choose(name)
            except UsageError as error:
                print(error)
                return
            taken = seconds(lambda lexer=lexer: [len(lexer.lex(part)) for part in parts])  # type: ignore[misc]
            spent.setdefault(name, []).append(taken)
    numpy, native = (min(spent[name]) for name in ("numpy", "native"))
    print(f"lexing alone: NumPy {shop.size(table) / numpy / 1e6:.0f} MB/s, ", end="")
    print(f"native {shop.size(table) / native / 1e6:.0f} MB/s: {numpy / native:.1f} times as fast")


def costs(table: pa.Table) -> None:
    timed = [Timed(detector) for detector in select()]
    total = seconds(lambda: scan_data(table, detectors=timed))
    print(f"{'kind':<26} {'ns a value':>10} {'share':>6}")
    values = table.num_rows * table.num_columns
    for detector in sorted(timed, key=lambda detector: -detector.spent):
        print(f"{detector.kind.id:<26} {detector.spent / values * 1e9:>10.1f} {detector.spent / total:>6.1%}")
    rest = total - sum(detector.spent for detector in timed)
    print(f"{'reading, lexing, counting':<26} {rest / values * 1e9:>10.1f} {rest / total:>6.1%}")


def sweep(table: pa.Table, sizes: list[int]) -> None:
    print(f"{'rows':>12} {'CPU s':>8} {'us a row':>9}")
    for rows in sizes:
        part = pa.concat_tables([table] * -(-rows // table.num_rows)).slice(0, rows)
        spent = seconds(lambda part=part: ours(part))  # type: ignore[misc]
        print(f"{rows:>12,} {spent:>8.2f} {spent / rows * 1e6:>9.3f}")


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def verify(table: pa.Table, analyze: Callable[[pa.Table], dict[str, int]], sample: int) -> None:
    """Every engine finds what the table holds, or there is nothing to time."""
    rows = table.num_rows
    expected = {place: round(share * rows) for place, share in shop.EXPECTED.items()}
    assert ours(table) == expected, "the scan does not find what the table was made of"
    part = table.slice(0, sample)
    counts = analyze(part)
    for kind in PATTERNS:
        planted = sum(round(share * sample) for (_, name), share in shop.EXPECTED.items() if name == kind)
        assert counts.get(kind, 0) == planted, f"presidio: {kind} {counts.get(kind, 0)} != {planted}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the table (a multiple of 100)")
    parser.add_argument("--presidio-rows", type=int, default=300, help="rows that presidio is timed on")
    parser.add_argument("--sweep", type=int, nargs="+", default=[], help="row counts to time, up to ten million")
    arguments = parser.parse_args()
    table = shop.customers(arguments.rows)
    analyze = presidio_analyzer(PATTERNS)
    analyze_more = presidio_analyzer({**PATTERNS, **MORE_PATTERNS})
    verify(table, analyze, arguments.presidio_rows)
    size, part = shop.size(table), table.slice(0, arguments.presidio_rows)
    rates: dict[str, list[float]] = {SAME: [], ALL: [], "pyarrow RE2": [], PRESIDIO: [], MORE: []}
    for _ in range(ROUNDS):
        rates[SAME].append(size / seconds(lambda: ours(table, PATTERNS)))
        rates[ALL].append(size / seconds(lambda: ours(table)))
        rates["pyarrow RE2"].append(size / seconds(lambda: re2(table)))
        rates[PRESIDIO].append(shop.size(part) / seconds(lambda: analyze(part)))
        rates[MORE].append(shop.size(part) / seconds(lambda: analyze_more(part)))
    yardsticks = [statistics.median(rates[name]) for name in (PRESIDIO, MORE)]
    about = f"{arguments.rows:,} rows, {table.num_columns} columns, {size / 1e6:.0f} MB"
    print(f"{about}; lexer: {LEXER.name}; hits verified")
    print(f"{'engine':<24} {'MB/s':>9} {'M values/s':>11} {'x ' + PRESIDIO:>20} {'x ' + MORE:>22}")
    for name, measured in rates.items():
        rate = statistics.median(measured)
        values = rate / size * arguments.rows * table.num_columns
        print(
            f"{name:<24} {rate / 1e6:>9.3f} {values / 1e6:>11.4f} "
            f"{rate / yardsticks[0]:>20.1f} {rate / yardsticks[1]:>22.1f}"
        )
    double = table.slice(0, 2 * arguments.presidio_rows)
    again = shop.size(double) / seconds(lambda: analyze(double))
    print(f"presidio on twice the rows: {again / 1e6:.3f} MB/s")
    print(f"{'column':<12} {'MB/s':>9}")
    for name in table.column_names:
        column = table.select([name])
        rate = shop.size(column) / seconds(lambda column=column: ours(column))  # type: ignore[misc]
        print(f"{name:<12} {rate / 1e6:>9.0f}")
    lexing(table)
    costs(table)
    sweep(table, arguments.sweep)


if __name__ == "__main__":
    main()
