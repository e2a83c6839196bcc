{%- set nps_counts = [
    'satisfaction.promoters', 'satisfaction.detractors', 'satisfaction.nps_answers',
] %}

with

cells as (
    select * from {{ ref('int_key_moment_cells') }}
),

units as (
    select * from {{ ref('int_key_moment_units') }}
),

timed_units as (
    select * from {{ ref('int_key_moment_units') }}
),

scores as (
    select * from {{ ref('int_key_moment_scores') }}
),

scored_units as (
    select * from {{ ref('int_key_moment_units') }}
),

clusters as (
    select
        cell_number,
        cluster_id,
        count(*)::{{ type_double() }} as cases,
        sum(case when is_reached then 1 else 0 end)::{{ type_double() }} as reached
    from units
    group by
        cell_number,
        cluster_id
),

sums as (
    select
        cell_number,
        count(*) as n_clusters,
        sum(cases) as n,
        sum(reached) as reached,
        sum(reached) / sum(cases) as reach,
        sum(cases * cases) as sum_nn,
        sum(reached * reached) as sum_xx,
        sum(reached * cases) as sum_xn
    from clusters
    group by cell_number
),

reaches as (
    select
        *,
        n / {{ design_effect(
            'reach', 'n_clusters', 'sum_xx', 'sum_xn', 'sum_nn', 'n'
        ) }} as effective_n
    from sums
),

-- Of two dates less than a day apart nobody knows the time.
duration_counts as (
    select
        cell_number,
        coalesce(time_to_reach_us, -1) as duration_us,
        count(*) as cases
    from timed_units
    where
        time_to_reach_us is not null
        or not is_reached
    group by
        cell_number,
        coalesce(time_to_reach_us, -1)
),

-- In a mature period all cases are followed to the end of the window, for an attempt
-- lapses no sooner: Kaplan–Meier is counting here, and Greenwood's sum telescopes.
followed_counts as (
    select
        cell_number,
        duration_us,
        (sum(cases) over (partition by cell_number))::{{ type_double() }} as timed,
        (sum(case when duration_us >= 0 then cases else 0 end) over (
            partition by cell_number
            order by duration_us
            rows between unbounded preceding and current row
        ))::{{ type_double() }} as reached_by
    from duration_counts
),

steps as (
    select
        cell_number,
        duration_us,
        1 - reached_by / timed as survival,
        case when reached_by < timed then ln(1 - reached_by / timed) end
            as log_survival,
        case
            when reached_by < timed
                then reached_by / (timed * (timed - reached_by))
        end as greenwood_sum
    from followed_counts
    where duration_us >= 0
),

erring_steps as (
    select
        *,
        {{ log_log_se('log_survival', 'greenwood_sum') }} as log_log_se
    from steps
),

curves as (
    select
        cell_number,
        duration_us,
        survival,
        survival as naive_survival,
        case
            when log_survival is null then 0
            else {{ log_log_bound('log_survival', 'log_log_se', '') }}
        end as survival_low,
        {{ log_log_bound('log_survival', 'log_log_se', '-') }} as survival_high
    from erring_steps
),

medians as (
    select
        cell_number,
        {{ quantile_crossings() }}
    from curves
    group by cell_number
),

timed_counts as (
    select
        cell_number,
        sum(cases) as timed
    from duration_counts
    group by cell_number
),

answers as (
    select
        scored_units.cell_number,
        scores.survey,
        scores.score,
        row_number() over (
            partition by
                scored_units.cell_number,
                scores.survey,
                scores.customer_id
            order by
                scores.answered_at desc,
                {{ binary_order('scores.response_id') }} desc
        ) as recency
    from scores
    inner join scored_units
        on
            scores.journey_id = scored_units.journey_id
            and scores.stage_id = scored_units.stage_id
            and scores.entity_id = scored_units.entity_id
            and scores.attempt_number = scored_units.attempt_number
),

