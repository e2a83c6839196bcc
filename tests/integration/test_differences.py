"""The p of a difference against scipy's root of statsmodels' intervals."""

import json
import math
from collections.abc import Callable
from itertools import product

import pytest
from scipy import optimize, stats
from statsmodels.stats.proportion import proportion_confint

from orchestration.settings import PROJECT_DIR
from tests.conftest import Workbench

RATES = (
    *[(p / n, n) for n in (1, 7, 40.5, 900, 250_000) for p in (0, 0.3 * n, n / 2, 0.97 * n, n)],
    (0.5001, 250_000),
    (0.299, 900),
)


@pytest.fixture(scope="module")
def empty(make_workbench: Callable[[str], Workbench]) -> Workbench:
    workbench = make_workbench("differences")
    workbench.home.mkdir(parents=True)
    workbench.use_map(PROJECT_DIR / "seeds" / "journey_map")
    return workbench


def show(workbench: Workbench, sql: str) -> list[dict[str, float]]:
    output = workbench.dbt("show", "--limit", "-1", "--output", "json", "--inline", sql)
    rows: list[dict[str, float]] = json.loads(output[output.index("{") :])["show"]
    return rows


def mover_end(first: tuple[float, float], second: tuple[float, float], z: float) -> float:
    """The lower end of first - second, which must be positive, at the level of z."""
    alpha = 2 * stats.norm.sf(z)
    low = proportion_confint(first[0] * first[1], first[1], alpha, method="wilson")[0]
    high = proportion_confint(second[0] * second[1], second[1], alpha, method="wilson")[1]
    arms = math.hypot(first[0] - max(low, 0), min(high, 1) - second[0])
    return first[0] - second[0] - arms


def expected_p(first: tuple[float, float], second: tuple[float, float]) -> float:
    higher, lower = max(first, second), min(first, second)
    if higher[0] == lower[0]:
        return 1.0
    if mover_end(higher, lower, 37.5) > 0:
        return 0.0
    z = optimize.brentq(lambda z: mover_end(higher, lower, z), 0, 37.5, xtol=1e-13, rtol=1e-14)
    return float(2 * stats.norm.sf(z))


def test_p_of_two_rates_is_where_their_mover_interval_begins_to_exclude_0(
    empty: Workbench,
) -> None:
    pairs = list(product(RATES, RATES))
    values = ", ".join(
        f"({number}, {first[0]!r}::double, {first[1]!r}::double,"
        f" {second[0]!r}::double, {second[1]!r}::double)"
        for number, (first, second) in enumerate(pairs)
    )
    rows = show(
        empty,
        "with rates as (select * from (values "
        + values
        + ") as t (pair, value_1, trials_1, value_2, trials_2)),\n"
        + "{{ rate_difference_p('rates', 'pair') }}\n select pair, p_value from rates_p",
    )
    assert len(rows) == len(pairs)
    actual = {int(row["pair"]): row["p_value"] for row in rows}
    between = 0
    for number, (first, second) in enumerate(pairs):
        p = expected_p(first, second)
        between += 0 < p < 1
        assert actual[number] == pytest.approx(p, rel=1e-6, abs=1e-300), (first, second)
    assert between > 300


def test_p_of_other_measures_takes_the_half_widths_linear_in_z(empty: Workbench) -> None:
    """Arms of 3 and 4 to a reach of 5, at a distance of 8, 5 and 0; an unknown end, no p.

    The larger side counts: 6 and 8 beyond, to a reach of 10. Where that is unknown, the other.
    """
    cells = [(12, 9, 13, 4, 2, 8), (4, 2, 8, 12, 9, 13), (9, 6, 10, 4, 2, 8), (4,) * 6]
    cells += [(12, 9, 18, 4, -4, 8), (4, -4, 8, 12, 9, 18), (12, 9, "null", 4, 2, 8)]
    values = ", ".join(
        "(" + ", ".join([str(number), *(f"{cell}::double" for cell in row)]) + ")"
        for number, row in enumerate([*cells, (12, "null", 13, 4, 2, 8)])
    )
    columns = "v1, l1, u1, v2, l2, u2"
    ends = ", ".join(f"'{column}'" for column in columns.split(", "))
    rows = show(
        empty,
        "with cells as (select * from (values "
        + values
        + f") as t (cell, {columns})),\nzs as (select cell, {{{{ mover_z({ends}) }}}} as z"
        + f", {{{{ mover_low({ends}) }}}} as low, {{{{ mover_high({ends}) }}}} as high"
        + " from cells)\nselect *, {{ normal_two_sided_p('z') }} as p from zs order by cell",
    )
    quantile = stats.norm.ppf(0.975)
    near, far = (2 * stats.norm.sf(quantile * 8 / reach) for reach in (5, 10))
    expected = [near, near, 0.05, 1, far, far, near]
    assert [row["p"] for row in rows[:7]] == pytest.approx(expected, rel=1e-9)
    assert [row["low"] for row in rows[:3]] == pytest.approx([3, -8 - math.hypot(2, 1), 0])
    assert [row["high"] for row in rows[:2]] == pytest.approx([8 + math.hypot(1, 2), -3])
    assert rows[7]["p"] is None
