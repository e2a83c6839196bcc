"""The raw contract (domain.md §4) as data, and the SQL that types landed text.

`CONTRACT` names the eleven raw tables: what their columns mean, which must be there, which
column is the time that drives meaning. Everything else here is generated from it: the tables
of the schemas `raw` and `quarantine`, and `judge_sql`, the one statement that turns landed
text into typed rows, each with the reason why it breaks the contract, if it does.

How text is read:

- Text is trimmed; what is then empty is null.
- A time is ISO 8601 (`2024-03-31T02:30:00+01:00`, `2024-03-31 02:30`, `2024-03-31`). With an
  offset it is converted to UTC; without one it is read in the source's time zone. Where clocks
  were set back, a time that happened twice is the later one (standard time); where they were
  set forward, a time that never happened is moved forward by the gap.
- A number has digits, a decimal point and perhaps an exponent; money is rounded to two decimals.
- JSON is an object. Its content, not its text, is compared: blanks and the order of its own keys
  do not matter.
- The score of an nps survey without a scale is one of 0 to 10; other surveys have no usual scale.

`content_hash` is the md5 of a JSON object of the typed values that are not null, so a column
added to the contract later changes no hash.
"""

# ruff: noqa: S608 - names come from the contract, texts pass through literal()

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum

import duckdb

from orchestration.quoting import literal, quoted

# Raise it when the typing of text changes: files that already landed then land again.
CONTRACT_VERSION = 2

CONFLICT_REASON = "one id with two contents"

# Rows that left raw or quarantine on purpose (load_id is that of origin): counts only, nothing
# that a person could be known by.
RELEASED = "released_rows"

# What landing keeps for itself, and what the models read too. Rows are only ever appended, each
# with its load_id.
OWN_BOOKS = {
    "file_columns": "One row per file, table and load, with the columns that the file had.",
    RELEASED: "One row per table, load of origin and reason, how many rows left on purpose.",
}
BOOKS = (*OWN_BOOKS, "landing_sources", "loads", "withdrawn_rows")

# Clocks of sources run ahead; more than this is a wrong time, not a fast clock.
CLOCK_SKEW_MINUTES = 5


class Kind(StrEnum):
    """What two rows of one id mean: two versions, or a contradiction."""

    RECORD = "record"
    IMMUTABLE = "immutable"


class Type(Enum):
    """What a column holds; the value is the SQL type of the raw table."""

    TEXT = ("VARCHAR", "text")
    JSON = ("VARCHAR", "a JSON object")
    TIME = ("TIMESTAMP", "a time (ISO 8601, such as 2024-03-31T14:05:00+02:00)")
    DATE = ("DATE", "a date (such as 2024-03-31)")
    BOOLEAN = ("BOOLEAN", "true or false")
    INTEGER = ("INTEGER", "a whole number")
    ORDINAL = ("BIGINT", "a whole number")
    DOUBLE = ("DOUBLE", "a number (decimal point, no thousands separator)")
    MONEY = ("DECIMAL(18,2)", "a number (decimal point, no thousands separator)")
    RATE = ("DECIMAL(18,8)", "a number (decimal point, no thousands separator)")

    @property
    def sql(self) -> str:
        """Type of the column in the raw table."""
        return self.value[0]

    @property
    def label(self) -> str:
        """What a value that cannot be read is not."""
        return self.value[1]


@dataclass(frozen=True)
class Column:
    """One column of the contract.

    `is_derived` columns come from no source column; `fallback` is SQL over the typed columns,
    and the landed texts ("landed <column>"), for a value that the source does not give.
    """

    name: str
    type: Type = Type.TEXT
    is_required: bool = False
    choices: tuple[str, ...] = ()
    is_derived: bool = False
    fallback: str | None = None


@dataclass(frozen=True)
class Rule:
    """What a row may not say: its value in `column`, where `broken` holds.

    `broken` is SQL over the typed columns, in which {zone} stands for the source's time zone.
    The reason reads: column, its value, `complaint`, and `other` with its value.
    """

    column: str
    broken: str
    complaint: str
    other: str | None = None


