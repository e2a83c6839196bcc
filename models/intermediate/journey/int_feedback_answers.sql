{#- Private: verbatim is what customers wrote. Masking is halved between two tables, for
    PostgreSQL keeps 32 regular expressions compiled: with more it compiles all of them
    for each row. -#}
{%- set classified_length = 20000 -%}
with

responses as (
    select * from {{ ref('int_current_survey_responses') }}
),

observations as (
    select * from {{ ref('int_stage_observations') }}
),

-- The marts of feedback know no journey: what one of them sees is seen.
ceilings as (
    select max(as_of) as as_of
    from observations
),

answers as (
    select
        responses.response_id,
        responses.customer_id,
        responses.survey,
        responses.score,
        responses.scale_min,
        responses.scale_max,
        responses.touchpoint_id,
        responses.answered_at,
        length(responses.verbatim) > {{ classified_length }} as is_cut,
        substr(responses.verbatim, 1, {{ classified_length }}) as verbatim,
        case
            when
                responses.followed_up_at >= responses.answered_at
                and responses.followed_up_at <= ceilings.as_of
                then responses.followed_up_at
        end as followed_up_at
    from responses
    inner join ceilings
        on responses.answered_at <= ceilings.as_of
    where
        trim(translate(responses.verbatim, chr(9) || chr(10) || chr(13), '   '))
        <> ''
),

accounts_masked as (
    select
        *,
        {{ masked_text('verbatim', 'accounts') }} as without_accounts
    from answers
),

dates_guarded as (
    select
        *,
        {{ masked_text('without_accounts', 'dates') }} as with_dates
    from accounts_masked
),

phones_masked as (
    select
        *,
        {{ masked_text('with_dates', 'phones') }} as without_phones
    from dates_guarded
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
        verbatim,
        without_phones,
        is_cut,
        answered_at,
        followed_up_at
    from phones_masked
)

select * from final
