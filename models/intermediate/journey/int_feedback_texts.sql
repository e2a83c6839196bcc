{#- normal_text holds personal data: it is read to find topics, never published. -#}
{%- set kept_length = 4000 -%}
with

answers as (
    select * from {{ ref('int_feedback_answers') }}
),

amounts_guarded as (
    select
        *,
        {{ masked_text('without_phones', 'amounts') }} as with_amounts
    from answers
),

streets_masked as (
    select
        *,
        {{ masked_text('with_amounts', 'streets') }} as without_streets
    from amounts_guarded
),

places_masked as (
    select
        *,
        {{ masked_text('without_streets', 'places') }} as masked_verbatim
    from streets_masked
),

texts as (
    select
        *,
        {{ normal_text('verbatim') }} as normal_text
    from places_masked
),

final as (
    select
        response_id,
        customer_id,
        survey,
        score,
        scale_min,
        scale_max,
        touchpoint_id,
        answered_at,
        followed_up_at,
        normal_text,
        substr(masked_verbatim, 1, {{ kept_length }}) as verbatim,
        is_cut or length(masked_verbatim) > {{ kept_length }} as is_truncated
    from texts
)

select * from final
