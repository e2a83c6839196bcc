{#- A date in a time zone by an equality join and a comparison: asking the engine's
    calendar for every row costs more than all the measures together. -#}
with

cohort_stages as (
    select * from {{ ref('int_cohort_stages') }}
),

-- A period begins at most a month before the data do.
extents as (
    select
        time_zone,
        (min(source_start) - interval '33' day)::date as first_date,
        (max(as_of) + interval '1' day)::date as last_date
    from cohort_stages
    group by time_zone
),

utc_days as (
    select
        time_zone,
        {{ unnest_days('first_date', 'last_date') }} as utc_day
    from extents
),

local_dates as (
    select
        time_zone,
        utc_day,
        {{ to_local('utc_day::timestamp', 'time_zone') }}::date
            as first_local_date,
        {{ to_local(
            "(utc_day::timestamp + interval '1' day - interval '1 microsecond')",
            'time_zone',
        ) }}::date as last_local_date
    from utc_days
),

midnights as (
    select
        *,
        {{ to_utc('last_local_date::timestamp', 'time_zone') }} as midnight_at
    from local_dates
),

-- Where clocks are put back to midnight it comes twice, and the date changes at the
-- first.
days as (
    select
        time_zone,
        utc_day,
        first_local_date,
        last_local_date,
        {{ cohort_start('first_local_date') }} as first_cohort_start,
        {{ cohort_start('last_local_date') }} as last_cohort_start,
        case
            when
                {{ to_local("(midnight_at - interval '1' hour)", 'time_zone') }}::date
                = last_local_date
                then midnight_at - interval '1' hour
            else midnight_at
        end as turns_at
    from midnights
)

select * from days
