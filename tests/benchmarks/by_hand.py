"""What one would write without journey-gaps, in SQL and in polars, on a file of events.

The file has the columns entity_id, stage ('stage_1' …), event_ts and segment. Where `order` is
asked for, it is what decides between the events of an entity.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

STEPS = 5
WINDOW_DAYS = 30

# Visits by two windows.
VISITS = """
    with events as (select entity_id, stage, event_ts, segment from '{path}'),
    stage_changes as (
        select *, lag(stage) over w as from_stage from events
        window w as (partition by entity_id order by {order})
    ),
    visits as (select * from stage_changes where from_stage is distinct from stage)
    select *, lead(event_ts) over v as exited_at, lead(stage) over v as to_stage from visits
    window v as (partition by entity_id order by {order})
"""
# The same where a success ends an attempt, and an entry after it or after 60 days of quiet begins
# another: what follows a success otherwise is none.
VISITS_OF_ATTEMPTS = """
    with events as (
        select
            entity_id, stage, event_ts, segment,
            stage = 'stage_1' as is_entry,
            case
                when stage = 'stage_8' then epoch_us(event_ts) * 2 + 1
                when stage = 'stage_1' then epoch_us(event_ts) * 2
            end as turn
        from '{path}'
    ),
    ordered as (
        select
            *,
            lag(stage) over w as from_stage,
            lag(event_ts) over w as previous_ts,
            coalesce(max(turn) over (
                partition by entity_id order by {order}
                rows between unbounded preceding and 1 preceding
            ) % 2 = 1, false) as is_after_success
        from events
        window w as (partition by entity_id order by {order})
    ),
    judged as (
        select
            *,
            from_stage is null or (is_entry and (
                is_after_success or event_ts - previous_ts > interval 60 day
            )) as begins
        from ordered
    ),
    visits as (
        select * from judged
        where begins or (not is_after_success and stage <> from_stage)
    ),
    followed as (
        select
            *,
            lead(event_ts) over v as next_ts,
            lead(stage) over v as next_stage,
            lead(begins) over v as next_begins
        from visits
        window v as (partition by entity_id order by {order})
    )
    select
        entity_id, stage, event_ts, segment,
        case when not next_begins then next_ts end as exited_at,
        case when not next_begins then next_stage end as to_stage
    from followed
"""
MOVES = """
    select stage, to_stage, count(*), sum(epoch_us(exited_at) - epoch_us(event_ts)) // 1000000
    from ({visits}) where to_stage is not null group by stage, to_stage
"""

# How many got to each step, each from its first entry.
FIRST_ENTRY_FUNNEL = """
    with steps as (
        select customer_id, event_name as step, occurred_at from {events}
        where event_name in ('stage_1', 'stage_2', 'stage_3', 'stage_4', 'stage_5')
    ),
    first as (select customer_id, min(occurred_at) as t1 from steps where step = 'stage_1'
        group by customer_id),
    second as (select f.customer_id, t1, min(occurred_at) as t2 from first f join steps s
        on s.customer_id = f.customer_id and step = 'stage_2' and occurred_at >= t1
        and occurred_at <= t1 + interval 30 day group by all),
    third as (select f.customer_id, t1, min(occurred_at) as t3 from second f join steps s
        on s.customer_id = f.customer_id and step = 'stage_3' and occurred_at >= t2
        and occurred_at <= t1 + interval 30 day group by all),
    fourth as (select f.customer_id, t1, min(occurred_at) as t4 from third f join steps s
        on s.customer_id = f.customer_id and step = 'stage_4' and occurred_at >= t3
        and occurred_at <= t1 + interval 30 day group by all),
    fifth as (select f.customer_id, t1, min(occurred_at) as t5 from fourth f join steps s
        on s.customer_id = f.customer_id and step = 'stage_5' and occurred_at >= t4
        and occurred_at <= t1 + interval 30 day group by all)
    select (select count(*) from first), (select count(*) from second),
        (select count(*) from third), (select count(*) from fourth), (select count(*) from fifth)
