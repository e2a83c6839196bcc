with

texts as (
    select * from {{ ref('int_feedback_texts') }}
),

patterns as (
    select * from {{ ref('int_feedback_patterns') }}
),

-- Engines compile a regular expression of a column each time, so letters are looked for
-- first; `case` keeps the order.
found as (
    select
        texts.response_id,
        texts.normal_text,
        patterns.pattern,
        patterns.topic,
        patterns.feedback_type,
        patterns.language,
        patterns.priority,
        patterns.pattern_regex,
        case when not patterns.is_negating then patterns.negation_regex end
            as negation_regex
    from texts
    inner join patterns
        on
            case
                when position(patterns.rare_letters in texts.normal_text) > 0
                    then {{ finds_pattern(
                        'texts.normal_text', 'patterns.pattern_regex'
                    ) }}
                else false
            end
),

readings as (
    select distinct
        response_id,
        negation_regex,
        normal_text
    from found
    where negation_regex is not null
),

affirmed as (
    select
        response_id,
        negation_regex,
        {{ affirmed_text('normal_text', 'negation_regex') }} as affirmed_text
    from readings
),

meant as (
    select
        found.response_id,
        found.pattern,
        found.topic,
        found.feedback_type,
        found.language,
        found.priority
    from found
    left join affirmed
        on
            found.response_id = affirmed.response_id
            and found.negation_regex = affirmed.negation_regex
    where
        found.negation_regex is null
        or {{ finds_pattern('affirmed.affirmed_text', 'found.pattern_regex') }}
),

ranked as (
    select
        *,
        row_number() over (
            partition by response_id, topic
            order by
                priority asc nulls last,
                {{ binary_order('language') }},
                {{ binary_order('pattern') }}
        ) as pattern_rank
    from meant
),

final as (
    select
        response_id,
        topic,
        feedback_type,
        pattern,
        language
    from ranked
    where pattern_rank = 1
)

select * from final
