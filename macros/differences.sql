{#- Differences of two measures, d = v1 - v2: their interval and their p (domain.md §6, §7). -#}

{#- MOVER (Zou & Donner 2008): the interval of a difference from the intervals [l1, u1] and
    [l2, u2] of its two sides. An end that needs an unknown end is null. -#}
{% macro mover_low(v1, l1, u1, v2, l2, u2) -%}
    (
        {{ v1 }} - {{ v2 }}
        - sqrt(power({{ v1 }} - {{ l1 }}, 2) + power({{ u2 }} - {{ v2 }}, 2))
    )
{%- endmacro %}
{% macro mover_high(v1, l1, u1, v2, l2, u2) -%}
    (
        {{ v1 }} - {{ v2 }}
        + sqrt(power({{ u1 }} - {{ v1 }}, 2) + power({{ v2 }} - {{ l2 }}, 2))
    )
{%- endmacro %}

{#- z of a difference where other confidence levels than 95 % are not at hand (durations,
    scores): the half-widths are taken linear in z, and of the two sides the larger one. The
    shorter one by itself, that of values thrown close together by chance, would have p of 0.0001
    come up five to ten times as often as that. Give it to normal_two_sided_p, best as a column.
    Null where the end that faces 0 is unknown. -#}
{% macro mover_z(v1, l1, u1, v2, l2, u2) -%}
    {%- set reaches = [] -%}
    {%- for first, second in [((v1, l1), (u2, v2)), ((u1, v1), (v2, l2))] -%}
        {%- do reaches.append(
            "sqrt(power(" ~ first | join(" - ") ~ ", 2)"
            ~ " + power(" ~ second | join(" - ") ~ ", 2))"
        ) -%}
    {%- endfor -%}
    {%- set below, above = reaches -%}
    case
        when {{ v1 }} = {{ v2 }} then 0
        when ({{ v1 }} > {{ v2 }} and {{ below }} > 0)
            or ({{ v1 }} < {{ v2 }} and {{ above }} > 0)
            -- A null is left out.
            then {{ z_95() }} * ({{ v1 }} - {{ v2 }})
                / greatest({{ below }}, {{ above }})
    end
{%- endmacro %}

{#- From a proportion to an end of its Wilson interval at z: `+` the upper, `-` the lower. -#}
{% macro wilson_arm(proportion, trials, sign, z) -%}
    (
        (
            {{ z }} * sqrt(
                greatest({{ proportion }} * (1 - {{ proportion }}), 0) / {{ trials }}
                + {{ z }} * {{ z }} / (4 * {{ trials }} * {{ trials }})
            )
            {{ sign }} (0.5 - {{ proportion }}) * {{ z }} * {{ z }} / {{ trials }}
        ) / (1 + {{ z }} * {{ z }} / {{ trials }})
    )
{%- endmacro %}

{#- From a difference of rates to the end of its MOVER interval that faces 0. -#}
{% macro mover_reach(z, sides=2) -%}
    case
        when {{ rate_difference(sides) }} >= 0
            then sqrt({{ squared_arms(z, sides, ["-", "+"]) }})
        else sqrt({{ squared_arms(z, sides, ["+", "-"]) }})
    end
{%- endmacro %}
{% macro squared_arms(z, sides, signs) -%}
    power({{ wilson_arm("value_1", "trials_1", signs[0], z) }}, 2)
    + power({{ wilson_arm("value_2", "trials_2", signs[1], z) }}, 2)
    {%- if sides == 4 %}
    + coalesce(power({{ wilson_arm("value_3", "trials_3", signs[1], z) }}, 2), 0)
    + coalesce(power({{ wilson_arm("value_4", "trials_4", signs[0], z) }}, 2), 0)
    {%- endif %}
{%- endmacro %}

{#- value_1 - value_2, of four sides less value_3 - value_4 where these are known. -#}
{% macro rate_difference(sides=2) -%}
    {%- if sides == 4 -%}
    (value_1 - value_2 - coalesce(value_3 - value_4, 0))
    {%- else -%}
    (value_1 - value_2)
    {%- endif -%}
{%- endmacro %}

{#- CTEs for the p of differences of two rates: 1 - the highest confidence level whose MOVER
    interval, of Wilson intervals on the effective n, excludes 0. `rates` is a relation with the
    unique column `key` and value_1, trials_1, value_2, trials_2 (double), where `sides` is 4
    also value_3 to trials_4 of a difference that is taken off, or null; the last CTE,
    `<rates>_p`, has key, z (not negative) and p_value, null where a side is null or of no
    trials. The reach of the interval grows with z, so four grids of 16 steps, each within the
    step that the last one found, and a straight line in the last step find where it is |d|:
    to 1e-7 of p, up to z = 37, beyond which p is 0. -#}
{% macro rate_difference_p(rates, key, sides=2) -%}
    {%- set steps, levels, farthest = 16, 4, 38 -%}
    {{ rates }}_steps as (
        {%- for step in range(steps) %}
        select {{ step }} as step{{ " union all" if not loop.last }}
        {%- endfor %}
    ),

    {{ rates }}_level_0 as (
        select
            {{ key }},
            value_1,
            nullif(trials_1, 0) as trials_1,
            value_2,
            nullif(trials_2, 0) as trials_2,
            {%- for side in range(3, sides + 1) %}
            value_{{ side }},
            nullif(trials_{{ side }}, 0) as trials_{{ side }},
            {%- endfor %}
            0::{{ type_double() }} as z
        from {{ rates }}
    ),
    {%- for level in range(1, levels + 1) %}
    {%- set width = farthest ~ "e0::" ~ type_double() ~ " / " ~ steps ** level %}

    {{ rates }}_points_{{ level }} as (
        select
            levels.{{ key }},
            levels.value_1,
            levels.trials_1,
            levels.value_2,
            levels.trials_2,
            {%- for side in range(3, sides + 1) %}
            levels.value_{{ side }},
            levels.trials_{{ side }},
            {%- endfor %}
            levels.z as known_z,
            levels.z + steps.step * {{ width }} as z
        from {{ rates }}_level_{{ level - 1 }} as levels
        cross join {{ rates }}_steps as steps
    ),

    {{ rates }}_level_{{ level }} as (
        select
            {{ key }},
            value_1,
            trials_1,
            value_2,
            trials_2,
            {%- for side in range(3, sides + 1) %}
            value_{{ side }},
            trials_{{ side }},
            {%- endfor %}
            known_z + (
                sum(
                    case
                        when
                            {{ mover_reach("z", sides) }}
                            <= abs({{ rate_difference(sides) }})
                            then 1
                        else 0
                    end
                ) - 1
            ) * {{ width }} as z
        from {{ rates }}_points_{{ level }}
        group by
            {{ key }},
            value_1,
            trials_1,
            value_2,
            trials_2,
            {%- for side in range(3, sides + 1) %}
            value_{{ side }},
            trials_{{ side }},
            {%- endfor %}
            known_z
    ),
    {%- endfor %}
    {%- set width = farthest ~ "e0::" ~ type_double() ~ " / " ~ steps ** levels %}

    {{ rates }}_last_steps as (
        select
            {{ key }},
            z,
            abs({{ rate_difference(sides) }}) as distance,
            {{ mover_reach("z", sides) }} as reach,
            {{ mover_reach("(z + " ~ width ~ ")", sides) }} as next_reach
        from {{ rates }}_level_{{ levels }}
    ),

    {{ rates }}_z as (
        select
            {{ key }},
            z + (distance - reach) / nullif(next_reach - reach, 0) * {{ width }} as z
        from {{ rates }}_last_steps
    ),

    {{ rates }}_p as (
        select
            {{ key }},
            z,
            ({{ normal_two_sided_p("z") }})::{{ type_double() }} as p_value
        from {{ rates }}_z
    )
{%- endmacro %}