@dataclass(frozen=True)
class Table:
    """One raw table: `id_columns` identify a row, `time_column` drives its meaning."""

    name: str
    kind: Kind
    id_columns: tuple[str, ...]
    time_column: str
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...] = ()

    @property
    def landed_columns(self) -> tuple[Column, ...]:
        """Columns that a source can give."""
        return tuple(column for column in self.columns if not column.is_derived)

    @property
    def json_column(self) -> str | None:
        """Where values without a column of their own are kept, if anywhere."""
        return next((column.name for column in self.columns if column.type is Type.JSON), None)

    def column(self, name: str) -> Column | None:
        """The column of that name, None where the contract has none."""
        return next((column for column in self.columns if column.name == name), None)

    @property
    def row_id(self) -> str:
        """SQL over the typed columns: the id as one text, null where a part is missing."""
        return row_id_sql(quoted(name) for name in self.id_columns)


def _required(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, is_required=True) for name in names)


def _text(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name) for name in names)


def _time(name: str, is_required: bool = False) -> Column:
    return Column(name, Type.TIME, is_required)


_UPDATED = _time("source_updated_at")


def _not_before(later: str, earlier: str) -> Rule:
    """A time at midnight may be a date: of its own day nobody knows which came first."""
    local = "timezone({zone}, timezone('UTC', %s))"
    later_local, earlier_local = local % quoted(later), local % quoted(earlier)
    is_of_its_day = (
        f"{later_local} = date_trunc('day', {later_local})"
        f" and {later_local} = date_trunc('day', {earlier_local})"
    )
    broken = f"{quoted(later)} < {quoted(earlier)} and not ({is_of_its_day})"
    return Rule(later, broken, "is before", earlier)


_LANDED_SCALE = '"landed scale_min" is not null or "landed scale_max" is not null'


def _nps_default(bound: int) -> str:
    return f"""case when "survey" = 'nps' and not ({_LANDED_SCALE}) then {bound} end"""


# An answer that was never given may have any scale.
_SCORE_RULES = (
    *(
        Rule(
            "score",
            f'"score" is not null and "{bound}" is null and "landed {bound}" is null',
            f"is without a scale: {bound} is missing",
        )
        for bound in ("scale_min", "scale_max")
    ),
    Rule(
        "scale_min",
        '"score" is not null and "scale_min" >= "scale_max"',
        "is not below",
        "scale_max",
    ),
    Rule("score", '"score" < "scale_min" and "scale_min" < "scale_max"', "is below", "scale_min"),
    Rule("score", '"score" > "scale_max" and "scale_min" < "scale_max"', "is above", "scale_max"),
)

# A JSON array keeps nulls and separators apart; times are written as DuckDB writes them.
_EVENT_LOG_ID = """case when "source_case_id" is not null and "activity" is not null
    and "occurred_at" is not null then md5(to_json([
        "source_case_id", "activity", "lifecycle", "resource", "occurred_at"::varchar
    ])::varchar) end"""

