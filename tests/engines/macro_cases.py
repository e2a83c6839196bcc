"""What each dispatched macro answers, worked out by hand: one table of cases per macro.

`make test-engines` renders them through dbt and runs them on every engine (test_macros.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from math import inf, nan

Value = str | int | float | bool | date | datetime | None


@dataclass(frozen=True)
class Cases:
    """Rows of typed inputs, a query over them, and the rows that every engine answers.

    `inputs` are the columns of the relation `inputs` with their types, as Jinja; `query` is
    Jinja too. Rows come back in any order unless the query is ordered.
    """

    inputs: Mapping[str, str]
    rows: Sequence[tuple[Value, ...]]
    query: str
    expected: Sequence[tuple[Value, ...]]
    is_ordered: bool = field(default=False)


def each(answer: str, inputs: Mapping[str, str], cases: Mapping[object, Value]) -> Cases:
    """One answer for each tuple of inputs, or for each input where there is one."""
    rows = [case if isinstance(case, tuple) else (case,) for case in cases]
    return Cases(
        {"number": "integer", **inputs},
        [(number, *row) for number, row in enumerate(rows)],
        f"select number, {answer} as answer from inputs",
        list(enumerate(cases.values())),
    )


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


TEXT, DOUBLE = "{{ type_text() }}", "{{ type_double() }}"
MOMENT = {"moment": "timestamp", "zone": TEXT}
TYPE_DOUBLE = each(
    "cast(digits as {{ type_double() }})",
    {"digits": TEXT},
    # Neither of them is a number of 32 bits.
    {"0.1": 0.1, "16777217": 16777217.0, None: None},
)
TYPE_TEXT = each(
    "cast(whole as {{ type_text() }})",
    {"whole": "bigint"},
    {0: "0", -9223372036854775807: "-9223372036854775807", None: None},
)
EPOCH_US = each(
    "{{ epoch_us('moment') }}",
    {"moment": "timestamp"},
    {
        at("1970-01-01"): 0,
        at("1969-12-31T23:59:59.999999"): -1,
        at("2026-03-29T01:30:00.123456"): 1774747800123456,
        at("1900-02-28T23:59:59.5"): -2203891200500000,
        # Of the calendar that had no gap in October 1582.
        at("1582-10-10"): -12219724800000000,
        at("0001-01-01"): -62135596800000000,
        at("9999-12-31T23:59:59.999999"): 253402300799999999,
        None: None,
    },
)
IS_SEEN = each(
    "{{ is_seen('moment', 'as_of') }}",
    {"moment": "timestamp", "as_of": "timestamp"},
    {
        (at("2026-01-15T12:00:00"), at("2026-01-15T12:00:00")): True,
        (at("2026-01-15T11:59:59.999999"), at("2026-01-15T12:00:00")): True,
        (at("2026-01-15T12:00:00.000001"), at("2026-01-15T12:00:00")): False,
        (at("1969-12-31T23:59:59.999999"), at("1970-01-01")): True,
        (at("0001-01-01"), at("9999-12-31T23:59:59.999999")): True,
        (at("9999-12-31T23:59:59.999999"), at("0001-01-01")): False,
        (None, at("2026-01-15")): None,
        (at("2026-01-15"), None): None,
    },
)
TO_LOCAL = each(
    "{{ to_local('moment', 'zone') }}",
    MOMENT,
    {
        (at("2026-01-15T12:00:00.000001"), "UTC"): at("2026-01-15T12:00:00.000001"),
        # Summer time begins, and ends.
        (at("2026-03-29T00:59:59.999999"), "Europe/Berlin"): at("2026-03-29T01:59:59.999999"),
        (at("2026-03-29T01:00:00"), "Europe/Berlin"): at("2026-03-29T03:00:00"),
        (at("2026-10-25T00:30:00"), "Europe/Berlin"): at("2026-10-25T02:30:00"),
        (at("2026-10-25T01:30:00"), "Europe/Berlin"): at("2026-10-25T02:30:00"),
        (at("2026-07-01T23:30:00"), "America/New_York"): at("2026-07-01T19:30:00"),
        (at("2026-07-01T23:30:00"), "Asia/Kolkata"): at("2026-07-02T05:00:00"),
        # Half an hour of summer time.
        (at("2026-01-15T00:00:00"), "Australia/Lord_Howe"): at("2026-01-15T11:00:00"),
        (at("2026-07-15T00:00:00"), "Australia/Lord_Howe"): at("2026-07-15T10:30:00"),
        # It skipped a day.
        (at("2011-12-30T09:59:59"), "Pacific/Apia"): at("2011-12-29T23:59:59"),
        (at("2011-12-30T10:00:00"), "Pacific/Apia"): at("2011-12-31T00:00:00"),
        (at("1969-12-31T23:30:00.5"), "Europe/Berlin"): at("1970-01-01T00:30:00.5"),
        # Central European War Time, and the sun before there was a zone.
        (at("1945-06-15T12:00:00"), "Europe/Berlin"): at("1945-06-15T15:00:00"),
        (at("1880-01-01T00:00:00"), "Europe/Berlin"): at("1880-01-01T00:53:28"),
        (None, "UTC"): None,
        (at("2026-01-15T12:00:00"), None): None,
    },
)
TO_UTC = each(
    "{{ to_utc('moment', 'zone') }}",
    MOMENT,
    {
        (at("2026-01-15T12:00:00.000001"), "UTC"): at("2026-01-15T12:00:00.000001"),
        (at("2026-03-29T01:59:59.999999"), "Europe/Berlin"): at("2026-03-29T00:59:59.999999"),
        # A clock that was never shown goes on as before, one shown twice means the second.
        (at("2026-03-29T02:30:00"), "Europe/Berlin"): at("2026-03-29T01:30:00"),
        (at("2026-03-29T03:00:00"), "Europe/Berlin"): at("2026-03-29T01:00:00"),
        (at("2026-10-25T01:59:59"), "Europe/Berlin"): at("2026-10-24T23:59:59"),
        (at("2026-10-25T02:00:00"), "Europe/Berlin"): at("2026-10-25T01:00:00"),
        (at("2026-10-25T02:30:00"), "Europe/Berlin"): at("2026-10-25T01:30:00"),
        (at("2026-10-25T03:00:00"), "Europe/Berlin"): at("2026-10-25T02:00:00"),
        # The day before and the day of a change, far from it.
        (at("2026-10-24T02:30:00"), "Europe/Berlin"): at("2026-10-24T00:30:00"),
        (at("2026-03-28T02:30:00"), "Europe/Berlin"): at("2026-03-28T01:30:00"),
        (at("2026-10-24T12:00:00"), "Europe/Berlin"): at("2026-10-24T10:00:00"),
        (at("2026-03-28T12:00:00"), "Europe/Berlin"): at("2026-03-28T11:00:00"),
        # Midnight comes twice, never, and half an hour late.
        (at("2026-11-01T00:00:00"), "America/Havana"): at("2026-11-01T05:00:00"),
        (at("2026-03-08T00:00:00"), "America/Havana"): at("2026-03-08T05:00:00"),
        (at("2026-04-05T01:45:00"), "Australia/Lord_Howe"): at("2026-04-04T15:15:00"),
        (at("2011-12-30T10:00:00"), "Pacific/Apia"): at("2011-12-30T20:00:00"),
        (at("1970-01-01T00:30:00.5"), "Europe/Berlin"): at("1969-12-31T23:30:00.5"),
        (at("1880-01-01T00:53:28"), "Europe/Berlin"): at("1880-01-01T00:00:00"),
        (None, "UTC"): None,
        (at("2026-01-15T12:00:00"), None): None,
    },
)
UNNEST_DAYS = Cases(
    {"first_date": "date", "last_date": "date"},
    [
        (date(2024, 2, 28), date(2024, 3, 1)),
        (date(1969, 12, 31), date(1970, 1, 1)),
        (date(2026, 3, 29), date(2026, 3, 29)),
        (date(2026, 1, 3), date(2026, 1, 1)),
        (None, date(2026, 1, 1)),
        (date(2026, 1, 1), None),
    ],
    """
    select first_date, cast(day_at as date)
    from (
        select first_date, {{ unnest_days('first_date', 'last_date') }} as day_at from inputs
    ) as days
    """,
    [
        (date(2024, 2, 28), date(2024, 2, 28)),
        (date(2024, 2, 28), date(2024, 2, 29)),
        (date(2024, 2, 28), date(2024, 3, 1)),
        (date(1969, 12, 31), date(1969, 12, 31)),
        (date(1969, 12, 31), date(1970, 1, 1)),
        (date(2026, 3, 29), date(2026, 3, 29)),
    ],
)
UNNEST_NUMBERS = Cases(
    {"first_number": "integer", "last_number": "integer"},
    [(-1, 1), (7, 7), (1, 0), (5, 3), (None, 1), (1, None)],
    "select first_number, {{ unnest_numbers('first_number', 'last_number') }} from inputs",
    [(-1, -1), (-1, 0), (-1, 1), (7, 7)],
)
# Objects as the landing writes them, without spaces; names as the map allows them, without a
# double quote.
JSON_FIELD = each(
    "{{ json_field('object', 'field') }}",
    {"object": TEXT, "field": TEXT},
    {
        ('{"a":"x"}', "a"): "x",
        ('{"a":"x"}', "b"): None,
        ('{"a":"x"}', "A"): None,
        ('{"a":""}', "a"): "",
        ('{"a":null}', "a"): None,
        ('{"a":true}', "a"): "true",
        ('{"a":-12}', "a"): "-12",
        ('{"a":12.5}', "a"): "12.5",
        ('{"a":1000.0}', "a"): "1000.0",
        ('{"a":12345678901234567890}', "a"): "12345678901234567890",
        ('{"a":{"b":[1,"x"]}}', "a"): '{"b":[1,"x"]}',
        ('{"a":[1,2]}', "a"): "[1,2]",
        ('{"a":[]}', "a"): "[]",
        ('{"a.b":"dot","a":{"b":"nested"}}', "a.b"): "dot",
        ('{"a":{"b":"nested"}}', "a.b"): None,
        ('{"a b":"space"," a":"before"}', "a b"): "space",
        ('{"a b":"space"," a":"before"}', " a"): "before",
        ('{"it\'s":"quote"}', "it's"): "quote",
        ('{"a[0]":"brackets","a":["first"]}', "a[0]"): "brackets",
        ('{"a":["first"]}', "a[0]"): None,
        ('{"a\'][\'b":"both"}', "a']['b"): "both",
        ('{"$":"dollar"}', "$"): "dollar",
        ('{"$.a":"path"}', "$.a"): "path",
        ('{"*":"star","b":"x"}', "*"): "star",
        ('{"b":"x"}', "*"): None,
        ('{"a?":"mark"}', "a?"): "mark",
        ('{"#":"hash"}', "#"): "hash",
        ('{"0":"zero"}', "0"): "zero",
        ('{"größe":"groß"}', "größe"): "groß",
        ('{"ключ 🙂":"значение 🙂"}', "ключ 🙂"): "значение 🙂",
        ('{"a":"line\\nfeed \\"said\\" \\\\ \\u00e9 \\ud83d\\ude42"}', "a"): (
            'line\nfeed "said" \\ é 🙂'
        ),
        ('{"a":" x "}', "a"): " x ",
        ('{"a":"it\'s"}', "a"): "it's",
        ('{"a~b":"tilde","a/b":"slash"}', "a~b"): "tilde",
        ('{"a~b":"tilde","a/b":"slash"}', "a/b"): "slash",
        ('{"a~1b":"both"}', "a~1b"): "both",
        ('{"a\\\\b":"backslash"}', "a\\b"): "backslash",
        ('{"":"empty"}', ""): "empty",
        (None, "a"): None,
        ('{"a":"x"}', None): None,
    },
)
SAFE_DOUBLE = each(
    "{{ safe_double('words') }}",
    {"words": TEXT},
    {
        "12": 12.0,
        "-0.5": -0.5,
        "+7": 7.0,
        ".5": 0.5,
        "5.": 5.0,
        "1e5": 1e5,
        "1.5E-7": 1.5e-7,
        " 12 ": 12.0,
        "\t12\n": 12.0,
        "9007199254740993": 9007199254740992.0,
        "0.1": 0.1,
        "1e99": 1e99,
        "inf": inf,
        "-Infinity": -inf,
        "NaN": nan,
        # No number, or none that every engine can read.
        "1e400": None,
        "1e-400": None,
        "": None,
        " ": None,
        ".": None,
        "1e": None,
        "e5": None,
        "1 2": None,
        "1,5": None,
        "1_000": None,
        "12d": None,
        "12f": None,
        "0x1p3": None,
        "0x1F": None,
        "--1": None,
        "true": None,
        "twelve": None,
        "١٢": None,
        "12\u00a0": None,
        None: None,
    },
)
# By UTF-8's bytes, which is the order of code points: neither a language's nor UTF-16's.
IN_BINARY_ORDER = ["", " ", "10", "9", "A", "Z", "_", "a", "aa", "b", "ä", "ж", "\ufb01", "🙂"]
BINARY_ORDER = Cases(
    {"words": TEXT},
    [(words,) for words in reversed(IN_BINARY_ORDER)],
    "select words from inputs order by {{ binary_order('words') }}",
    [(words,) for words in IN_BINARY_ORDER],
    is_ordered=True,
)
ORDERED_TEXT = Cases(
    {"team": "integer", "words": TEXT},
    [
        *((1, words) for words in ("🙂", "b", "\ufb01", "B", "ä", "b", None)),
        *((2, words) for words in ("", "a")),
        *((3, words) for words in ("",)),
        *((4, words) for words in (None, None)),
    ],
    "select team, {{ ordered_text('words') }} from inputs group by team",
    [(1, "B\nb\nb\nä\n\ufb01\n🙂"), (2, "\na"), (3, ""), (4, None)],
)
HASH_NUMBER = each(
    "{{ hash_number('words') }} = {{ hash_number('others') }}",
    {"words": TEXT, "others": TEXT},
    {("a", "a"): True, ("a", "b"): False, ("ä🙂", "ä🙂"): True, ("", " "): False},
)
HAS_PATTERN = each(
    "{{ has_pattern('words', 'a[0-9]+(b|c)?|x') }}",
    {"words": TEXT},
    {
        "a1": True,
        "a12c": True,
        "x": True,
        "a1\n": False,
        "\na1": False,
        "x\n": False,
        "a1x": False,
        "xa1": False,
        "za1": False,
        "a": False,
        "A1": False,
        "a\u0661": False,
        "": False,
        None: None,
    },
)
FINDS_PATTERN = each(
    "{{ finds_pattern('words', 'pattern') }}",
    {"words": TEXT, "pattern": TEXT},
    {
        ("one two", "e t"): True,
        ("one two", "^two"): False,
        ("one two", "two$"): True,
        ("one", "(two|one)"): True,
        ("one a b two", " ([^ ]+ ){0,3}two"): True,
        ("größe 🙂", "ö.e 🙂"): True,
        ("one", "ONE"): False,
        ("one", ""): True,
        (None, "one"): None,
        ("one", None): None,
    },
)
REPLACE_PATTERN = each(
    "{{ replace_pattern('words', \"'(~[^ ]*) +'\", '$1 @') }}",
    {"words": TEXT},
    {
        "~a b": "~a @b",
        "~a  ~b c": "~a @~b @c",
        "~ö🙂 b": "~ö🙂 @b",
        "a b": "a b",
        "": "",
        None: None,
    },
)
SPACED_SIGNS = each(
    "{{ replace_pattern('words', \"'[!-/\u2000-\u2bff\U0001f000-\U0001faff]+'\", ' ') }}",
    {"words": TEXT},
    {"a!!b…c🙂🙂d": "a b c d", "ä": "ä", "\ufb01": "\ufb01"},
)
DAYS_AND_TIMES = {
    "2026-02-28": at("2026-02-28T00:00:00"),
    "2024-02-29": at("2024-02-29T00:00:00"),
    "2026-02-29": None,
    "2026-02-30": None,
    "2026-04-31": None,
    "2000-02-29": at("2000-02-29T00:00:00"),
    "1900-02-29": None,
    "1969-12-31": at("1969-12-31T00:00:00"),
    "1066-10-14": at("1066-10-14T00:00:00"),
    "2026-01-15T10:30": at("2026-01-15T10:30:00"),
    "2026-01-15 10:30": at("2026-01-15T10:30:00"),
    "2026-01-15 10:30:15": at("2026-01-15T10:30:15"),
    "2026-01-15T10:30:15.123456": at("2026-01-15T10:30:15.123456"),
    "2026-01-15T10:30:15.5": at("2026-01-15T10:30:15.5"),
    # A tenth of a microsecond is none.
    "2026-01-15T10:30:15.123456789": at("2026-01-15T10:30:15.123456"),
    "2026-12-31T23:59:59.999999999": at("2026-12-31T23:59:59.999999"),
    None: None,
}
SAFE_TIMESTAMP = each("{{ safe_timestamp('words') }}", {"words": TEXT}, DAYS_AND_TIMES)
INSTANTS = {
    "2026-01-15T10:30:15Z": at("2026-01-15T10:30:15"),
    "2026-01-15 10:30:15.123456Z": at("2026-01-15T10:30:15.123456"),
    "2026-01-15T10:30:15.123456789Z": at("2026-01-15T10:30:15.123456"),
    "2026-01-15T10:30:15+02:00": at("2026-01-15T08:30:15"),
    "2026-01-15T10:30:15+0200": at("2026-01-15T08:30:15"),
    "2026-01-15T10:30:15+02": at("2026-01-15T08:30:15"),
    "2026-01-15T10:30:15.5-05:30": at("2026-01-15T16:00:15.5"),
    "2026-01-01T00:30:00+14:00": at("2025-12-31T10:30:00"),
    "2026-01-15T10:30:15-00:00": at("2026-01-15T10:30:15"),
    "1969-12-31T23:30:00-01": at("1970-01-01T00:30:00"),
    "2026-02-30T10:30:15Z": None,
    "2026-02-29T10:30:15+0200": None,
    None: None,
}
SAFE_INSTANT = each("{{ safe_instant('words') }}", {"words": TEXT}, INSTANTS)
SAFE_MOMENT = each(
    "{{ safe_moment('words', 'zone') }}",
    {"words": TEXT, "zone": TEXT},
    {
        **{(words, "UTC"): moment for words, moment in {**DAYS_AND_TIMES, **INSTANTS}.items()},
        ("2026-03-29", "Europe/Berlin"): at("2026-03-28T23:00:00"),
        ("2026-03-29T02:30", "Europe/Berlin"): at("2026-03-29T01:30:00"),
        ("2026-10-25 02:30:00.5", "Europe/Berlin"): at("2026-10-25T01:30:00.5"),
        ("2026-10-25T02:30:00Z", "Europe/Berlin"): at("2026-10-25T02:30:00"),
        ("2026-01-15", None): None,
        ("2026-01-15T10:30:15Z", None): at("2026-01-15T10:30:15"),
        **dict.fromkeys(
            (words, "UTC")
            for words in (
                *("", " 2026-01-15", "2026-01-15 ", "2026-01-15\n", "2026-1-15", "today"),
                *("2026-13-01", "2026-00-10", "2026-01-32", "0999-01-01", "20260115"),
                *("2026-01-15T24:00", "2026-01-15T10:60", "2026-01-15T10:30:60Z", "epoch"),
                *("2026-01-15T10:30Z", "2026-01-15T10:30:15 +02", "2026-01-15T10:30:15z"),
                *("2026-01-15T10:30:15+15:00", "2026-01-15T10:30:15Z\n", "infinity", "now"),
            )
        ),
    },
)
CASES: dict[str, list[Cases]] = {
    "type_double": [TYPE_DOUBLE],
    "type_text": [TYPE_TEXT],
    "epoch_us": [EPOCH_US],
    "is_seen": [IS_SEEN],
    "to_local": [TO_LOCAL],
    "to_utc": [TO_UTC],
    "unnest_days": [UNNEST_DAYS],
    "unnest_numbers": [UNNEST_NUMBERS],
    "json_field": [JSON_FIELD],
    "safe_double": [SAFE_DOUBLE],
    "binary_order": [BINARY_ORDER],
    "ordered_text": [ORDERED_TEXT],
    "hash_number": [HASH_NUMBER],
    "has_pattern": [HAS_PATTERN],
    "finds_pattern": [FINDS_PATTERN],
    "replace_pattern": [REPLACE_PATTERN, SPACED_SIGNS],
    "safe_timestamp": [SAFE_TIMESTAMP],
    "safe_instant": [SAFE_INSTANT],
    "safe_moment": [SAFE_MOMENT],
}
# A hook, not asked for an answer: what it begins with where it is not empty.
JOIN_BY_HASH = {"postgres": "set local enable_nestloop = off"}
