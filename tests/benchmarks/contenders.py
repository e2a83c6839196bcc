"""Who answers the two questions of `peers`, each from the same file of events.

How often each stage was followed by which other, and after how long in it: rows of stage, next
stage, count and seconds. How many customers got to each step of a funnel: a row of counts.
"""

import importlib.util
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb

from tests.benchmarks.by_hand import (
    FIRST_ENTRY_FUNNEL,
    MOVES,
    STEPS,
    VISITS,
    VISITS_OF_ATTEMPTS,
    WINDOW_DAYS,
    any_entry_funnel,
    polars_funnel,
    polars_moves,
    polars_shifts,
    polars_windows,
)
from tests.benchmarks.scale import THREADS, query

if TYPE_CHECKING:
    import pandas as pd

# Two events of one moment are in the order of their stages, for all alike.
ORDER = ("event_ts", "stage")
AS_RAW = "(select entity_id as customer_id, stage as event_name, event_ts as occurred_at from '{}')"
OUR_MOVES = """
    select from_stage_id, to_stage_id, count(*), sum(duration_us) // 1000000
    from {schema}.fct_stage_transitions group by from_stage_id, to_stage_id
"""
OUR_FUNNEL = """
    with furthest as (
        select entity_id, max(furthest_step) as step from {schema}.fct_funnel_attempts
        where funnel_id = 'five_steps' group by entity_id
    )
    select {counts} from furthest
"""
# By schema; the first is computed when it is asked, the second is stored for readers.
NAMES = {"marts": "the fact's view", "published": "the fact published"}
# Its default mode: events of one moment count in the order of the conditions, other events
# between the steps do not matter, and a later entry takes the place of an earlier one.
WINDOW_FUNNEL = """
    with furthest as (
        select entity_id, windowFunnel({seconds})(toDateTime(event_ts), {conditions}) as step
        from file('{path}', Parquet)
        where stage in ({stages})
        group by entity_id
    )
    select {counts} from furthest
    settings max_threads = {threads}, max_bytes_before_external_group_by = {memory},
        schema_inference_make_columns_nullable = 0
"""

LOADED = "events loaded"
ALL_MOVES = "moves between visits"
MOVES_OF_ATTEMPTS = "moves within attempts"
FIRST_ENTRY = "the funnel from the first entry"
ANY_ENTRY = "the funnel from any entry"


class Contender(NamedTuple):
    """A piece of work that answers a question; to one question there is one answer."""

    name: str
    question: str
    work: Callable[[], Sequence[Any]]
    prepare: Callable[[], Any] | None = None


def rivals_in_moves(path: Path, folder: Path, memory_mb: float) -> list[Contender]:
    """Those who find the moves; `memory_mb` is for the engines that can be told."""

    def sql(visits: str) -> Sequence[Any]:
        moves = MOVES.format(visits=visits.format(path=path, order=", ".join(ORDER)))
        return sorted(ask_duckdb(moves, folder, memory_mb))

    def polars(visits: Callable[..., Any]) -> Sequence[Any]:
        return sorted(polars_moves(visits(path, *ORDER)).collect(engine="streaming").rows())

    return [
        Contender("the query, in DuckDB", ALL_MOVES, lambda: sql(VISITS)),
        Contender(
            "the query with attempts, in DuckDB",
            MOVES_OF_ATTEMPTS,
            lambda: sql(VISITS_OF_ATTEMPTS),
        ),
        Contender("polars, windows", ALL_MOVES, lambda: polars(polars_windows), import_polars),
        Contender(
            "polars, shifts by hand", ALL_MOVES, lambda: polars(polars_shifts), import_polars
        ),
        Contender("pm4py", ALL_MOVES, lambda: pm4py_moves(path), import_pm4py),
        Contender("pm4py: loading", LOADED, lambda: [len(pm4py_log(path))], import_pm4py),
    ]


