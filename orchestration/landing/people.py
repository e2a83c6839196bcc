"""A person's texts in landed rows: where an id stands, and how to find one in other text."""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from mmap import mmap

from orchestration.landing.contract import Table
from orchestration.quoting import literal

# Columns that say whose a row is. A value of them is a person's, or part of one.
ID_COLUMNS = (
    "customer_id",
    "source_case_id",
    "anonymous_id",
    "contact_id",
    "account_id",
    "opportunity_id",
    "support_contact_id",
    "response_id",
    "email_hash",
    "event_id",
)

Ids = Mapping[str, frozenset[str]]


def id_columns(table: Table) -> list[str]:
    """The columns of a raw table that say whose a row is."""
    return [name for name in ID_COLUMNS if table.column(name)]


def among(column: str, values: Collection[str]) -> str:
    """SQL: whether a column holds one of the values; false where it is null."""
    listed = ", ".join(map(literal, sorted(values)))
    return f"coalesce({column} in ({listed}), false)" if values else "false"


def is_distinctive(text: str) -> bool:
    """Whether a text can be told from other text: `1` or `anna` cannot, wherever they stand."""
    if text.isdigit():
        return len(text) >= 6
    return len(text) >= 8 or (len(text) >= 5 and any(sign.isdigit() for sign in text))


@dataclass(frozen=True)
class Needles:
    """Texts to look for as words of their own, everywhere.

    A word ends where neither a letter nor a digit follows. Texts in `narrow` are also the
    beginning of other people's ids (`A-100` of `A-100-2`): of them `-` and `_` are no ends.
    """

    texts: tuple[str, ...]
    narrow: frozenset[str] = frozenset()

    @classmethod
    def of(cls, ids: Ids, others: Iterable[str] = ()) -> "Needles":
        """The distinctive ones among a person's ids; `others` are the ids of everybody else."""
        texts = sorted({text for values in ids.values() for text in values if is_distinctive(text)})
        wide = cls(tuple(texts))
        narrow = set()
        if wide:
            for other in others:
                narrow |= {match.group() for match in wide.words.finditer(other)}
        return cls(wide.texts, frozenset(narrow))

    def __bool__(self) -> bool:
        """Whether there is anything that can be looked for."""
        return bool(self.texts)

    def _edge(self, text: str) -> str:
        extra = "." if text.isdigit() else ""
        return f"0-9A-Za-z{extra}" + ("_-" if text in self.narrow else "")

    def _written(self, text: str) -> list[str]:
        """A text as it stands, and as JSON may escape it."""
        return sorted({text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]})

    @cached_property
    def words(self) -> re.Pattern[str]:
        """The texts, for Python."""
        return re.compile(
            "|".join(
                f"(?<![{self._edge(text)}]){re.escape(form)}(?![{self._edge(text)}])"
                for text in self.texts
                for form in self._written(text)
            )
            or "(?!)"
        )

    @cached_property
    def in_bytes(self) -> re.Pattern[bytes]:
        """The same in bytes of UTF-8."""
        return re.compile(self.words.pattern.encode())

    def count_in(self, data: bytes | mmap) -> int:
        """How often they stand in bytes: each is found by itself, which is much faster."""
        return sum(
            1
            for text in self.texts
            for form in self._written(text)
            for _ in self._places(data, form.encode(), self._ends(text))
        )

    def _ends(self, text: str) -> frozenset[int]:
        """Bytes that go on with a word."""
        edge = re.compile(f"[{self._edge(text)}]".encode())
        return frozenset(code for code in range(256) if edge.match(bytes([code])))

    @staticmethod
    def _places(data: bytes | mmap, form: bytes, word: frozenset[int]) -> Iterator[int]:
        place = data.find(form)
        while place >= 0:
            end = place + len(form)
            is_begun = place > 0 and data[place - 1] in word
            if not is_begun and not (end < len(data) and data[end] in word):
                yield place
            place = data.find(form, place + 1)

    @cached_property
    def _sql_patterns(self) -> list[tuple[str, str, str]]:
        """Regular expressions without look-around: before, texts, after."""
        by_edge: dict[str, list[str]] = {}
        for text in self.texts:
            by_edge.setdefault(self._edge(text), []).extend(map(re.escape, self._written(text)))
        return [
            (f"(^|[^{edge}])", f"({'|'.join(forms)})", f"($|[^{edge}])")
            for edge, forms in by_edge.items()
        ]

    def found_sql(self, column: str, match: str = "regexp_matches({0}, {1})") -> str:
        """SQL: whether a text column names one of them; `match` is the engine's test."""
        tests = [match.format(column, literal("".join(parts))) for parts in self._sql_patterns] or [
            "false"
        ]
        return f"coalesce({' or '.join(tests)}, false)"

    def redacted_sql(self, column: str) -> str:
        """SQL: the text with `[forgotten]` in their place (zeros for digits, JSON stays JSON)."""
        for text in self.texts:
            edge, forms = self._edge(text), "|".join(map(re.escape, self._written(text)))
            pattern = literal(f"(^|[^{edge}])({forms})($|[^{edge}])")
            put = literal(rf"\1{replacement(text)}\3")
            # Twice: what stands between two neighbours is part of one match only.
            for _ in range(2):
                column = f"regexp_replace({column}, {pattern}, {put}, 'g')"
        return column

    def redacted(self, data: bytes) -> bytes:
        """Bytes without them."""
        return self.in_bytes.sub(lambda match: replacement(match.group().decode()).encode(), data)


def replacement(text: str) -> str:
    """What stands in a text's place."""
    return "0" * len(text) if text.isdigit() else "[forgotten]"
