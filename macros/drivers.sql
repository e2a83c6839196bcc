{#- What goes with a gap: how its pieces are written. -#}

{#- The owner of a touchpoint; what nobody owns has a name as well. -#}
{% macro owner_name(owner_team) -%} coalesce({{ owner_team }}, '(no owner)') {%- endmacro %}

{#- Whole units of the 12th decimal: they add up without rounding on every engine, each of
    which would round halves its own way. -#}
{% macro to_pico(figure) -%}
    floor(({{ figure }}) * 1e12::{{ type_double() }} + 0.5)::bigint
{%- endmacro %}
{#- Back to a decimal; a double holds all its digits, up to 1,000. -#}
{% macro from_pico(units) -%}
    (({{ units }})::{{ type_double() }} / 1e12::{{ type_double() }})::decimal(18, 12)
{%- endmacro %}

{#- Simpson: all parts of a dimension lie on one side of 0, the whole on the other. -#}
{% macro is_simpson(whole, part, is_part) -%}
    case
        when {{ whole }} < 0
            then min(case when {{ is_part }} then {{ part }} end) over dimension >= 0
        when {{ whole }} > 0
            then max(case when {{ is_part }} then {{ part }} end) over dimension <= 0
        else false
    end
{%- endmacro %}

{#- A row of gap_drivers as a sentence. It says what goes with what, and never why. -#}
{% macro driver_sentence() -%}
    case
        when component is not null
            then case component
                when 'mix' then 'The changed share of '
                when 'benchmark_mix' then 'The mix of '
                else
                    case compared_with
                        when 'benchmark' then '' else 'The change within '
                    end
            end
            || segment_name || ' goes with ' || {{ points_text('effect') }}
            || ' of the ' || {{ points_text('whole') }}
            || case compared_with
                when 'benchmark' then ' between the rate and its benchmark.'
                else ' since the 13 weeks before.'
            end
        when driver_kind = 'segment'
            then segment_name || ' goes with ' || {{ percent_text('exposed_value') }}
            || ' (' || metric_label || ')'
            || coalesce(
                ' against ' || {{ percent_text('other_value') }} || ' of the others', ''
            )
            || coalesce(
                ' and with ' || {{ percent_text('share_of_gap') }}
                || ' of the recoverable cases',
                ''
            )
            || '.' || {{ chance_text() }}
        when effect_kind = 'wait_days'
            then driver || ' goes with ' || {{ days_text('exposed_value') }}
            || ' of waiting on average against ' || {{ days_text('other_value') }}
            || ' of the other ' || compared_with || '.' || {{ chance_text() }}
        else
            driver || ' goes with ' || {{ percent_text('exposed_value') }}
            || ' (' || metric_label || ') against ' || {{ percent_text('other_value') }}
            || ' of the others'
            || case
                when compared_with = 'entries' then ''
                when compared_with = 'at landmark'
                    then case
                        when {{ is_rate_of_answers('metric_id') }} then ' who answered'
                        else ' still in the stage at a fifth of its window'
                    end
                when compared_with like 'from %' then ' ' || compared_with
                else ' who ' || compared_with
            end
            || '.' || {{ chance_text() }}
    end
{%- endmacro %}
{% macro chance_text() -%}
    case
        when warning = 'unknown_value' then ' It may become known later.'
        when p_value is null then ' Too few to tell.'
        when adjusted_p_value <= {{ var("significance_level") }} then ''
        else ' It may be chance.'
    end
{%- endmacro %}