def rivals_in_funnels(path: Path, folder: Path, memory_mb: float) -> list[Contender]:
    """Those who count the funnel; ClickHouse where chdb is installed."""
    first_entry = FIRST_ENTRY_FUNNEL.format(events=AS_RAW.format(path))
    found = [
        Contender(
            "SQL by hand from the first entry, in DuckDB",
            FIRST_ENTRY,
            lambda: ask_duckdb(first_entry, folder, memory_mb),
        ),
        Contender(
            "SQL by hand, ASOF joins, in DuckDB",
            ANY_ENTRY,
            lambda: ask_duckdb(any_entry_funnel(path), folder, memory_mb),
        ),
        Contender(
            "polars, windows, the funnel",
            ANY_ENTRY,
            lambda: polars_funnel(path).collect(engine="streaming").rows(),
            import_polars,
        ),
    ]
    if has_chdb():
        found.append(
            Contender(
                "ClickHouse's windowFunnel",
                ANY_ENTRY,
                lambda: ask_clickhouse(path, memory_mb),
                import_chdb,
            )
        )
    return found


def ours_in_moves(warehouse: Path) -> list[Contender]:
    return _ours(warehouse, OUR_MOVES, MOVES_OF_ATTEMPTS, "moves")


def ours_in_funnels(warehouse: Path) -> list[Contender]:
    counts = counts_of_steps("count(*) filter (step >= {step})")
    return _ours(warehouse, OUR_FUNNEL.replace("{counts}", counts), ANY_ENTRY, "funnel")


def _ours(warehouse: Path, sql: str, question: str, what: str) -> list[Contender]:
    def ask(schema: str) -> Contender:
        name = NAMES[schema]
        return Contender(
            f"{name}, asked for the {what}",
            question,
            lambda: sorted(query(warehouse, sql.format(schema=schema))),
        )

    return [ask(schema) for schema in NAMES]


def ask_duckdb(sql: str, folder: Path, memory_mb: float) -> list[Any]:
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": THREADS,
        "memory_limit": f"{memory_mb:.0f}MiB",
        "temp_directory": str(folder / "spilled"),
    }
    with duckdb.connect(config=config) as connection:
        return connection.execute(sql).fetchall()


def ask_clickhouse(path: Path, memory_mb: float) -> list[Any]:
    import chdb

    stages = [f"'stage_{step}'" for step in range(1, STEPS + 1)]
    sql = WINDOW_FUNNEL.format(
        path=path,
        seconds=WINDOW_DAYS * 86_400,
        conditions=", ".join(f"stage = {stage}" for stage in stages),
        stages=", ".join(stages),
        counts=counts_of_steps("countIf(step >= {step})"),
        threads=THREADS,
        memory=int(memory_mb * 2**20),
    )
    answer = json.loads(str(chdb.query(sql, "JSONCompact")))
    return [tuple(int(count) for count in row) for row in answer["data"]]


def pm4py_moves(path: Path) -> list[Any]:
    """The directly-follows graph with its times, of a log whose repeated stages are one.

    They are dropped by pandas: pm4py's own filter for it fails on pandas 3, and without that a
    time would be counted from the last event of a stage.
    """
    import pm4py

    log = pm4py_log(path)
    before = log.groupby("case:concept:name")["concept:name"].shift().fillna("")
    visits = log[log["concept:name"] != before]
    counts = pm4py.discover_dfg(visits)[0]
    times = pm4py.discover_performance_dfg(visits)[0]
    return sorted((*pair, int(counts[pair]), round(times[pair]["sum"])) for pair in counts)


def pm4py_log(path: Path) -> "pd.DataFrame":
    import pandas as pd
    import pm4py

    events = pd.read_parquet(path, columns=["entity_id", "stage", "event_ts"])
    log: pd.DataFrame = pm4py.format_dataframe(
        events, case_id="entity_id", activity_key="stage", timestamp_key="event_ts"
    )
    return log


def counts_of_steps(count: str) -> str:
    return ", ".join(count.format(step=step) for step in range(1, STEPS + 1))


def has_chdb() -> bool:
    return importlib.util.find_spec("chdb") is not None


def import_polars() -> None:
    os.environ["POLARS_MAX_THREADS"] = str(THREADS)
    import polars  # noqa: F401  its threads are started before the clock


def import_pm4py() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # its greeting
    import pm4py  # noqa: F401  seconds, and the same for any size


def import_chdb() -> None:
    import chdb  # noqa: F401  600 MB of library are mapped before the clock
