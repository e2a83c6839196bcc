{#- What becomes of those who convert, and what a success of theirs is worth. -#}
with

entries as (
    select * from {{ ref('int_cohort_entries') }}
),

periods as (
    select * from {{ ref('int_periods') }}
),

cohort_stages as (
    select * from {{ ref('int_cohort_stages') }}
),

visit_segments as (
    select * from {{ ref('int_visit_segments') }}
),

segments as (
    select * from {{ ref('int_segments') }}
),

success_values as (
    select * from {{ ref('int_success_values') }}
),

latest_periods as (
    select
        periods.journey_id,
        periods.stage_id,
        periods.stage_number,
        periods.period_start,
        periods.period_end,
        cohort_stages.as_of
    from periods
    inner join cohort_stages
        on periods.stage_number = cohort_stages.stage_number
    where
        periods.weeks_back = 0
        and periods.metric_id is null
),

-- Nothing later than as_of is seen.
converters as (
    select
        entries.journey_id,
        entries.stage_id,
        entries.entity_id,
        entries.attempt_number,
        entries.visit_number,
        latest_periods.period_start,
        case when success_values.succeeded_at is null then 0 else 1 end
            as is_success,
        case
            when success_values.succeeded_at is not null then success_values.value
        end as success_value,
        case
            when success_values.succeeded_at is not null
                then success_values.value_basis
        end as value_basis
    from entries
    inner join latest_periods
        on
            entries.stage_number = latest_periods.stage_number
            and entries.entered_date >= latest_periods.period_start
            and entries.entered_date < latest_periods.period_end
    left join success_values
        on
            entries.journey_id = success_values.journey_id
            and entries.entity_id = success_values.entity_id
            and entries.attempt_number = success_values.attempt_number
            and latest_periods.as_of >= success_values.succeeded_at
    where entries.is_converted
),

segment_converters as (
    select
        journey_id,
        stage_id,
        period_start,
        0 as segment_number,
        is_success,
        success_value,
        value_basis
    from converters
    union all
    select
        converters.journey_id,
        converters.stage_id,
        converters.period_start,
        visit_segments.segment_number,
        converters.is_success,
        converters.success_value,
        converters.value_basis
    from converters
    inner join visit_segments
        on
            converters.journey_id = visit_segments.journey_id
            and converters.entity_id = visit_segments.entity_id
            and converters.attempt_number = visit_segments.attempt_number
            and converters.visit_number = visit_segments.visit_number
),

counts as (
    select
        journey_id,
        stage_id,
        period_start,
        segment_number,
        count(*)::bigint as converters,
        sum(is_success)::bigint as successes,
        count(success_value)::bigint as valued_successes,
        -- Decimals add up to the same in any order.
        sum(
            success_value::decimal(18, 4)
        )::{{ type_double() }} as value_sum,
        sum(
            case when value_basis = 'default' then 1 else 0 end
        )::bigint as default_values,
        sum(
            case when value_basis = 'missing_rate' then 1 else 0 end
        )::bigint as missing_rates
    from segment_converters
    group by
        journey_id,
        stage_id,
        period_start,
        segment_number
),

shares as (
    select
        counts.journey_id,
        counts.stage_id,
        segments.segment_dimension,
        segments.segment_value,
        counts.period_start,
        counts.converters,
        counts.successes,
        counts.valued_successes,
        counts.value_sum,
        counts.default_values,
        counts.missing_rates
    from counts
    inner join segments
        on counts.segment_number = segments.segment_number
    where segments.is_ranked
)

select * from shares
