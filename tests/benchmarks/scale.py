"""Facts, measures and gaps at 1, 5 and 20 million events, beside the query and the library.

`make bench [SIZES=1,5,20]`. Per size, on one Parquet file made here, each contender in a
process of its own on two threads: CPU seconds, wall seconds and peak resident memory. Of dbt's
models only their own work counts (what runs between a node's start and its end), not dbt's
start-up, which is the same at every size and shown apart.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from orchestration.journey_map import load_journey_map, write_seeds
from orchestration.landing.contract import create_tables_sql
from orchestration.settings import PROJECT_DIR, Settings
from tests.benchmarks.by_hand import FIRST_ENTRY_FUNNEL, VISITS, polars_shifts, polars_windows
from tests.benchmarks.measuring import Cost, cpu_seconds, measured
from tests.maps import write_tables

if TYPE_CHECKING:
    import polars as pl

MILLION = 1_000_000
INCREMENT = 50_000
THREADS = 2
STAGES = 8
ROUNDS = 3
# Of a case on average, where nothing else is asked for.
EVENTS_A_CASE = 6.9

MAP = {
    "journeys": """
        journey_id,name,entity,attempt_gap_days,order_mode,time_zone,conversion_window_days
        buying,Buying,customer,60,ordered,Europe/Berlin,30
    """,
    "stages": "journey_id,stage_id,stage_order,phase,stage_kind\n"
    + "".join(
        f"buying,stage_{number},{number},purchase,{'success' if number == STAGES else 'progress'}\n"
        for number in range(1, STAGES + 1)
    ),
    "stage_rules": "journey_id,stage_id,source,event_name,priority\n"
    + "".join(f"buying,stage_{n},events,stage_{n},1\n" for n in range(1, STAGES + 1)),
    "entity_links": """
        journey_id,source,entity_column
        buying,events,customer_id
    """,
    "funnels": """
        funnel_id,journey_id,name,order_mode,conversion_window_days
        five_steps,buying,Five steps,ordered,30
    """,
    "funnel_steps": "funnel_id,step_order,step_name,source,event_name\n"
    + "".join(f"five_steps,{n},Step {n},events,stage_{n}\n" for n in range(1, 6)),
    "benchmarks": "benchmark_id,metric_id,definition_version,journey_id,stage_id,kind,value,"
    "source\n"
    + "".join(
        f"rate_{n},conversion_rate,1,buying,stage_{n},target,0.6,made up\n"
        f"days_{n},time_to_advance_p50,1,buying,stage_{n},target,2,made up\n"
        for n in range(1, STAGES)
    ),
}

FACT_FUNNEL = """
    select furthest_step, count(*) from {schema}.fct_funnel_attempts
    where funnel_id = 'five_steps' group by furthest_step
"""
# As publishing does, for those who read with a tool.
PUBLISH_FUNNEL = """
    create schema published;
    create table published.fct_funnel_attempts as from marts.fct_funnel_attempts
"""
# The columns that the facts' views make when they are read.
READ_FACTS = """
    select bit_xor(hash(visits)) from marts.fct_stage_visits as visits
    union all
    select bit_xor(hash(transitions)) from marts.fct_stage_transitions as transitions
