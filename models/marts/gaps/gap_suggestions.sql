with

ranking as (
    select * from {{ ref('gap_ranking') }}
),

metrics as (
    select * from {{ ref('metrics') }}
),

actions as (
    select * from {{ ref('int_actions') }}
),

stage_touchpoints as (
    select * from {{ ref('int_stage_touchpoints') }}
),

-- Planned ones too: somebody is at it.
open_actions as (
    select distinct
        journey_id,
        stage_id,
        loss_family,
        segment_dimension,
        segment_value
    from actions
    where ended_on >= as_of_date or ended_on is null
),

top_gaps as (
    select
        ranking.*,
        metrics.label,
        metrics.loss_family,
        metrics.scale
    from ranking
    inner join metrics
        on ranking.metric_id = metrics.metric_id
    where ranking.priority_rank <= 10
),

untreated_gaps as (
    select top_gaps.*
    from top_gaps
    left join open_actions
        on
            top_gaps.journey_id = open_actions.journey_id
            and top_gaps.stage_id = open_actions.stage_id
            and top_gaps.loss_family = open_actions.loss_family
            and top_gaps.segment_dimension = open_actions.segment_dimension
            and top_gaps.segment_value = open_actions.segment_value
    where open_actions.stage_id is null
),

-- Who meets fewer than a tenth of the cases has no part in the gap.
involved_touchpoints as (
    select
        untreated_gaps.gap_id,
        stage_touchpoints.touchpoint_id,
        stage_touchpoints.owner_team,
        stage_touchpoints.case_share,
        row_number() over (
            partition by untreated_gaps.gap_id
            order by
                stage_touchpoints.case_share desc,
                {{ binary_order('stage_touchpoints.touchpoint_id') }} asc,
                {{ binary_order('stage_touchpoints.owner_team') }} asc
        ) as touchpoint_rank
    from untreated_gaps
    inner join stage_touchpoints
        on
            untreated_gaps.journey_id = stage_touchpoints.journey_id
            and untreated_gaps.stage_id = stage_touchpoints.stage_id
            and untreated_gaps.period_start = stage_touchpoints.period_start
            and untreated_gaps.segment_dimension
            = stage_touchpoints.segment_dimension
            and untreated_gaps.segment_value = stage_touchpoints.segment_value
    where stage_touchpoints.case_share >= 0.1
),

involved_teams as (
    select distinct
        gap_id,
        owner_team
    from involved_touchpoints
),

teams as (
    select
        gap_id,
        count(*) as teams,
        max(case when owner_team = '(no owner)' then 1 else 0 end) as unowned,
        replace({{ ordered_text('owner_team') }}, chr(10), ', ') as owner_teams
    from involved_teams
    group by gap_id
),

touchpoint_lists as (
    select
        gap_id,
        count(*) as touchpoints_involved,
        max(case when touchpoint_rank = 1 then {{ met_by() }} end)
        {%- for rank in range(2, 6) %}
            || coalesce(
                ', '
                || max(case when touchpoint_rank = {{ rank }} then {{ met_by() }} end),
                ''
            )
        {%- endfor %} as touchpoints
    from involved_touchpoints
    group by gap_id
),

judged as (
    select
        untreated_gaps.*,
        teams.owner_teams,
        touchpoint_lists.touchpoints,
        coalesce(touchpoint_lists.touchpoints_involved, 0) as touchpoints_involved,
        case
            when teams.teams is null then 'no touchpoint is known there'
            when teams.unowned = 1 then 'a touchpoint there has no owner'
            when teams.teams > 2
                then teams.teams::{{ type_text() }} || ' teams have a part in it'
            when
                untreated_gaps.severity >= ln(3::{{ type_double() }})
                and untreated_gaps.reach >= 0.5
                then 'it is threefold and meets half of all cases'
        end as obstacle,
        teams.teams = 1
        and (
            untreated_gaps.scale = 'duration'
            or untreated_gaps.segment_dimension <> 'all'
        ) as is_small
    from untreated_gaps
    left join teams
        on untreated_gaps.gap_id = teams.gap_id
    left join touchpoint_lists
        on untreated_gaps.gap_id = touchpoint_lists.gap_id
),

categorised as (
    select
        *,
        case
            when obstacle is not null then 'long_term_project'
            when is_small then 'low_hanging_fruit'
            else 'process_tweak'
        end as category,
        case
            when obstacle is not null then obstacle
            when is_small and scale = 'duration' then 'one team can shorten it'
            when is_small then 'one team can treat one segment'
            when owner_teams like '%, %' then 'two teams hand over'
            else 'one team has the whole stage'
        end as category_reason
    from judged
),

suggestions as (
    select
        gap_id,
        journey_id,
        metric_id,
        stage_id,
        segment_dimension,
        segment_value,
        benchmark_id,
        benchmark_kind,
        benchmark_value,
        period_start,
        period_end,
        n,
        value,
        gap,
        severity,
        reach,
        priority_rank,
        category,
        category_reason,
        touchpoints_involved,
        touchpoints,
        owner_teams,
        'Nothing runs against ' || label || ' at ' || stage_id
        || case
            when segment_dimension = 'all' then ''
            else ' for ' || {{ segment_text('segment_dimension', 'segment_value') }}
        end
        || '. Suggested: ' || replace(category, '_', ' ') || ', since '
        || category_reason || '.'
        || coalesce(
            ' Touchpoints: ' || touchpoints || '. Teams: ' || owner_teams || '.', ''
        ) as sentence
    from categorised
)

select * from suggestions