"""


def any_entry_funnel(path: Path) -> str:
    """SQL of how many got to each step, each from the entry that took it furthest.

    An event of a step continues the latest one that reached the step before: no entry would
    have been later.
    """
    steps = "".join(
        f""",
        reached_{step} as (
            select steps.entity_id, steps.event_ts, started_at
            from (select * from events where stage = 'stage_{step}') as steps
            asof join reached_{step - 1} as earlier
                on steps.entity_id = earlier.entity_id and steps.event_ts >= earlier.event_ts
            where steps.event_ts <= started_at + interval {WINDOW_DAYS} day
        )"""
        for step in range(2, STEPS + 1)
    )
    counts = ", ".join(
        f"(select count(distinct entity_id) from reached_{step})" for step in range(1, STEPS + 1)
    )
    return f"""
        with events as (select entity_id, stage, event_ts from '{path}'),
        reached_1 as (
            select entity_id, event_ts, event_ts as started_at
            from events where stage = 'stage_1'
        ){steps}
        select {counts}
    """


def polars_windows(path: Path, *order: str) -> "pl.LazyFrame":
    """VISITS in the library's own words: a window per entity, twice."""
    import polars as pl

    changes = _polars_events(path, order).with_columns(
        from_stage=pl.col("stage").shift().over("entity_id")
    )
    visits = changes.filter(pl.col("from_stage").ne_missing(pl.col("stage")))
    return visits.with_columns(
        exited_at=pl.col("event_ts").shift(-1).over("entity_id"),
        to_stage=pl.col("stage").shift(-1).over("entity_id"),
    )


def polars_shifts(path: Path, *order: str) -> "pl.LazyFrame":
    """The same without windows: the rows are sorted, so a neighbour is a shift away."""
    import polars as pl

    follows = pl.col("entity_id").shift() == pl.col("entity_id")
    changes = _polars_events(path, order).with_columns(
        from_stage=pl.when(follows).then(pl.col("stage").shift())
    )
    visits = changes.filter(pl.col("from_stage").ne_missing(pl.col("stage")))
    leads = pl.col("entity_id").shift(-1) == pl.col("entity_id")
    return visits.with_columns(
        exited_at=pl.when(leads).then(pl.col("event_ts").shift(-1)),
        to_stage=pl.when(leads).then(pl.col("stage").shift(-1)),
    )


def polars_moves(visits: "pl.LazyFrame") -> "pl.LazyFrame":
    """MOVES of polars' visits."""
    import polars as pl

    return (
        visits.filter(pl.col("to_stage").is_not_null())
        .group_by("stage", "to_stage")
        .agg(
            pl.len(),
            seconds=(pl.col("exited_at") - pl.col("event_ts")).dt.total_seconds().sum(),
        )
    )


def polars_funnel(path: Path) -> "pl.LazyFrame":
    """any_entry_funnel by windows: the start that reached a step is carried on to the next."""
    import polars as pl

    names = [f"stage_{step}" for step in range(1, STEPS + 1)]
    events = _polars_events(path, ("event_ts", "stage")).filter(pl.col("stage").is_in(names))
    started = pl.when(pl.col("stage") == names[0]).then(pl.col("event_ts"))
    events = events.with_columns(started_1=started)
    for step, name in enumerate(names[1:], start=2):
        latest = pl.col(f"started_{step - 1}").forward_fill().over("entity_id")
        is_within = pl.col("event_ts") - latest <= pl.duration(days=WINDOW_DAYS)
        started = pl.when((pl.col("stage") == name) & is_within).then(latest)
        events = events.with_columns(started.alias(f"started_{step}"))
    reached = [
        pl.col("entity_id").filter(pl.col(f"started_{step}").is_not_null()).n_unique().alias(name)
        for step, name in enumerate(names, start=1)
    ]
    return events.select(reached)


def _polars_events(path: Path, order: Sequence[str]) -> "pl.LazyFrame":
    import polars as pl

    columns = ["entity_id", "stage", "event_ts", "segment"]
    return pl.scan_parquet(path).select(columns).sort("entity_id", *order)