CONTRACT: Mapping[str, Table] = {
    table.name: table
    for table in (
        Table(
            "crm_accounts",
            Kind.RECORD,
            ("account_id",),
            "created_at",
            (
                *_required("account_id"),
                *_text("name", "industry"),
                Column("employee_count", Type.INTEGER),
                *_text("region", "plan"),
                _time("created_at", is_required=True),
                _UPDATED,
            ),
        ),
        Table(
            "crm_contacts",
            Kind.RECORD,
            ("contact_id",),
            "created_at",
            (
                *_required("contact_id"),
                *_text("account_id", "customer_id", "email_hash", "persona"),
                *_text("acquisition_channel"),
                _time("created_at", is_required=True),
                _UPDATED,
            ),
        ),
        Table(
            "crm_opportunities",
            Kind.RECORD,
            ("opportunity_id",),
            "created_at",
            (
                *_required("opportunity_id"),
                *_text("account_id", "contact_id", "pipeline"),
                Column("amount", Type.MONEY),
                *_text("currency", "owner"),
                _time("created_at", is_required=True),
                _time("closed_at"),
                Column("is_won", Type.BOOLEAN),
                _UPDATED,
            ),
        ),
        Table(
            "support_contacts",
            Kind.RECORD,
            ("support_contact_id",),
            "opened_at",
            (
                *_required("support_contact_id"),
                *_text("customer_id"),
                Column("channel", choices=("call", "email", "chat")),
                *_text("topic"),
                _time("opened_at", is_required=True),
                _time("first_response_at"),
                _time("resolved_at"),
                *_text("agent_team"),
                _UPDATED,
            ),
            (
                _not_before("first_response_at", "opened_at"),
                _not_before("resolved_at", "opened_at"),
            ),
        ),
        Table(
            "survey_responses",
            Kind.RECORD,
            ("response_id",),
            "asked_at",
            (
                *_required("response_id"),
                *_text("customer_id"),
                Column("survey", is_required=True, choices=("nps", "csat", "ces")),
                Column("score", Type.DOUBLE),
                Column("scale_min", Type.DOUBLE, fallback=_nps_default(0)),
                Column("scale_max", Type.DOUBLE, fallback=_nps_default(10)),
                Column("is_higher_better", Type.BOOLEAN),
                *_text("verbatim", "touchpoint_id"),
                _time("asked_at", is_required=True),
                _time("answered_at"),
                _time("followed_up_at"),
                _UPDATED,
            ),
            (
                *_SCORE_RULES,
                _not_before("answered_at", "asked_at"),
                _not_before("followed_up_at", "answered_at"),
            ),
        ),
        Table(
            "fx_rates",
            Kind.RECORD,
            ("currency", "rate_date"),
            "rate_date",
            (
                *_required("currency"),
                Column("rate_date", Type.DATE, is_required=True),
                Column("rate_to_reporting_currency", Type.RATE, is_required=True),
                _UPDATED,
            ),
        ),
        Table(
            "events",
            Kind.IMMUTABLE,
            ("event_id",),
            "occurred_at",
            (
                *_required("event_id"),
                *_text("anonymous_id", "customer_id", "account_id", "session_id"),
                *_required("event_name"),
                _time("occurred_at", is_required=True),
                _time("received_at"),
                *_text("channel"),
                Column("properties", Type.JSON),
            ),
        ),
        Table(
            "crm_stage_changes",
            Kind.IMMUTABLE,
            ("change_id",),
            "changed_at",
            (
                *_required("change_id", "opportunity_id", "stage_name"),
                _time("changed_at", is_required=True),
                *_text("changed_by"),
            ),
        ),
        Table(
            "support_events",
            Kind.IMMUTABLE,
            ("support_event_id",),
            "occurred_at",
            (
                *_required("support_event_id", "support_contact_id", "kind"),
                *_text("agent_team"),
                _time("occurred_at", is_required=True),
            ),
        ),
        Table(
            "experiment_assignments",
            Kind.IMMUTABLE,
            ("experiment_id", "customer_id"),
            "assigned_at",
            (
                *_required("experiment_id", "customer_id", "arm"),
                _time("assigned_at", is_required=True),
            ),
        ),
        Table(
            "event_log",
            Kind.IMMUTABLE,
            ("event_id",),
            "occurred_at",
            (
                Column("event_id", fallback=_EVENT_LOG_ID),
                *_required("source_case_id"),
                Column("event_seq", Type.ORDINAL, is_derived=True),
                *_required("activity"),
                *_text("lifecycle", "resource"),
                _time("occurred_at", is_required=True),
                Column("attributes", Type.JSON),
            ),
        ),
    )
}

# What a withdrawn row belonged to: the entities whose history the facts must restate.
ENTITY_COLUMNS = (
    "customer_id",
    "anonymous_id",
    "account_id",
    "opportunity_id",
    "support_contact_id",
    "source_case_id",
)


def row_id_sql(parts: Iterable[str]) -> str:
    """SQL for an id of several parts as one text that no other parts can give."""
    texts = [f"{part}::varchar" for part in parts]
    if len(texts) == 1:
        return texts[0]
    escaped = [rf"replace(replace({text}, '\', '\\'), ':', '\:')" for text in texts]
    return " || ':' || ".join(escaped)


def json_object_sql(values: Mapping[str, str], embed: bool = False) -> str:
    """SQL for a JSON object of texts: keys in order, nulls left out.

    With `embed`, a text that is itself a JSON object or array is kept as one.
    """
    if not values:
        return "'{}'"
    fragment = "json_fragment({})" if embed else "to_json({})::varchar"
    pairs = [
        f"{literal(json.dumps(key, ensure_ascii=False) + ':')} || {fragment.format(value)}"
        for key, value in sorted(values.items())
    ]
    return "'{' || concat_ws(',', " + ", ".join(pairs) + ") || '}'"


