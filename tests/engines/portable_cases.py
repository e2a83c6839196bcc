"""What the SQL that all engines share answers, worked out by hand: no macro is dispatched here.

They are the functions of the portable subset whose answers engines are known to give in their
own ways elsewhere, and the macros that write figures as text.
"""

from datetime import date

from tests.engines.macro_cases import DOUBLE, TEXT, Cases, at, each

WHOLE, FIGURE, WORDS = {"whole": "bigint"}, {"figure": DOUBLE}, {"words": TEXT}

SENTENCES = {
    "grouped_text": each(
        "{{ grouped_text('whole') }}",
        WHOLE,
        {
            0: "0",
            999: "999",
            1000: "1,000",
            1050007: "1,050,007",
            2000000000: "2,000,000,000",
            None: None,
        },
    ),
    "decimal_text": each(
        "{{ decimal_text('figure') }}",
        FIGURE,
        {40.6: "40.6", 60.0: "60", 0.05: "0.1", 0.04: "0", 1234.5: "1,234.5", 999.95: "1,000"},
    ),
    "percent_text": each(
        "{{ percent_text('figure') }}",
        FIGURE,
        {
            0.406: "40.6 %",
            0.0: "0 %",
            1.0: "100 %",
            0.0004: "under 0.1 %",
            0.9996: "over 99.9 %",
            None: None,
        },
    ),
    "points_text": each(
        "{{ points_text('figure') }}", FIGURE, {-0.128: "-12.8 points", 0.5: "50 points"}
    ),
    "days_text": each(
        "{{ days_text('figure') }}",
        FIGURE,
        {
            0.0001: "under a minute",
            12 / 1440: "12 minutes",
            1 / 24: "1 hour",
            7.5 / 24: "7.5 hours",
            1.0: "1 day",
            5.1: "5.1 days",
            1500.25: "1,500.3 days",
        },
    ),
    "two_digits": each(
        "{{ two_digits('figure') }}",
        FIGURE,
        {312345.0: 310000, 62.4: 62, 99.6: 100, 0.4: 0, 1e12: 1000000000000},
    ),
    "times_text": each(
        "{{ times_text('figure') }}",
        FIGURE,
        {3.0: "3 times", 1.5: "1.5 times", 1.04: "1.04 times", 1.0: "1.00 times"},
    ),
    "plural_text": each(
        "{{ plural_text('words') }}", WORDS, {"opportunity": "opportunities", "case": "cases"}
    ),
    "time_of_day_us": each(
        "{{ time_of_day_us('words') }}", WORDS, {"09:30": 34200000000, "24:00": 86400000000}
    ),
    "met_by": each(
        "cast(cast(100 * figure as decimal(18, 0)) as {{ type_text() }})",
        FIGURE,
        {0.125: "13", 0.375: "38", 0.144: "14", 0.0: "0", 1.0: "100"},
    ),
    "map_line": each(
        "{{ map_line('table', ['words', 'whole', 'flag', 'day']) }}",
        {**WORDS, **WHOLE, "flag": "boolean", "day": "date"},
        {
            ("ä", 5, True, date(2026, 1, 5)): "table\x1fä\x1f5\x1ftrue\x1f2026-01-05",
            (None, None, None, None): "table\x1f\x1e\x1f\x1e\x1f\x1e\x1f\x1e",
            ("", -1, False, date(1969, 1, 1)): "table\x1f\x1f-1\x1ffalse\x1f1969-01-01",
        },
    ),
}
TEXTS = {
    "md5": each(
        "md5(words)",
        WORDS,
        {
            "": "d41d8cd98f00b204e9800998ecf8427e",
            "ä🙂": "02daa618d861485fc18fec60d3120d00",
            None: None,
        },
    ),
    "length": each("length(words)", WORDS, {"": 0, "ä🙂a": 3, "a\n": 2, " a ": 3}),
    "substr": each("substr(words, 2, 2)", WORDS, {"🙂äab": "äa", "a": "", "ab": "b"}),
    "right": each("right(words, 2)", WORDS, {"a🙂b": "🙂b", "a": "a"}),
    "position": each(
        "position(words in 'aä🙂b')", WORDS, {"🙂": 3, "b": 4, "c": 0, "": 1, None: None}
    ),
    "replace": each("replace(words, '🙂', '')", WORDS, {"a🙂b🙂": "ab", "": ""}),
    "translate": each("translate(words, 'äÉ🙂x', 'aE ')", WORDS, {"äxÉ🙂b": "aE b"}),
    "split_part": each("split_part(words, ':', 2)", WORDS, {"a:b": "b", "a": "", "a::c": ""}),
    "lpad": each("lpad(words, 3, '0')", WORDS, {"7": "007", "1234": "123", "": "000"}),
    "joined": each("words || 'a'", WORDS, {"": "a", None: None}),
    "concat_ws": each("concat_ws(' + ', words, 'a')", WORDS, {"": " + a", None: "a", "b": "b + a"}),
    "literal": each("'it''s ' || words || chr(10) || chr(31)", WORDS, {"x": "it's x\n\x1f"}),
    "like": each("words like '%a_(b)%'", WORDS, {"ax(b)": True, "a(b)": False, "A.(b)": False}),
    "is distinct from": each(
        "words is distinct from others",
        {**WORDS, "others": TEXT},
        {("a", "a"): False, ("a", None): True, (None, None): False, ("", None): True},
    ),
    "min": Cases(
        {**WORDS},
        [("b",), ("B",), ("ä",), (None,)],
        "select min({{ binary_order('words') }}), max({{ binary_order('words') }}) from inputs",
        [("B", "ä")],
    ),
}
NUMBERS = {
    "floor": each(
        "floor(figure)::bigint", FIGURE, {1.9: 1, -1.5: -2, -0.0: 0, 9e15: 9000000000000000}
    ),
    "quotient": each("floor(whole / 1000e0)::bigint", WHOLE, {1999: 1, -1: -1, 0: 0}),
    "mod": each("mod(whole, 10)", WHOLE, {27: 7, -27: -7, 0: 0}),
    "greatest": each("greatest(whole, 3)", WHOLE, {5: 5, 1: 3, None: 3}),
    "nullif": each("1 / nullif(figure, 0)", FIGURE, {0.0: None, 4.0: 0.25}),
    "power": each("power(figure, 0.5)", FIGURE, {4.0: 2.0, 0.0: 0.0}),
    "sum": Cases(
        WHOLE,
        [(9007199254740993,), (2,), (None,)],
        "select sum(whole)::bigint, count(whole), count(*) filter (where whole > 2) from inputs",
        [(9007199254740995, 2, 1)],
    ),
}
TIMES = {
    "date_trunc week": each(
        "date_trunc('week', day)::date",
        {"day": "date"},
        {
            date(2026, 3, 29): date(2026, 3, 23),
            date(2026, 3, 30): date(2026, 3, 30),
            date(1969, 12, 31): date(1969, 12, 29),
            date(2021, 1, 1): date(2020, 12, 28),
        },
    ),
    "date_trunc month": each(
        "date_trunc('month', day)::date",
        {"day": "date"},
        {date(2024, 2, 29): date(2024, 2, 1), date(1969, 12, 31): date(1969, 12, 1)},
    ),
    "a day before": each(
        "(day - interval '1' day)::date",
        {"day": "date"},
        {date(2024, 3, 1): date(2024, 2, 29), date(1970, 1, 1): date(1969, 12, 31)},
    ),
    "seconds after": each(
        "moment + whole * interval '1' second",
        {"moment": "timestamp", **WHOLE},
        {
            (at("2026-03-29T00:59:59.999999"), 2): at("2026-03-29T01:00:01.999999"),
            (at("1970-01-01"), -1): at("1969-12-31T23:59:59"),
            (None, 1): None,
        },
    ),
    "a date's midnight": each(
        "day::timestamp", {"day": "date"}, {date(1582, 10, 10): at("1582-10-10"), None: None}
    ),
    "the date of": each(
        "moment::date",
        {"moment": "timestamp"},
        {
            at("2026-03-29T23:59:59.999999"): date(2026, 3, 29),
            at("1969-12-31T23:59:59.999999"): date(1969, 12, 31),
        },
    ),
    "date as text": each(
        "day::{{ type_text() }}", {"day": "date"}, {date(2026, 1, 5): "2026-01-05", None: None}
    ),
    "known_us": each(
        "{{ known_us('from_time', 'to_time', 'date_only') }}",
        {"from_time": "timestamp", "to_time": "timestamp", "date_only": "boolean"},
        {
            (at("2026-01-01"), at("2026-01-01T00:00:00.000001"), False): 1,
            (at("2026-01-02"), at("2026-01-01"), False): 0,
            (at("2026-01-02"), at("2026-01-02T12:00:00"), True): None,
        },
    ),
}
PORTABLE: dict[str, list[Cases]] = {
    name: [cases] for part in (SENTENCES, TEXTS, NUMBERS, TIMES) for name, cases in part.items()
}
