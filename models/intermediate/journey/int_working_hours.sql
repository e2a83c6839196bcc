{#- W(t), the working microseconds of a calendar from 1970 to t: its stored values stay
    when older rows arrive. The clock runs while the wall clock shows working hours, so a
    skipped hour has none of them and a repeated one has them twice. Asked for is only
    the local time of a moment, which is the same on every engine. -#}
with

calendars as (
    select * from {{ ref('calendars') }}
),

holidays as (
    select * from {{ ref('holidays') }}
),

zones as (
    select distinct time_zone
    from calendars
),

days as (
    {{ clock_days() }}
),

hours as (
    select {{ unnest_numbers(1, 24) }} as hour_number
),

minutes as (
    select {{ unnest_numbers(0, 59) }} as minute_number
),

-- A day of the UTC clock touches two days of a local one: itself, and one beside it.
day_shifts as (
    select {{ unnest_numbers(-1, 1) }} as day_shift
),

zone_days as (
    select
        zones.time_zone,
        days.day_number,
        days.day_number * 86400000000 as day_us,
        timestamp '1970-01-01 00:00:00'
        + days.day_number * interval '1' day as day_starts_at
    from zones
    cross join days
),

day_offsets as (
    select
        *,
        {{ epoch_us(to_local('day_starts_at', 'time_zone')) }} - day_us as offset_us
    from zone_days
),

next_offsets as (
    select
        *,
        coalesce(
            lead(offset_us) over (partition by time_zone order by day_number),
            offset_us
        ) as next_offset_us
    from day_offsets
),

changing_hours as (
    select
        next_offsets.time_zone,
        next_offsets.day_number,
        next_offsets.next_offset_us,
        next_offsets.day_us + hours.hour_number * 3600000000 as hour_us,
        next_offsets.day_starts_at
        + hours.hour_number * interval '1' hour as hour_starts_at
    from next_offsets
    cross join hours
    where next_offsets.offset_us <> next_offsets.next_offset_us
),

-- The first whole hour after a change.
changed_hours as (
    select
        time_zone,
        day_number,
        next_offset_us,
        min(hour_us) as hour_us,
        min(hour_starts_at) as hour_starts_at
    from changing_hours
    where
        {{ epoch_us(to_local('hour_starts_at', 'time_zone')) }} - hour_us
        = next_offset_us
    group by
        time_zone,
        day_number,
        next_offset_us
),

changing_minutes as (
    select
        changed_hours.time_zone,
        changed_hours.day_number,
        changed_hours.next_offset_us,
        changed_hours.hour_us
        - minutes.minute_number::bigint * 60000000 as minute_us,
        changed_hours.hour_starts_at
        - minutes.minute_number * interval '1' minute as minute_starts_at
    from changed_hours
    cross join minutes
),

-- Clocks change on a whole minute.
changes as (
    select
        time_zone,
        day_number,
        min(minute_us) as change_us
    from changing_minutes
    where
        {{ epoch_us(to_local('minute_starts_at', 'time_zone')) }} - minute_us
        = next_offset_us
    group by
        time_zone,
        day_number
),

-- The parts of a day before and after a change of the clocks; else the whole day.
parts as (
    select
        next_offsets.time_zone,
        next_offsets.day_number,
        next_offsets.offset_us,
        next_offsets.day_us as starts_us,
        coalesce(
            changes.change_us, next_offsets.day_us + 86400000000
        ) as ends_us
    from next_offsets
    left join changes
        on
            next_offsets.time_zone = changes.time_zone
            and next_offsets.day_number = changes.day_number
    union all
    select
        next_offsets.time_zone,
        next_offsets.day_number,
        next_offsets.next_offset_us as offset_us,
        changes.change_us as starts_us,
        next_offsets.day_us + 86400000000 as ends_us
    from next_offsets
    inner join changes
        on
            next_offsets.time_zone = changes.time_zone
            and next_offsets.day_number = changes.day_number
),

-- 1 January 1970 was a Thursday.
local_days as (
    select
        parts.time_zone,
        parts.day_number,
        parts.starts_us,
        parts.ends_us,
        (parts.day_number + day_shifts.day_shift + 3) % 7 + 1 as local_weekday,
        (parts.day_number + day_shifts.day_shift) * 86400000000
        - parts.offset_us as midnight_us,
        (
            timestamp '1970-01-01 00:00:00'
            + (parts.day_number + day_shifts.day_shift) * interval '1' day
        )::date as local_date
    from parts
    cross join day_shifts
),

spans as (
    select
        calendars.calendar_id,
        local_days.day_number,
        greatest(
            local_days.starts_us,
            local_days.midnight_us + {{ time_of_day_us('calendars.opens_at') }}
        ) as opens_us,
        least(
            local_days.ends_us,
            local_days.midnight_us + {{ time_of_day_us('calendars.closes_at') }}
        ) as closes_us
    from local_days
    inner join calendars
        on
            local_days.time_zone = calendars.time_zone
            and local_days.local_weekday = calendars.weekday
    left join holidays
        on
            calendars.calendar_id = holidays.calendar_id
            and local_days.local_date = holidays.holiday_date
    where holidays.holiday_date is null
),

working_spans as (
    select *
    from spans
    where opens_us < closes_us
),

calendar_days as (
    select distinct
        calendars.calendar_id,
        days.day_number,
        days.day_number * 86400000000 as day_us
    from calendars
    cross join days
),

-- A day without working hours opens and closes at its start.
daily_spans as (
    select
        calendar_days.calendar_id,
        calendar_days.day_number,
        calendar_days.day_us,
        coalesce(working_spans.opens_us, calendar_days.day_us) as opens_us,
        coalesce(working_spans.closes_us, calendar_days.day_us) as closes_us
    from calendar_days
    left join working_spans
        on
            calendar_days.calendar_id = working_spans.calendar_id
            and calendar_days.day_number = working_spans.day_number
),

-- A segment has the hours before its span, and the day's last one those after it too.
segments as (
    select
        calendar_id,
        opens_us,
        closes_us,
        (
            timestamp '1970-01-01 00:00:00' + day_number * interval '1' day
        )::date as utc_day,
        case
            when lag(opens_us) over day_spans is null then day_us else opens_us
        end as starts_us,
        coalesce(
            lead(opens_us) over day_spans, day_us + 86400000000
        ) as ends_us,
        coalesce(
            sum(closes_us - opens_us) over earlier_spans, 0
        )::bigint as working_us_before
    from daily_spans
    window
        day_spans as (
            partition by calendar_id, day_number
            order by opens_us
        ),
        earlier_spans as (
            partition by calendar_id
            order by opens_us
            rows between unbounded preceding and 1 preceding
        )
),

final as (
    select
        calendar_id,
        utc_day,
        starts_us,
        ends_us,
        opens_us,
        closes_us,
        working_us_before
    from segments
)

select * from final