def content_sql(table: Table) -> str:
    """SQL over typed columns: the row's content as JSON text, what `content_hash` is taken of."""
    return json_object_sql(
        {column.name: f"{quoted(column.name)}::varchar" for column in table.landed_columns}
    )


_OFFSET = r"(Z|[+-](0\d|1[0-4])(:?[0-5]\d)?)"
_TIME = rf"\d{{4}}-\d{{2}}-\d{{2}}([T ]\d{{2}}:\d{{2}}(:\d{{2}}(\.\d+)?{_OFFSET}?)?)?"
# Ruby's "2024-03-31 14:05:00 +0200", BigQuery's "… UTC", spreadsheets' "2024/3/31 14:05".
_LOOSE_TIME = (
    r"\d{4}[-/]\d{1,2}[-/]\d{1,2}([Tt ]\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?"
    rf"( ?(z|UTC|GMT|{_OFFSET}))?)?"
)
_NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
_WHOLE = r"[+-]?\d+(\.0*)?"
_DATE = rf"\d{{4}}-\d{{2}}-\d{{2}}([T ]00:00(:00(\.0+)?{_OFFSET}?)?)?"

# Temporary SQL functions: `judge_sql` and the mapping's expressions are written in them.
MACROS = (
    # Spreadsheets pad with no-break spaces.
    "landed_text(x) as nullif(trim(x, ' \t\r\n\u00a0'), '')",
    "shown(x) as '''' || case when length(x) > 60 then left(x, 60) || '…' else x end || ''''",
    # DuckDB reads NaN and Infinity as JSON; no other engine does.
    r"""strict_json(x) as case
        when not (contains(x, 'NaN') or contains(x, 'Infinity')) then try(json(x))::varchar
        when not regexp_matches(
            regexp_replace(x, '"(\\.|[^"\\])*"', '""', 'g'), 'NaN|Infinity'
        ) then try(json(x))::varchar
    end""",
    """json_fragment(x) as case
        when left(x, 1) in ('{', '[') then coalesce(strict_json(x), to_json(x)::varchar)
        else to_json(x)::varchar
    end""",
    # Two keys of one name have no order of their own: such an object stays as it came.
    """sorted_keys(x) as case
        when json_keys(x) = list_sort(json_keys(x)) then x
        else coalesce(
            try(to_json(map_from_entries(list_sort(map_entries(
                x::json::map(varchar, json)
            )))))::varchar,
            x
        )
    end""",
    "json_object(x) as case when x[1] = '{' then strict_json(x) end",
    """merged_json(x, y) as case
        when x is null then y
        when y is null or json_object(x) is null then x
        else json_merge_patch(x, y)::varchar
    end""",
    r"""plain_time(x) as replace(regexp_replace(regexp_replace(regexp_replace(
        x, ' ?(Z|z|UTC|GMT)$', '+00'), ' ([+-][0-9:]+)$', '\1'),
        '[Tt ](\d{1,2}:\d{2})([+-].*)?$', ' \1:00\2'), ',', '.')""",
    rf"""iso_time(x, zone) as case
        when regexp_matches(x, ':\d{{2}}(\.\d+)?{_OFFSET}$')
            then timezone('UTC', try_cast(x as timestamptz))
        when zone = 'UTC' then try_cast(x as timestamp)
        else timezone('UTC', timezone(zone, try_cast(x as timestamp)))
    end""",
    rf"""utc_time(x, zone) as case
        when regexp_full_match(x, '{_TIME}') then iso_time(x, zone)
        when regexp_full_match(x, '{_LOOSE_TIME}') then iso_time(plain_time(x), zone)
    end""",
    rf"plain_number(x) as case when regexp_full_match(x, '{_NUMBER}') then x end",
    rf"whole_number(x) as case when regexp_full_match(x, '{_WHOLE}') then x end",
    "finite(x) as case when isfinite(x) then x end",
    rf"""plain_date(x) as case
        when regexp_full_match(x, '{_DATE}') then try_cast(left(x, 10) as date)
    end""",
    """plain_boolean(x) as case
        when lower(x) in ('true', 't', 'yes', 'y', '1') then true
        when lower(x) in ('false', 'f', 'no', 'n', '0') then false
    end""",
)


