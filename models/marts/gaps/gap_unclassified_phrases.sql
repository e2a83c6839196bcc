{%- set kept_phrases, minimum_responses = 100, 3 -%}
with

verbatims as (
    select *
    from {{ ref('fct_feedback') }}
    where not is_classified
),

-- What stands for personal data is no word.
unmasked as (
    select
        response_id,
        {{ replace_pattern(
            'verbatim',
            "'[^ a-z](email|phone|card|iban|address|number)[^ a-z]'",
            " ",
        ) }} as verbatim
    from verbatims
),

texts as (
    select
        response_id,
        trim({{ normal_text('verbatim') }}) as words
    from unmasked
),

counted as (
    select
        *,
        length(words) - length(replace(words, ' ', '')) + 1 as word_count
    from texts
    where words <> ''
),

places as (
    select
        response_id,
        words,
        word_count,
        {{ unnest_numbers('1', 'word_count') }} as word_number
    from counted
),

words as (
    select
        response_id,
        word_number,
        split_part(words, ' ', word_number::integer) as word
    from places
),

neighbours as (
    select
        response_id,
        word,
        lead(word, 1) over (partition by response_id order by word_number)
            as second_word,
        lead(word, 2) over (partition by response_id order by word_number)
            as third_word
    from words
),

marked as (
    select
        *,
        {{ is_stop_word('word') }} as is_stop_word,
        {{ is_stop_word('second_word') }} as is_second_stop_word,
        {{ is_stop_word('third_word') }} as is_third_stop_word
    from neighbours
),

phrases as (
    select
        response_id,
        word as phrase,
        1 as words
    from marked
    where not is_stop_word
    union all
    select
        response_id,
        word || ' ' || second_word as phrase,
        2 as words
    from marked
    where
        second_word is not null
        and not (is_stop_word and is_second_stop_word)
    union all
    select
        response_id,
        word || ' ' || second_word || ' ' || third_word as phrase,
        3 as words
    from marked
    where
        third_word is not null
        and not (is_stop_word and is_second_stop_word and is_third_stop_word)
),

frequencies as (
    select
        phrase,
        words,
        count(distinct response_id) as n,
        min({{ binary_order('response_id') }}) as example_response_id
    from phrases
    group by
        phrase,
        words
    having count(distinct response_id) >= {{ minimum_responses }}
),

ranked as (
    select
        *,
        row_number() over (
            order by
                n desc,
                words desc,
                {{ binary_order('phrase') }}
        ) as phrase_rank
    from frequencies
),

final as (
    select
        phrase_rank::integer as phrase_rank,
        phrase,
        words,
        n,
        example_response_id
    from ranked
    where phrase_rank <= {{ kept_phrases }}
)

select * from final
