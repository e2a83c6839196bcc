with

feedback_topics as (
    select * from {{ ref('feedback_topics') }}
),

negations as (
    select * from {{ ref('negations') }}
),

negation_words as (
    select distinct
        language,
        {{ pattern_words('word') }} as words
    from negations
),

negation_regexes as (
    select
        language,
        trim({{ words_regex('words') }}) as word_regex
    from negation_words
),

language_negations as (
    select
        language,
        replace({{ ordered_text('word_regex') }}, chr(10), '|') as negation_regex
    from negation_regexes
    where word_regex <> ''
    group by language
),

patterns as (
    select
        pattern,
        topic,
        feedback_type,
        language,
        priority,
        {{ pattern_words('pattern') }} as words
    from feedback_topics
),

plain_patterns as (
    select
        *,
        trim({{ plain_words('words') }}) as plain_words
    from patterns
),

-- The longer of the first and the last word is the rarer one.
ends as (
    select
        *,
        split_part(plain_words, ' ', 1) as first_word,
        split_part(
            plain_words,
            ' ',
            length(plain_words) - length(replace(plain_words, ' ', '')) + 1
        ) as last_word
    from plain_patterns
),

-- A pattern of signs alone would be in every text.
final as (
    select
        ends.pattern,
        ends.topic,
        ends.feedback_type,
        ends.language,
        ends.priority,
        language_negations.negation_regex,
        {{ words_regex('ends.words') }} as pattern_regex,
        case
            when length(ends.last_word) > length(ends.first_word) then ends.last_word
            else ends.first_word
        end as rare_letters,
        coalesce(
            {{ finds_pattern(
                "(' ' || ends.plain_words || ' ')",
                "(' (' || language_negations.negation_regex || ') ')",
            ) }},
            false
        ) as is_negating
    from ends
    left join language_negations
        on ends.language = language_negations.language
    where ends.plain_words <> ''
)

select * from final