def install_macros(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the functions that the generated SQL is written in, and read times as UTC."""
    connection.execute("set TimeZone = 'UTC'")
    for macro in MACROS:
        connection.execute(f"create or replace temp macro {macro}")


def _value_sql(column: Column, text: str, zone: str) -> str:
    """SQL that reads a landed text; null where it cannot be read."""
    match column.type:
        case Type.TEXT:
            return f"lower({text})" if column.choices else text
        case Type.JSON:
            return f"json_object({text})"
        case Type.TIME:
            return f"utc_time({text}, {zone})"
        case Type.DATE:
            return f"plain_date({text})"
        case Type.BOOLEAN:
            return f"plain_boolean({text})"
        case Type.INTEGER | Type.ORDINAL:
            return f"try_cast(whole_number({text}) as {column.type.sql})"
        case Type.DOUBLE:
            return f"finite(try_cast(plain_number({text}) as double))"
        case Type.MONEY | Type.RATE:
            return f"try_cast(plain_number({text}) as {column.type.sql})"


def _fault_sql(column: Column, text: str, value: str, zone: str, latest: str) -> str | None:
    """SQL for what is wrong with a value, null where nothing is."""

    def says(complaint: str) -> str:
        return f"{literal(column.name + ' ')} || shown({text}) || {literal(complaint)}"

    cases = []
    if column.is_required:
        cases.append(f"when {text} is null then {literal(column.name + ' is missing')}")
    if column.type is not Type.TEXT:
        complaint = says(f" is not {column.type.label}")
        cases.append(f"when {text} is not null and {value} is null then {complaint}")
    if column.choices:
        choices = ", ".join(map(literal, column.choices))
        complaint = says(f" is none of {', '.join(column.choices)}")
        cases.append(f"when {value} not in ({choices}) then {complaint}")
    if column.type in (Type.TIME, Type.DATE):
        # A date begins at midnight of its own time zone.
        moment = value
        if column.type is Type.DATE:
            moment = f"timezone('UTC', timezone({zone}, {value}::timestamp))"
        early = says(" is before 1970-01-01 UTC")
        late = says(f" is more than {CLOCK_SKEW_MINUTES} minutes after the load")
        cases.append(f"when {value} < '1970-01-01' then {early}")
        cases.append(f"when {moment} > {latest} then {late}")
    return f"case {' '.join(cases)} end" if cases else None


def _broken_sql(rule: Rule, zone: str) -> str:
    """SQL for what columns of one row say together that cannot be, null where nothing is."""

    def said(name: str) -> str:
        # A fallback has no text of its own.
        value = rf"regexp_replace({quoted(name)}::varchar, '\.0$', '')"
        value = f"coalesce({quoted('landed ' + name)}, {value})"
        return f"{literal(name + ' ')} || shown({value})"

    reason = f"{said(rule.column)} || {literal(' ' + rule.complaint)}"
    if rule.other is not None:
        reason += f" || ' ' || {said(rule.other)}"
    return f"case when {rule.broken.format(zone=zone)} then {reason} end"


def judge_sql(
    table: Table,
    rows: str,
    cells: Iterable[str],
    texts: Mapping[str, str],
    time_zone: str,
    loaded_at: datetime,
    condition: str = "true",
) -> str:
    """The statement that types landed rows and names what is wrong with each.

    `rows` is SQL for a relation with row_number (order in the file, from 1), source_line,
    fault (why the line could not be read, else null), raw_text (then the line) and the source
    columns `cells`; `texts` gives SQL over them, trimmed, for each landed column of the contract.
    A row that fails `condition` is left out, a line that could not be read never is.

    Columns of the result: those of the table, row_id, content_hash, reason (null: the row
    keeps the contract), content (JSON text, for quarantined rows), source_line.
    """
    zone = literal(time_zone)
    latest = f"timestamp {literal(str(loaded_at))} + interval {CLOCK_SKEW_MINUTES} minute"
    landed = table.landed_columns
    # Each step is a layer of its own: within one, what several expressions share is not shared.
    trimmed = "".join(f", landed_text({cell}) as {cell}" for cell in cells)
    texts_sql = ",\n    ".join(
        f"{texts.get(column.name, 'null::varchar')} as {quoted('landed ' + column.name)}"
        for column in landed
    )
    values = ",\n    ".join(
        f"row_number as {quoted(column.name)}"
        if column.is_derived
        else f"{_value_sql(column, quoted('landed ' + column.name), zone)} as {quoted(column.name)}"
        for column in table.columns
    )
    names = ", ".join(quoted(column.name) for column in table.columns)
    second_looks = {
        column.name: f"coalesce({quoted(column.name)}, {column.fallback})"
        for column in table.columns
        if column.fallback
    }
    if table.json_column:
        second_looks[table.json_column] = f"sorted_keys({quoted(table.json_column)})"
    replaced = ", ".join(f"{value} as {quoted(name)}" for name, value in second_looks.items())
    faults = [
        _fault_sql(column, quoted("landed " + column.name), quoted(column.name), zone, latest)
        for column in landed
    ]
    faults += [_broken_sql(rule, zone) for rule in table.rules]
    reason = f"nullif(concat_ws('; ', {', '.join(fault for fault in faults if fault)}), '')"
    landed_json = json_object_sql({c.name: quoted("landed " + c.name) for c in landed})
    return f"""
with cells as (
    select row_number, source_line, fault, raw_text{trimmed}
    from {rows} as rows
),

landed as (
    select row_number, source_line, fault, raw_text,
    {texts_sql}
    from cells
    where fault is not null or ({condition})
),

typed as (
    select *,
    {values}
    from landed
),

identified as (
    select *{f" replace ({replaced})" if replaced else ""}
    from typed
),

judged as (
    select *,
        case when fault is null then {table.row_id} end as row_id,
        coalesce(fault, {reason}) as reason
    from identified
),

described as (
    select *,
        case
            when fault is not null then {json_object_sql({"line": "raw_text"})}
            when reason is not null then {landed_json}
        end as "content"
    from judged
)

-- A row that broke the contract may keep it later (a clock, a mapping): its hash is of another
-- kind, so it never passes for a duplicate of the row that was refused.
select {names},
    row_id,
    case
        when reason is null then md5({content_sql(table)})
        else md5('refused ' || "content")
    end as content_hash,
    reason,
    "content",
    source_line
from described
"""


def create_tables_sql() -> list[str]:
    """Statements that create the schemas raw and quarantine where they are absent."""
    statements = ["create schema if not exists raw", "create schema if not exists quarantine"]
    for table in CONTRACT.values():
        columns = ", ".join(f"{quoted(c.name)} {c.type.sql}" for c in table.columns)
        lineage = (
            "content_hash VARCHAR, load_id BIGINT, loaded_at TIMESTAMP,"
            " source_file VARCHAR, source_line BIGINT"
        )
        statements += [
            f"create table if not exists raw.{table.name} ({columns}, {lineage})",
            f"create table if not exists quarantine.{table.name}"
            f' (row_id VARCHAR, reason VARCHAR, "content" VARCHAR, {lineage})',
        ]
    entities = ", ".join(f"{name} VARCHAR" for name in ENTITY_COLUMNS)
    statements += [
        "create table if not exists raw.withdrawn_rows"
        f" (table_name VARCHAR, row_id VARCHAR, load_id BIGINT, {entities})",
        "create table if not exists raw.loads (load_id BIGINT, loaded_at TIMESTAMP,"
        " table_name VARCHAR, source_name VARCHAR, source_file VARCHAR, file_sha256 VARCHAR,"
        " mapping_sha256 VARCHAR, rows_in BIGINT, rows_kept BIGINT, rows_quarantined BIGINT,"
        " rows_duplicate BIGINT, status VARCHAR, message VARCHAR)",
        "create table if not exists raw.landing_sources (source_name VARCHAR, table_name VARCHAR,"
        " source_start TIMESTAMP, extract_time TIMESTAMP, date_only_columns VARCHAR,"
        " load_id BIGINT)",
        f"create table if not exists raw.{RELEASED} (table_name VARCHAR, load_id BIGINT,"
        " released_at TIMESTAMP, reason VARCHAR, row_count BIGINT)",
        "create table if not exists raw.file_columns (load_id BIGINT, file_number BIGINT,"
        " table_name VARCHAR, source_name VARCHAR, source_file VARCHAR, file_sha256 VARCHAR,"
        " mapping_sha256 VARCHAR, time_zone VARCHAR, header VARCHAR)",
    ]
    return statements
