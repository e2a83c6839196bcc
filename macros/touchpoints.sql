{#- Of rows numbered from 1 in an order, those whose average is the median: exact on every
    engine, without a percentile function. -#}
{% macro is_middle(place, places) -%}
    2 * {{ place }} between {{ places }} and {{ places }} + 2
{%- endmacro %}

{#- A finding of gap_touchpoints as a sentence: what was found, and never why. -#}
{% macro touchpoint_sentence() -%}
    case finding_kind
        when 'unmapped_event'
            then event_name || ' (' || source || '): '
            || {{ counted_text("n_affected", "'event'", "'events'") }} || ' of '
            || {{ counted_text("entities", "'entity'", "'entities'") }} || ', '
            || {{ percent_text("share") }} || ' of the source, '
            || case when n_affected = 1 then 'is' else 'are' end
            || ' on no stage and no touchpoint; the last was on '
            || last_seen_at::date::{{ type_text() }} || '.'
        when 'no_owner'
            then case
                when n = 0 then 'Nobody owns ' || touchpoint_name || ', and it was never seen.'
                when share = 1
                    then 'Nobody owns ' || touchpoint_name || ': '
                    || {{ counted_text("n", "'event'", "'events'") }} || ' of '
                    || {{ counted_text("entities", "'entity'", "'entities'") }}
                    || ', the last on ' || last_seen_at::date::{{ type_text() }} || '.'
                else
                    'Of ' || {{ counted_text("n", "'event'", "'events'") }} || ' of '
                    || touchpoint_name || ' ' || {{ percent_text("share") }}
                    || ' name no owner.'
            end
        when 'no_events'
            then touchpoint_name
            || case
                when is_promoted then ' is promoted, but no event of it was ever seen'
                else ' was never seen'
            end
            || case
                when has_rules then '.' else ': no rule that is in use leads to it.'
            end
        when 'unanswered'
            then 'Of ' || {{ counted_text("n", "'event'", "'events'") }} || ' of '
            || touchpoint_name || ' ' || {{ percent_text("share") }}
            || ' have no answer.'
        when 'late'
            then 'Of ' || {{ counted_text("n", "'event'", "'events'") }} || ' of '
            || touchpoint_name || ' ' || {{ percent_text("share") }}
            || ' were answered later than the target of '
            || {{ counted_text("response_target_minutes", "'minute'", "'minutes'") }}
            || coalesce(
                '; the median answer took ' || {{ days_text("median_wait_days") }}, ''
            )
            || '.'
        when 'overlapping_rules'
            then {{ counted_text("n_affected", "'event'", "'events'") }} || ' of '
            || source || ' (' || {{ percent_text("share") }} || ' of those that either '
            || 'matches) '
            || case when n_affected = 1 then 'matches' else 'match' end
            || ' the rules of two touchpoints: ' || pair || '.'
        when 'hand_off'
            then {{ hand_off_words() }}
        when 'back_moves_between_owners'
            then 'Of ' || {{ counted_text("n", "'move'", "'moves'") }} || ' '
            || pair || ' (' || journey_name || ') ' || {{ percent_text("share") }}
            || ' went back'
            || coalesce(', after a median of ' || {{ days_text("median_wait_days") }}, '')
            || '.'
    end
{%- endmacro %}

{% macro hand_off_words() -%}
    pair || ' at ' || {{ words_text("stage_id") }} || ' (' || journey_name || '): '
    || case
        when n = 0 then 'no window of ' || window_days::{{ type_text() }} || ' days is over yet'
        else
            'of ' || {{ counted_text("n", "'case'", "'cases'") }} || ' '
            || {{ percent_text("share") }} || ' did not go on within '
            || {{ counted_text("window_days", "'day'", "'days'") }}
            || coalesce(
                ' against ' || {{ percent_text("other_share") }} || ' of '
                || {{ grouped_text("other_n") }} || ' others',
                ''
            )
    end
    || coalesce(
        '; those that did waited a median of ' || {{ days_text("median_wait_days") }}
        || coalesce(' against ' || {{ days_text("other_median_wait_days") }}, ''),
        ''
    )
    || '. An association.'
{%- endmacro %}
