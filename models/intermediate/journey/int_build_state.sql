{#- Written after the incremental facts: a run that breaks off before this point is done
    again from the same loads. -#}
-- depends_on: {{ ref('int_stage_visits') }}
-- depends_on: {{ ref('int_visit_touchpoints') }}
-- depends_on: {{ ref('int_stage_entries') }}
-- depends_on: {{ ref('int_funnel_chains') }}
-- depends_on: {{ ref('int_funnel_rounds') }}
with

builds as (
    select * from {{ ref('int_journey_builds') }}
),

state as (
    select
        journey_id,
        journey_hash,
        through_load_id
    from builds
    where journey_hash is not null
)

select * from state
