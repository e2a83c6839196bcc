{#- What cohorts of visits and of entries share. -#}

{#- The cohort of a date, by its first day: the part of a week that lies in one month. Weeks
    and months are both made of whole ones. -#}
{% macro cohort_start(date) -%}
    greatest(date_trunc('week', {{ date }}), date_trunc('month', {{ date }}))::date
{%- endmacro %}

{#- The `local_date` of a moment in a time zone, or its `cohort_start`, from its row of
    int_local_days. -#}
{% macro on_local_day(moment, local_days, column) -%}
    case
        when {{ moment }} < {{ local_days }}.turns_at
            then {{ local_days }}.first_{{ column }}
        else {{ local_days }}.last_{{ column }}
    end
{%- endmacro %}

{#- The customer of a visit, in a journey of customers its entity. -#}
{% macro customer_of(visits, entity) -%}
    case
        when {{ entity }} = 'customer' then {{ visits }}.entity_id
        else {{ visits }}.other_customer_id
    end
{%- endmacro %}

{#- What a visit varies with: its account, else its customer, else its entity (domain.md §6). -#}
{% macro cluster_of(visits, customer_accounts) -%}
    coalesce(
        {{ visits }}.account_id,
        {{ customer_accounts }}.account_id,
        {{ visits }}.other_customer_id,
        {{ visits }}.entity_id
    )
{%- endmacro %}

{#- A rate of entries as rows of fct_measures: of those that int_entry_clusters counts as
    `counted`. -#}
{% macro rate_of_entries(metric_id, counted) -%}
{{ clustered_rate(ref('int_entry_clusters'), metric_id, counted) }}
{%- endmacro %}

{#- Likewise of visits, by int_visit_clusters. -#}
{% macro rate_of_visits(metric_id, counted) -%}
{{ clustered_rate(ref('int_visit_clusters'), metric_id, counted) }}
{%- endmacro %}

{#- A rate as rows of fct_measures, of a relation with one row per cell: n, n_clusters, sum_nn and
    what is `counted`, with the sums over clusters of its squares (`_xx`) and products (`_xn`)
    for the design effect. Without a metric_id the cell says which it is. -#}
{% macro clustered_rate(relation, metric_id, counted) -%}
with

clusters as (
    select *
    from {{ relation }}
    where {{ counted }} is not null
),

cells as (
    select * from {{ ref('int_cells') }}
),

proportions as (
    select
        *,
        {{ counted }} / n as value
    from clusters
),

effective as (
    select
        *,
        n / {{ design_effect(
            'value',
            'n_clusters',
            counted ~ '_xx',
            counted ~ '_xn',
            'sum_nn',
            'n',
        ) }} as effective_n
    from proportions
),

measures as (
    select
        cells.journey_id,
        {{ "'" ~ metric_id ~ "'" if metric_id else "cells.metric_id" }} as metric_id,
        cells.stage_id,
        null::{{ type_text() }} as touchpoint_id,
        cells.segment_dimension,
        cells.segment_value,
        cells.period_grain,
        cells.period_start,
        cells.period_end,
        effective.n::bigint as n,
        effective.n_clusters::bigint as n_clusters,
        effective.effective_n,
        effective.{{ counted }} as numerator,
        effective.value,
        {{ wilson_low('effective.value', 'effective.effective_n') }} as ci_low,
        {{ wilson_high('effective.value', 'effective.effective_n') }} as ci_high,
        null::{{ type_double() }} as naive_value,
        cells.is_mature,
        cells.is_partial
    from effective
    inner join cells
        on effective.cell_number = cells.cell_number
)

select * from measures
{%- endmacro %}
