{#- Whether the outcome goes with a driver: Mantel–Haenszel over the strata of the main
    dimension, and for the waits of hand-offs the difference of two means. -#}
with

units as (
    select * from {{ ref('int_driver_units') }}
),

exposures as (
    select * from {{ ref('int_driver_exposures') }}
),

hand_offs as (
    select *
    from {{ ref('int_driver_hand_offs') }}
    where not is_entering
),

measures as (
    select
        measure_number,
        journey_id,
        metric_id,
        stage_id,
        period_start,
        period_end,
        2 * count(case when is_outcome and is_at_landmark then 1 end)
        < count(case when is_outcome then 1 end) as has_early_outcomes
    from units
    group by
        measure_number,
        journey_id,
        metric_id,
        stage_id,
        period_start,
        period_end
),

-- A cluster within a stratum: its units, those exposed and those with the outcome.
base_clusters as (
    select
        units.measure_number,
        exposures.base,
        units.stratum_number,
        units.cluster_id,
        count(*) as n,
        count(case when units.is_outcome then 1 end) as outcomes
    from exposures
    inner join units
        on exposures.unit_number = units.unit_number
    where exposures.driver is null
    group by
        units.measure_number,
        exposures.base,
        units.stratum_number,
        units.cluster_id
),

exposed_clusters as (
    select
        units.measure_number,
        exposures.base,
        exposures.driver_kind,
        exposures.driver,
        units.stratum_number,
        units.cluster_id,
        count(*) as n,
        count(case when units.is_outcome then 1 end) as outcomes
    from exposures
    inner join units
        on exposures.unit_number = units.unit_number
    where exposures.driver is not null
    group by
        units.measure_number,
        exposures.base,
        exposures.driver_kind,
        exposures.driver,
        units.stratum_number,
        units.cluster_id
),

base_strata as (
    select
        measure_number,
        base,
        stratum_number,
        sum(n)::{{ type_double() }} as n,
        sum(outcomes)::{{ type_double() }} as outcomes,
        sum(n * n)::{{ type_double() }} as sum_nn,
        sum(n * outcomes)::{{ type_double() }} as sum_no,
        sum(outcomes * outcomes)::{{ type_double() }} as sum_oo
    from base_clusters
    group by
        measure_number,
        base,
        stratum_number
),

bases as (
    select
        measure_number,
        base,
        sum(n) as n,
        sum(outcomes) as outcomes
    from base_strata
    group by
        measure_number,
        base
),

exposed_strata as (
    select
        exposed_clusters.measure_number,
        exposed_clusters.base,
        exposed_clusters.driver_kind,
        exposed_clusters.driver,
        exposed_clusters.stratum_number,
        sum(exposed_clusters.n)::{{ type_double() }} as n,
        sum(exposed_clusters.outcomes)::{{ type_double() }} as outcomes,
        sum(exposed_clusters.n * exposed_clusters.n)::{{ type_double() }} as sum_nn,
        sum(
            exposed_clusters.n * exposed_clusters.outcomes
        )::{{ type_double() }} as sum_no,
        sum(
            exposed_clusters.outcomes * exposed_clusters.outcomes
        )::{{ type_double() }} as sum_oo,
        sum(exposed_clusters.n * base_clusters.n)::{{ type_double() }} as cross_nn,
        sum(
            exposed_clusters.n * base_clusters.outcomes
            + exposed_clusters.outcomes * base_clusters.n
        )::{{ type_double() }} as cross_no,
        sum(
            exposed_clusters.outcomes * base_clusters.outcomes
        )::{{ type_double() }} as cross_oo
    from exposed_clusters
    inner join base_clusters
        on
            exposed_clusters.measure_number = base_clusters.measure_number
            and exposed_clusters.base = base_clusters.base
            and exposed_clusters.stratum_number = base_clusters.stratum_number
            and exposed_clusters.cluster_id = base_clusters.cluster_id
    group by
        exposed_clusters.measure_number,
        exposed_clusters.base,
        exposed_clusters.driver_kind,
        exposed_clusters.driver,
        exposed_clusters.stratum_number
),

-- The fourfold table of a stratum: a, b exposed with and without the outcome, c, d not
-- exposed. Residuals are outcomes less the stratum's rate: summed by cluster their
-- squares say how far clusters vary together.
tables as (
    select
        exposed_strata.measure_number,
        exposed_strata.base,
        exposed_strata.driver_kind,
        exposed_strata.driver,
        base_strata.n,
        base_strata.outcomes,
        exposed_strata.n as exposed,
        exposed_strata.outcomes as cell_a,
        exposed_strata.n - exposed_strata.outcomes as cell_b,
        base_strata.outcomes - exposed_strata.outcomes as cell_c,
        base_strata.n - exposed_strata.n
        - base_strata.outcomes + exposed_strata.outcomes as cell_d,
        base_strata.n - exposed_strata.n as unexposed,
        exposed_strata.n / base_strata.n as exposed_share,
        base_strata.outcomes / base_strata.n as rate,
        base_strata.sum_oo
        - 2 * base_strata.outcomes / base_strata.n * base_strata.sum_no
        + power(base_strata.outcomes / base_strata.n, 2) * base_strata.sum_nn
            as residual_squares,
        exposed_strata.sum_oo
        - 2 * base_strata.outcomes / base_strata.n * exposed_strata.sum_no
        + power(base_strata.outcomes / base_strata.n, 2) * exposed_strata.sum_nn
            as exposed_residual_squares,
        exposed_strata.cross_oo
        - base_strata.outcomes / base_strata.n * exposed_strata.cross_no
        + power(base_strata.outcomes / base_strata.n, 2) * exposed_strata.cross_nn
            as residual_products
    from exposed_strata
    inner join base_strata
        on
            exposed_strata.measure_number = base_strata.measure_number
            and exposed_strata.base = base_strata.base
            and exposed_strata.stratum_number = base_strata.stratum_number
),

-- Terms of Mantel–Haenszel (odds ratio, difference), of Cochran–Mantel–Haenszel, of the
-- variances by Robins–Breslow–Greenwood and Greenland–Robins, and of the criterion of
-- Mantel–Fleiss: how far the exposed outcomes could lie from what is expected.
terms as (
    select
        *,
        cell_a * cell_d / n as odds_up,
        cell_b * cell_c / n as odds_down,
        (cell_a + cell_d) / n as agreeing_share,
        (cell_b + cell_c) / n as opposed_share,
        exposed * unexposed / n as difference_weight,
        (cell_a * unexposed - cell_c * exposed) / n as weighted_difference,
        (
            cell_a * cell_b * power(unexposed, 3)
            + cell_c * cell_d * power(exposed, 3)
        ) / nullif(exposed * unexposed * n * n, 0) as difference_variance,
        cell_a - exposed * outcomes / n as excess,
        exposed * unexposed * outcomes * (n - outcomes)
        / nullif(n * n * (n - 1), 0) as variance,
        exposed * outcomes / n - greatest(exposed + outcomes - n, 0) as room_below,
        least(exposed, outcomes) - exposed * outcomes / n as room_above,
        exposed_residual_squares
        - 2 * exposed_share * residual_products
        + exposed_share * exposed_share * residual_squares as cluster_variance,
        power(1 - exposed_share, 2) * (
            cell_a * power(1 - rate, 2) + cell_b * power(rate, 2)
        )
        + power(exposed_share, 2) * (
            cell_c * power(1 - rate, 2) + cell_d * power(rate, 2)
        ) as unit_variance
    from tables
),

pooled as (
    select
        measure_number,
        base,
        driver_kind,
        driver,
        sum(exposed) as exposed,
        sum(cell_a) as cell_a,
        sum(odds_up) as odds_up,
        sum(odds_down) as odds_down,
        sum(agreeing_share * odds_up) as agreeing_up,
        sum(agreeing_share * odds_down + opposed_share * odds_up) as mixed,
        sum(opposed_share * odds_down) as opposed_down,
        sum(difference_weight) as difference_weight,
        sum(weighted_difference) as weighted_difference,
        sum(difference_variance) as difference_variance,
        sum(excess) as excess,
        sum(variance) as variance,
        sum(room_below) as room_below,
        sum(room_above) as room_above,
        sum(cluster_variance) as cluster_variance,
        sum(unit_variance) as unit_variance
    from terms
    group by
        measure_number,
        base,
        driver_kind,
        driver
),

-- As of a rate (domain.md §6): clusters can only widen what is said.
judgeable as (
    select
        pooled.*,
        bases.n,
        bases.n - pooled.exposed as unexposed,
        bases.outcomes - pooled.cell_a as cell_c,
        greatest(1, pooled.cluster_variance / nullif(pooled.unit_variance, 0))
            as design_effect
    from pooled
    inner join bases
        on
            pooled.measure_number = bases.measure_number
            and pooled.base = bases.base
    where
        pooled.room_below >= 5 - 1e-9
        and pooled.room_above >= 5 - 1e-9
),

estimates as (
    select
        *,
        odds_up / nullif(odds_down, 0) as odds_ratio,
        sqrt(design_effect * (
            agreeing_up / nullif(2 * odds_up * odds_up, 0)
            + mixed / nullif(2 * odds_up * odds_down, 0)
            + opposed_down / nullif(2 * odds_down * odds_down, 0)
        )) as log_odds_se,
        excess / sqrt(variance * design_effect) as z,
        weighted_difference / difference_weight as risk_difference,
        sqrt(design_effect * difference_variance) / difference_weight
            as risk_difference_se,
        cell_a / exposed as exposed_value,
        cell_c / nullif(unexposed, 0) as other_value
    from judgeable
),

-- Odds of nothing to everything have no interval: the difference of the rates has.
rate_tests as (
    select
        measure_number,
        driver_kind,
        driver,
        base as compared_with,
        case
            when log_odds_se is null then 'risk_difference' else 'odds_ratio'
        end as effect_kind,
        case
            when log_odds_se is null then risk_difference else odds_ratio
        end as effect,
        case
            when log_odds_se is null
                then risk_difference - {{ z_95() }} * risk_difference_se
            else odds_ratio * exp(-{{ z_95() }} * log_odds_se)
        end as ci_low,
        case
            when log_odds_se is null
                then risk_difference + {{ z_95() }} * risk_difference_se
            else odds_ratio * exp({{ z_95() }} * log_odds_se)
        end as ci_high,
        z,
        risk_difference,
        risk_difference - {{ z_95() }} * risk_difference_se as risk_difference_low,
        risk_difference + {{ z_95() }} * risk_difference_se as risk_difference_high,
        n::bigint as n,
        exposed::bigint as exposed_n,
        exposed_value,
        other_value,
        design_effect,
        -- Simpson: pooled over the strata it points one way, over all units the other.
        (exposed_value > other_value and excess < -1e-9)
        or (exposed_value < other_value and excess > 1e-9) as is_reversed,
        driver_kind <> 'upstream' and base <> 'entries' as is_after_landmark
    from estimates
),

waits as (
    select
        units.measure_number,
        hand_offs.from_owner,
        hand_offs.to_owner,
        {{ days('hand_offs.wait_us') }} as wait_days
    from hand_offs
    inner join units
        on hand_offs.unit_number = units.unit_number
),

wait_sums as (
    select
        measure_number,
        from_owner,
        to_owner,
        count(*)::{{ type_double() }} as n,
        sum(wait_days) as total_days,
        sum(wait_days * wait_days) as squared_days
    from waits
    group by
        measure_number,
        from_owner,
        to_owner
),

receiver_wait_sums as (
    select
        measure_number,
        to_owner,
        sum(n) as n,
        sum(total_days) as total_days,
        sum(squared_days) as squared_days
    from wait_sums
    group by
        measure_number,
        to_owner
),

wait_sides as (
    select
        wait_sums.measure_number,
        wait_sums.from_owner,
        wait_sums.to_owner,
        receiver_wait_sums.n,
        wait_sums.n as exposed,
        wait_sums.squared_days as exposed_squares,
        receiver_wait_sums.n - wait_sums.n as unexposed,
        wait_sums.total_days / wait_sums.n as exposed_value,
        receiver_wait_sums.squared_days - wait_sums.squared_days as other_squares,
        (receiver_wait_sums.total_days - wait_sums.total_days)
        / nullif(receiver_wait_sums.n - wait_sums.n, 0) as other_value
    from wait_sums
    inner join receiver_wait_sums
        on
            wait_sums.measure_number = receiver_wait_sums.measure_number
            and wait_sums.to_owner = receiver_wait_sums.to_owner
),

-- Welch's standard error; with as many as are asked for here t is normal.
wait_errors as (
    select
        *,
        sqrt(
            greatest(exposed_squares - exposed * power(exposed_value, 2), 0)
            / (exposed * (exposed - 1))
            + greatest(other_squares - unexposed * power(other_value, 2), 0)
            / (unexposed * (unexposed - 1))
        ) as standard_error
    from wait_sides
    where
        exposed >= {{ var('minimum_n') }}
        and unexposed >= {{ var('minimum_n') }}
),

wait_tests as (
    select
        measure_number,
        'hand_off' as driver_kind,
        from_owner || ' to ' || to_owner as driver,
        'hand-offs to ' || to_owner as compared_with,
        'wait_days' as effect_kind,
        exposed_value - other_value as effect,
        exposed_value - other_value - {{ z_95() }} * standard_error as ci_low,
        exposed_value - other_value + {{ z_95() }} * standard_error as ci_high,
        (exposed_value - other_value) / nullif(standard_error, 0) as z,
        null::{{ type_double() }} as risk_difference,
        null::{{ type_double() }} as risk_difference_low,
        null::{{ type_double() }} as risk_difference_high,
        n::bigint as n,
        exposed::bigint as exposed_n,
        exposed_value,
        other_value,
        null::{{ type_double() }} as design_effect,
        false as is_reversed,
        false as is_after_landmark
    from wait_errors
),

unioned as (
    select * from rate_tests
    union all
    select * from wait_tests
),

tests as (
    select
        measures.journey_id,
        measures.metric_id,
        measures.stage_id,
        measures.period_start,
        measures.period_end,
        unioned.driver_kind,
        unioned.driver,
        unioned.compared_with,
        unioned.effect_kind,
        unioned.effect,
        unioned.ci_low,
        unioned.ci_high,
        unioned.z,
        ({{ normal_two_sided_p('unioned.z') }})::{{ type_double() }} as p_value,
        unioned.risk_difference,
        unioned.risk_difference_low,
        unioned.risk_difference_high,
        unioned.n,
        unioned.exposed_n,
        unioned.exposed_value,
        unioned.other_value,
        unioned.design_effect,
        unioned.is_reversed,
        unioned.is_after_landmark and measures.has_early_outcomes as has_early_outcomes
    from unioned
    inner join measures
        on unioned.measure_number = measures.measure_number
)

select * from tests
