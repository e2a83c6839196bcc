with

moves as (
    select * from {{ ref('int_stage_moves') }}
),

stages as (
    select * from {{ ref('dim_stages') }}
),

later_stages as (
    select *
    from stages
    where stage_kind <> 'exit'
),

stage_entries as (
    select
        journey_id,
        stage_id,
        min(period_start) as period_start,
        min(period_end) as period_end,
        count(*) as entries,
        count(case when is_case_start then 1 end) as inflow,
        count(case when is_start_of_success then 1 end) as inflow_successes
    from moves
    group by
        journey_id,
        stage_id
),

journey_periods as (
    select
        journey_id,
        min(period_start) as period_start,
        min(period_end) as period_end
    from stage_entries
    group by journey_id
),

stage_moves as (
    select
        journey_id,
        stage_id,
        to_stage_id,
        count(*) as moves,
        count(move_us) as timed_moves,
        sum(move_us) as moves_us
    from moves
    where to_stage_id is not null
    group by
        journey_id,
        stage_id,
        to_stage_id
),

-- Moves that nobody made too: a stage that nobody leaves has its entries all the same.
possible_moves as (
    select
        journey_periods.journey_id,
        journey_periods.period_start,
        journey_periods.period_end,
        stages.stage_id as from_stage_id,
        stages.stage_order as from_stage_order,
        later_stages.stage_id as to_stage_id,
        later_stages.stage_order as to_stage_order,
        later_stages.stage_kind = 'success' as is_success
    from journey_periods
    inner join stages
        on journey_periods.journey_id = stages.journey_id
    inner join later_stages
        on
            stages.journey_id = later_stages.journey_id
            and stages.stage_order < later_stages.stage_order
    where stages.stage_kind = 'progress'
),

flows as (
    select
        possible_moves.journey_id,
        possible_moves.period_start,
        possible_moves.period_end,
        possible_moves.from_stage_id,
        possible_moves.from_stage_order,
        possible_moves.to_stage_id,
        possible_moves.to_stage_order,
        possible_moves.is_success,
        coalesce(stage_entries.entries, 0)::bigint as entries,
        coalesce(stage_entries.inflow, 0)::bigint as inflow,
        coalesce(stage_entries.inflow_successes, 0)::bigint as inflow_successes,
        coalesce(stage_moves.moves, 0)::bigint as moves,
        coalesce(stage_moves.moves, 0)::{{ type_double() }}
        / stage_entries.entries as share,
        {{ days('stage_moves.moves_us') }}
        / nullif(stage_moves.timed_moves, 0) as mean_days
    from possible_moves
    left join stage_entries
        on
            possible_moves.journey_id = stage_entries.journey_id
            and possible_moves.from_stage_id = stage_entries.stage_id
    left join stage_moves
        on
            possible_moves.journey_id = stage_moves.journey_id
            and possible_moves.from_stage_id = stage_moves.stage_id
            and possible_moves.to_stage_id = stage_moves.to_stage_id
)

select * from flows
