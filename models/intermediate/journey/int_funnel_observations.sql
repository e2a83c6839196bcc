with

funnel_steps as (
    select * from {{ ref('int_funnel_steps') }}
),

stage_observations as (
    select * from {{ ref('int_stage_observations') }}
),

extents as (
    select * from {{ ref('int_source_extents') }}
),

journey_observations as (
    select
        journey_id,
        max(as_of) as as_of
    from stage_observations
    group by journey_id
),

-- Whatever follows the first step must be complete, or a success that has not arrived
-- yet would be a failure.
funnel_extents as (
    select
        funnel_steps.funnel_id,
        funnel_steps.journey_id,
        funnel_steps.step_count,
        funnel_steps.window_us,
        case
            when count(*) = count(extents.complete_through)
                then min(extents.complete_through)
        end as complete_through
    from funnel_steps
    left join extents
        on funnel_steps.source = extents.source
    where
        funnel_steps.order_mode = 'any'
        or coalesce(funnel_steps.step_number, 0) <> 1
    group by
        funnel_steps.funnel_id,
        funnel_steps.journey_id,
        funnel_steps.step_count,
        funnel_steps.window_us
),

observations as (
    select
        funnel_extents.funnel_id,
        funnel_extents.journey_id,
        funnel_extents.step_count,
        funnel_extents.window_us,
        journey_observations.as_of,
        case
            when funnel_extents.complete_through < journey_observations.as_of
                then funnel_extents.complete_through
            when funnel_extents.complete_through is not null
                then journey_observations.as_of
        end as observed_through
    from funnel_extents
    inner join journey_observations
        on funnel_extents.journey_id = journey_observations.journey_id
)

select * from observations
