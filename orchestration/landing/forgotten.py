"""Who was forgotten, as keyed hashes: landing leaves their rows out of files read again.

`HOME/forgotten.json` holds HMAC-SHA-256 of ids, by the column that they stand in, and of those
that are looked for in texts; `HOME/forgotten.key` the random key, readable by its owner alone.
Without the key nobody can try ids; with it, only one by one.
"""

# ruff: noqa: S608 - names come from the contract, texts pass through literal()

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from orchestration.errors import JourneyGapsError
from orchestration.files import write_whole
from orchestration.landing.contract import Table, Type
from orchestration.landing.people import ID_COLUMNS, Ids, Needles, id_columns, is_distinctive
from orchestration.quoting import literal, quoted

KEY_FILE = "forgotten.key"
HASHES_FILE = "forgotten.json"
_IN_TEXTS = "in_texts"
# With and without what may end a sentence or be part of an address.
_WORDS = (r"""[^\s"',;:(){}\[\]<>|=\\]+""", "[0-9A-Za-z_-]+")
_BLOCK_BYTES = 64


def remember(home: Path, ids: Ids) -> None:
    """Add a person's ids, hashed, to those that landing leaves out."""
    key = _key(home)
    hashes = _read(home)
    for name in ID_COLUMNS:
        hashes.setdefault(name, set()).update(_hash(key, text) for text in ids.get(name, ()))
    hashes.setdefault(_IN_TEXTS, set()).update(
        _hash(key, text) for values in ids.values() for text in values if is_distinctive(text)
    )
    content = {name: sorted(values) for name, values in hashes.items() if values}
    write_whole(home / HASHES_FILE, json.dumps(content, indent=1) + "\n", is_private=True)


def _key(home: Path) -> bytes:
    """The key of this HOME, made at first. Raises JourneyGapsError where it was lost."""
    path = home / KEY_FILE
    if not path.exists():
        if (home / HASHES_FILE).exists():
            raise JourneyGapsError(
                f"{path} is missing, and {HASHES_FILE} beside it cannot be read without it: put "
                "the key back; without it, remove the hashes, and forget everybody once more"
            )
        write_whole(path, secrets.token_hex(32) + "\n", is_private=True)
    return bytes.fromhex(path.read_text().strip())


def _read(home: Path) -> dict[str, set[str]]:
    path = home / HASHES_FILE
    if not path.exists():
        return {}
    content: Mapping[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
    return {name: set(values) for name, values in content.items()}


def _hash(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Forgotten:
    """What landing needs to leave rows out: the key, and hashes by column."""

    key: bytes
    hashes: Mapping[str, set[str]]

    def leave_out(
        self, connection: duckdb.DuckDBPyConnection, table: Table, relation: str, entry: int
    ) -> int:
        """Delete the rows of forgotten people from the judged rows of one file; how many.

        `relation` is what `judge_sql` gives, with the column entry. Rows of others that name
        somebody in a text keep their place, with `[forgotten]` in it.
        """
        if not any(self.hashes.values()):
            return 0
        _install(connection, self.key)
        tests = []
        for name in id_columns(table):
            if hashes := self.hashes.get(name):
                content = f"""json_extract_string("content", '$.{name}')"""
                tests += [self._known(relation, entry, quoted(name), hashes)]
                tests += [f"reason is not null and {_is_hashed(content, hashes)}"]
        in_lines = self.hashes.get("customer_id", set()) | self.hashes.get(_IN_TEXTS, set())
        tests.append(
            "reason is not null and list_has_any(list_transform("
            f"{_words_sql(quoted('content'))},"
            f" lambda word: forgotten_hash(word)), {_listed(in_lines, '[]')})"
        )
        where = f"entry = {entry} and ({' or '.join(f'({test})' for test in tests)})"
        row = connection.execute(f"select count(*) from {relation} where {where}").fetchone()
        connection.execute(f"delete from {relation} where {where}")
        self._redact(connection, table, relation, entry)
        return int(row[0]) if row else 0

    def _known(self, relation: str, entry: int, column: str, hashes: Iterable[str]) -> str:
        """Each distinct value is hashed once."""
        return (
            f"{column} in (select value from (select distinct {column} as value from {relation}"
            f" where entry = {entry}) as known where {_is_hashed('value', hashes)})"
        )

    def _redact(
        self, connection: duckdb.DuckDBPyConnection, table: Table, relation: str, entry: int
    ) -> None:
        hashes = self.hashes.get(_IN_TEXTS)
        ids = {*id_columns(table), *table.id_columns}
        for column in table.columns:
            if column.type not in (Type.TEXT, Type.JSON) or column.name in ids or not hashes:
                continue
            name = quoted(column.name)
            words = connection.execute(
                f"select word from (select distinct unnest({_words_sql(name)}) as word"
                f" from {relation} where entry = {entry}) as words"
                f" where {_is_hashed('word', hashes)}"
            ).fetchall()
            if words:
                needles = Needles(tuple(word for (word,) in words))
                connection.execute(
                    f"update {relation} set {name} = {needles.redacted_sql(name)}"
                    f" where entry = {entry} and {needles.found_sql(name)}"
                )


def read_forgotten(home: Path) -> Forgotten:
    """Who was forgotten in a HOME; nobody where there is no file. Raises JourneyGapsError
    where the key is missing.
    """
    hashes = _read(home)
    return Forgotten(_key(home) if hashes else b"", hashes)


def _install(connection: duckdb.DuckDBPyConnection, key: bytes) -> None:
    """HMAC-SHA-256 as a temporary SQL function: RFC 2104, for a key of one block at most."""
    padded = key.ljust(_BLOCK_BYTES, b"\0")
    outer, inner = (bytes(byte ^ pad for byte in padded).hex() for pad in (0x5C, 0x36))
    connection.execute(
        "create or replace temp macro forgotten_hash(x) as"
        f" sha256(unhex('{outer}') || unhex(sha256(unhex('{inner}') || encode(x))))"
    )


def _words_sql(text: str) -> str:
    """SQL: the words of a text, as a list."""
    return "list_concat({})".format(
        ", ".join(f"regexp_extract_all({text}, {literal(words)})" for words in _WORDS)
    )


def _is_hashed(text: str, hashes: Iterable[str]) -> str:
    return f"forgotten_hash({text}) in {_listed(hashes, '()')}"


def _listed(hashes: Iterable[str], brackets: str) -> str:
    return brackets[0] + ", ".join(map(literal, sorted(hashes))) + brackets[1]