"""
GROUPS = {
    "facts": (
        *("int_stage_visits", "int_visit_touchpoints", "fct_stage_visits"),
        "fct_stage_transitions",
    ),
    "gaps": ("gap_ranking", "gap_trends", "int_benchmark_survival", "int_benchmarks"),
}
FACTS_ALONE = ("--full-refresh", "--select", *GROUPS["facts"])


def write_parquet(
    path: Path,
    increment: Path,
    events: int,
    seed: float = 0.5,
    events_a_case: float = EVENTS_A_CASE,
) -> None:
    """Long-tailed cases over 100 weeks: repeats, back moves, returns after quiet, some wins.

    The events that come last are not in the file but in the increment. Cases with more events
    move on more slowly, by as much.
    """
    cases = int(events / events_a_case)
    longer = events_a_case / EVENTS_A_CASE
    everything = path.with_name("everything.parquet")
    with duckdb.connect() as connection:
        connection.execute(f"set threads = 1; set memory_limit = '6GB'; select setseed({seed})")
        connection.execute(f"""
            copy (
                with cases as (
                    select
                        number,
                        least(400, floor({3 * longer} * pow(random(), -0.62)))::int as length,
                        (random() * 86400 * 700)::bigint as began,
                        (random() * 8)::int as segment,
                        random() as pace,
                        (0.3 + random()) / {longer} as speed,
                        random() < 0.3 as wins,
                        random() < 0.1 as returns
                    from range({cases}) as cases (number)
                ),
                events as (
                    select
                        *,
                        began + (place * 86400 * pace * 2 + random() * 86400 * pace * 3)::bigint
                        + case when returns and place * 2 > length then 86400 * 70 else 0 end
                            as second,
                        case
                            when wins and place = length - 1 then {STAGES}
                            else least(
                                {STAGES - 1}, 1 + floor(place * speed * (0.4 + random() * 0.6))
                            )::int
                        end as stage
                    from cases, range(0, length) as places (place)
                )
                -- Names after the sort, which then carries numbers alone.
                select
                    'cust_' || lpad(number::varchar, 9, '0') as entity_id,
                    'stage_' || stage as stage,
                    timestamp '2023-01-02' + second * interval 1 second as event_ts,
                    'ev' || lpad(event_number::varchar, 12, '0') as event_id,
                    'segment_' || segment as segment
                from (
                    select number, stage, second, segment, row_number() over () as event_number
                    from events
                    where second < 86400 * 700
                    order by second, stage
                )
            ) to '{everything}' (format parquet)
        """)
        connection.execute(f"""
            set variable began = (
                select event_ts from '{everything}'
                order by event_ts desc limit 1 offset {INCREMENT - 1}
            );
            copy (
                select * from '{everything}' where event_ts < getvariable('began')
            ) to '{path}' (format parquet);
            copy (
                select * from '{everything}' where event_ts >= getvariable('began')
            ) to '{increment}' (format parquet)
        """)
    everything.unlink()


def write_warehouse(settings: Settings, path: Path) -> None:
    """The file as landed rows: what landing writes, without its work."""
    settings.home.mkdir(parents=True)
    with duckdb.connect(str(settings.warehouse)) as connection:
        for statement in create_tables_sql():
            connection.execute(statement)
        connection.execute(insert_sql(f"'{path}'", 1))


def insert_sql(relation: str, load: int, suffix: str = "") -> str:
    """Landed rows of load number `load`; with a suffix, other events than those they are of."""
    return f"""
        insert into raw.events by name
        select
            event_id || '{suffix}' as event_id,
            entity_id as customer_id,
            stage as event_name,
            event_ts as occurred_at,
            '{{"segment": "' || segment || '"}}' as properties,
            md5(event_id || '{suffix}') as content_hash,
            {load} as load_id,
            timestamp '2026-01-01' as loaded_at,
            'events.parquet' as source_file
        from {relation};
        insert into raw.loads by name
        select {load} as load_id, 'events' as table_name, 'landed' as status
    """


def scattered(path: Path) -> str:
    """As many events, but of customers of any age, each as likely as it has events."""
    return f"""(
        select
            event_id,
            entity_id,
            stage,
            segment,
            (select max(event_ts) from '{path}')
            - (hash(event_id) % (86400 * 3))::bigint * interval 1 second as event_ts
        from '{path}'
        using sample reservoir({INCREMENT} rows) repeatable (7)
    )"""


def add_load(settings: Settings, relation: str, load: int) -> None:
    with duckdb.connect(str(settings.warehouse)) as connection:
        connection.execute(insert_sql(relation, load, f"-{load}"))


def build(settings: Settings, *arguments: str) -> dict[str, Any]:
    """One dbt run; per node wall seconds, and CPU seconds where settings have one thread."""
    os.chdir(PROJECT_DIR)
    os.environ.update(settings.environ())
    from dbt.cli.main import dbtRunner

    began: dict[str, tuple[float, float]] = {}
    nodes: dict[str, tuple[float, float]] = {}

    def watch(event: Any) -> None:
        if event.info.name not in ("NodeStart", "NodeFinished"):
            return
        name = event.data.node_info.node_name
        now = (cpu_seconds(), time.perf_counter())
        if event.info.name == "NodeStart":
            began[name] = now
        else:
            nodes[name] = (now[0] - began[name][0], now[1] - began[name][1])

    result = dbtRunner(callbacks=[watch]).invoke(
        ["run", "--quiet", "--profiles-dir", ".", *arguments]
    )
    if not result.success:
        raise SystemExit(f"dbt failed: {result.exception or result.result}")
    return nodes


def seed(settings: Settings) -> None:
    os.chdir(PROJECT_DIR)
    os.environ.update(settings.environ())
    from dbt.cli.main import dbtRunner

    if not dbtRunner().invoke(["seed", "--quiet", "--profiles-dir", "."]).success:
        raise SystemExit("dbt seed failed")


def group_of(node: str, folders: dict[str, str]) -> str:
    for group, names in GROUPS.items():
        if node in names:
            return group
    if "funnel" in node:
        return "funnels"
    return "measures" if folders.get(node) == "measures" else "mapping"


def by_group(nodes: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    folders = {path.stem: path.parent.name for path in (PROJECT_DIR / "models").rglob("*.sql")}
    groups: dict[str, tuple[float, float]] = {}
    for node, (cpu, wall) in nodes.items():
        group = group_of(node, folders)
        before = groups.get(group, (0.0, 0.0))
        groups[group] = (before[0] + cpu, before[1] + wall)
    groups["all models"] = (
        sum(cpu for cpu, _ in nodes.values()),
        sum(wall for _, wall in nodes.values()),
    )
    return groups


def store_visits(path: Path, folder: Path) -> None:
    with duckdb.connect(str(folder / "visits.duckdb"), config={"threads": THREADS}) as connection:
        visits = VISITS.format(path=path, order="event_ts")
        connection.execute(f"create table visits as {visits}")
    (folder / "visits.duckdb").unlink()


def sink(visits: "pl.LazyFrame", folder: Path) -> None:
    visits.sink_parquet(folder / "polars.parquet")
    (folder / "polars.parquet").unlink()


def query(warehouse: Path, sql: str) -> list[Any]:
    with duckdb.connect(str(warehouse), read_only=True, config={"threads": THREADS}) as connection:
        return connection.execute(sql).fetchall()


def line(what: str, cpu: float, wall: float, peak: float | None = None) -> None:
    memory = "" if peak is None else f"{peak:,.0f}"
    print(f"| {what} | {cpu:.2f} | {wall:.2f} | {memory} |", flush=True)


def main() -> None:
    sizes = [float(size) for size in os.environ.get("SIZES", "1,5,20").split(",")]
    os.environ["POLARS_MAX_THREADS"] = str(THREADS)
    increments: dict[float, float] = {}
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
            increments[size] = run_size(Path(name), size)
    first, last = increments[sizes[0]], increments[sizes[-1]]
    if len(sizes) > 1:
        print(f"\nincrement at {sizes[-1]:g} M / at {sizes[0]:g} M: {last / first:.2f}")


def show_build(what: str, cost: Cost) -> dict[str, tuple[float, float]]:
    groups = by_group(cost.result)
    for group in ("mapping", "facts", "funnels", "measures", "gaps", "all models"):
        line(f"{what}: {group}", *groups[group], cost.peak_mb if group == "all models" else None)
    if os.environ.get("VERBOSE"):
        slowest = sorted(cost.result.items(), key=lambda item: -item[1][0])[:25]
        print(json.dumps({node: round(cpu, 1) for node, (cpu, _) in slowest}))
    return groups


def median(costs: list[Cost]) -> Cost:
    """By CPU seconds: on a shared machine one run in three may take a third longer."""
    return sorted(costs, key=lambda cost: cost.cpu_seconds)[len(costs) // 2]


def rounds(contenders: dict[str, Callable[[], Any]]) -> dict[str, Cost]:
    """The median of each, run in turns so that a slow minute hits all of them."""
    costs = [{name: measured(work) for name, work in contenders.items()} for _ in range(ROUNDS)]
    medians = {name: median([turn[name] for turn in costs]) for name in contenders}
    for name, cost in medians.items():
        line(name, cost.cpu_seconds, cost.wall_seconds, cost.peak_mb)
    return medians


def ratio(what: str, part: Sequence[float], whole: Sequence[float]) -> None:
    print(f"| {what} | {part[0] / whole[0]:.2f} | {part[1] / whole[1]:.2f} |", flush=True)


def run_size(folder: Path, size: float) -> float:
    """The CPU seconds of the increment's models."""
    path, increment = folder / "events.parquet", folder / "increment.parquet"
    write_parquet(path, increment, int(size * MILLION))
    [(events, entities)] = duckdb.sql(
        f"select count(*), count(distinct entity_id) from '{path}'"
    ).fetchall()
    print(f"\n### {events:,} events of {entities:,} customers\n")
    print("| what | CPU s | wall s | peak MB |\n|---|---|---|---|")
    settings = Settings(home=folder / "home", threads=1)
    write_seeds(load_journey_map(write_tables(folder / "map", MAP)), settings.seed_dir)
    try:
        write_warehouse(settings, path)
        measured(lambda: seed(settings))
        full = show_build("full build", measured(lambda: build(settings)))
        visits = rounds(
            {
                "the query, in DuckDB": lambda: store_visits(path, folder),
                "polars, windows": lambda: sink(polars_windows(path, "event_ts"), folder),
                "polars, shifts by hand": lambda: sink(polars_shifts(path, "event_ts"), folder),
                "facts, with dbt's start": lambda: build(settings, *FACTS_ALONE),
            }
        )
        facts = by_group(visits["facts, with dbt's start"].result)["facts"]
        line("facts, alone", *facts)
        with duckdb.connect(str(settings.warehouse)) as connection:
            connection.execute(PUBLISH_FUNNEL)
        reads = rounds(
            {
                "every column of both facts, read": lambda: query(settings.warehouse, READ_FACTS),
                "five-step funnel, raw events": lambda: query(
                    settings.warehouse, FIRST_ENTRY_FUNNEL.format(events="raw.events")
                ),
                "five-step funnel, the fact's view": lambda: query(
                    settings.warehouse, FACT_FUNNEL.format(schema="marts")
                ),
                "five-step funnel, the fact published": lambda: query(
                    settings.warehouse, FACT_FUNNEL.format(schema="published")
                ),
            }
        )
        add_load(settings, f"'{increment}'", 2)
        next_events = show_build("50,000 more", measured(lambda: build(settings)))
        add_load(settings, scattered(path), 3)
        show_build("50,000 of any customers", measured(lambda: build(settings)))
    finally:
        for file in settings.seed_dir.iterdir():
            file.unlink()
        settings.seed_dir.rmdir()
    later = [sum(full[group][part] for group in ("measures", "gaps")) for part in (0, 1)]
    raw = reads["five-step funnel, raw events"][1:]
    print("\n| ratio | CPU | wall |\n|---|---|---|")
    ratio("facts / the query", facts, visits["the query, in DuckDB"][1:])
    ratio("facts / polars, windows", facts, visits["polars, windows"][1:])
    ratio("measures and gaps / facts", later, facts)
    ratio("funnel from raw / from the view", raw, reads["five-step funnel, the fact's view"][1:])
    ratio("funnel from raw / published", raw, reads["five-step funnel, the fact published"][1:])
    ratio("increment / full build", next_events["all models"], full["all models"])
    return next_events["all models"][0]


if __name__ == "__main__":
    main()
