{#- What each answer counts for (domain.md §6). A score that its scale, or its survey's
    formula, does not allow counts for nothing, and says why. -#}
with

responses as (
    select * from {{ ref('int_current_survey_responses') }}
),

observations as (
    select * from {{ ref('int_stage_observations') }}
),

metrics as (
    select * from {{ ref('metrics') }}
),

-- A response belongs to no journey: it is seen where one of them sees so far.
ceilings as (
    select coalesce(max(as_of), timestamp '9999-12-31 00:00:00') as as_of
    from observations
),

effort_ranges as (
    select
        metric_id as survey,
        score_min,
        score_max,
        direction
    from metrics
    where
        metric_id = 'ces'
        and score_min is not null
        and score_max is not null
),

-- An answer without a time is none. Nothing later than as_of is seen, in any column.
seen_responses as (
    select
        responses.response_id,
        responses.customer_id,
        responses.survey,
        responses.touchpoint_id,
        responses.scale_min,
        responses.scale_max,
        responses.asked_at,
        coalesce(responses.is_higher_better, true) as is_higher_better,
        case
            when responses.answered_at <= ceilings.as_of then responses.answered_at
        end as answered_at,
        case
            when responses.followed_up_at <= ceilings.as_of
                then responses.followed_up_at
        end as followed_up_at,
        case
            when responses.answered_at <= ceilings.as_of then responses.score
        end as score
    from responses
    cross join ceilings
    where coalesce(responses.asked_at, responses.answered_at) <= ceilings.as_of
),

-- From 0 points of the scale, the worst, upwards.
pointed_responses as (
    select
        seen_responses.*,
        effort_ranges.score_min as range_min,
        effort_ranges.score_max as range_max,
        effort_ranges.direction,
        effort_ranges.survey is not null as has_range,
        seen_responses.scale_max - seen_responses.scale_min as best_points,
        case
            when seen_responses.is_higher_better
                then seen_responses.score - seen_responses.scale_min
            else seen_responses.scale_max - seen_responses.score
        end as points
    from seen_responses
    left join effort_ranges
        on seen_responses.survey = effort_ranges.survey
),

judged_responses as (
    select
        *,
        case
            when answered_at is null then 'unanswered'
            when score is null then 'no_score'
            when coalesce(best_points <= 0, true) then 'unknown_scale'
            when survey = 'nps' and (scale_min <> 0 or scale_max <> 10)
                then 'other_scale'
            when survey = 'csat' and best_points < 4 then 'scale_too_small'
            when survey = 'ces' and not has_range then 'no_range'
            when points < 0 or points > best_points then 'off_scale'
            when survey <> 'ces' and points <> floor(points) then 'off_scale'
        end as unscored_reason
    from pointed_responses
),

scored_responses as (
    select
        response_id,
        customer_id,
        survey,
        touchpoint_id,
        score,
        scale_min,
        scale_max,
        is_higher_better,
        unscored_reason,
        asked_at,
        answered_at,
        followed_up_at,
        unscored_reason is null as is_scored,
        case
            when unscored_reason is not null then null
            when survey = 'nps' then points
            when survey = 'csat' then points + 1
            when direction = 'higher_is_better'
                then range_min + (range_max - range_min) * points / best_points
            else range_max - (range_max - range_min) * points / best_points
        end as score_on_scale,
        case
            when unscored_reason is not null or survey <> 'nps' then null
            when points >= 9 then 'promoter'
            when points >= 7 then 'passive'
            else 'detractor'
        end as nps_class,
        case
            when unscored_reason is null and survey = 'csat'
                then points >= best_points - 1
        end as is_top_box
    from judged_responses
)

select * from scored_responses
