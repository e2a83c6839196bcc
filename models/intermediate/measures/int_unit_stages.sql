{#- Numbers for what is measured of units at stages, after those of int_cohort_stages,
    which some units are made of. -#}
with

units as (
    select * from {{ ref('int_measured_units') }}
),

observations as (
    select * from {{ ref('int_stage_observations') }}
),

cohort_stages as (
    select * from {{ ref('int_cohort_stages') }}
),

metrics as (
    select * from {{ ref('metrics') }}
),

-- A metric that the registry does not have is not measured.
registered as (
    select distinct {{ metric_family('metric_id') }} as metric_id
    from metrics
),

extents as (
    select
        metric_id,
        journey_id,
        stage_id,
        max(window_days) as window_days,
        max(observed_through) as observed_through
    from units
    group by
        metric_id,
        journey_id,
        stage_id
),

last_numbers as (
    select coalesce(max(stage_number), 0) as last_number
    from cohort_stages
),

unit_stages as (
    select
        extents.metric_id,
        extents.journey_id,
        extents.stage_id,
        observations.time_zone,
        observations.source_start,
        observations.as_of,
        extents.observed_through,
        extents.window_days as conversion_window_days,
        (
            last_numbers.last_number
            + row_number() over (
                order by
                    {{ binary_order('extents.metric_id') }},
                    {{ binary_order('extents.journey_id') }},
                    observations.stage_order
            )
        )::integer as stage_number
    from extents
    inner join registered
        on extents.metric_id = registered.metric_id
    inner join observations
        on
            extents.journey_id = observations.journey_id
            and extents.stage_id = observations.stage_id
    cross join last_numbers
)

select * from unit_stages