-- One answer per customer and period, the latest.
answer_counts as (
    select
        cell_number,
        count(case when survey = 'csat' then 1 end)::{{ type_double() }}
            as csat_answers,
        count(case when survey = 'nps' then 1 end)::{{ type_double() }}
            as nps_answers,
        count(case when survey = 'csat' and score = 1 then 1 end)::{{ type_double() }}
            as satisfied,
        count(case when survey = 'nps' and score = 1 then 1 end)::{{ type_double() }}
            as promoters,
        count(case when survey = 'nps' and score = -1 then 1 end)::{{ type_double() }}
            as detractors
    from answers
    where recency = 1
    group by cell_number
),

satisfaction as (
    select
        *,
        case
            when csat_answers >= {{ var('minimum_n') }} then satisfied / csat_answers
        end as csat,
        case
            when nps_answers >= {{ var('minimum_n') }}
                then {{ nps_value('promoters', 'detractors', 'nps_answers') }}
        end as nps
    from answer_counts
),

described as (
    select
        cells.journey_id,
        cells.stage_id,
        cells.key_moment,
        cells.segment_dimension,
        cells.segment_value,
        cells.period_grain,
        cells.period_start,
        cells.period_end,
        cells.window_days,
        reaches.effective_n,
        reaches.reach,
        cells.is_partial,
        satisfaction.csat,
        satisfaction.nps,
        reaches.n::bigint as n,
        reaches.n_clusters::bigint as n_clusters,
        reaches.reached::bigint as reached,
        {{ wilson_low('reaches.reach', 'reaches.effective_n') }} as reach_ci_low,
        {{ wilson_high('reaches.reach', 'reaches.effective_n') }} as reach_ci_high,
        {{ days('medians.p50_value_us') }} as days_to_reach_p50,
        {{ days('medians.p50_ci_low_us') }} as days_to_reach_ci_low,
        {{ days('medians.p50_ci_high_us') }} as days_to_reach_ci_high,
        case
            when cells.is_entry then 'the journey begins here'
            when coalesce(timed_counts.timed, 0) = 0 then 'dates only'
            when medians.p50_value_us is null
                then
                    'fewer than half reached it within '
                    || cells.window_days::{{ type_text() }} || ' days'
        end as days_note,
        coalesce(satisfaction.csat_answers, 0)::bigint as csat_n,
        coalesce(satisfaction.nps_answers, 0)::bigint as nps_n,
        case
            when satisfaction.csat is not null
                then {{ wilson_low('satisfaction.csat', 'satisfaction.csat_answers') }}
        end as csat_ci_low,
        case
            when satisfaction.csat is not null
                then {{ wilson_high('satisfaction.csat', 'satisfaction.csat_answers') }}
        end as csat_ci_high,
        case
            when satisfaction.nps is not null
                then {{ nps_low(*nps_counts) }}
        end as nps_ci_low,
        case
            when satisfaction.nps is not null
                then {{ nps_high(*nps_counts) }}
        end as nps_ci_high
    from reaches
    inner join cells
        on reaches.cell_number = cells.cell_number
    left join timed_counts
        on reaches.cell_number = timed_counts.cell_number
    left join medians
        on reaches.cell_number = medians.cell_number
    left join satisfaction
        on reaches.cell_number = satisfaction.cell_number
),

final as (
    select
        journey_id,
        stage_id,
        key_moment,
        segment_dimension,
        segment_value,
        period_grain,
        period_start,
        period_end,
        window_days,
        n,
        n_clusters,
        effective_n,
        reached,
        reach,
        reach_ci_low,
        reach_ci_high,
        days_to_reach_p50,
        days_to_reach_ci_low,
        days_to_reach_ci_high,
        days_note,
        csat_n,
        csat,
        csat_ci_low,
        csat_ci_high,
        nps_n,
        nps,
        nps_ci_low,
        nps_ci_high,
        is_partial,
        case
            when csat_n = 0 then 'no answers'
            when csat is null then 'too few answers'
        end as csat_note,
        case
            when nps_n = 0 then 'no answers'
            when nps is null then 'too few answers'
        end as nps_note
    from described
)

select * from final
