"""The second gate: readers never see marts that do not hold. And what got worse, as a warning."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from orchestration.defs.expectations import expectation_results, expectation_specs, only_selected
from orchestration.markdown import plain
from orchestration.resources import WAREHOUSE_POOL
from orchestration.settings import Settings
from orchestration.warehouse import warehouse_of

MARTS_GATE = "marts_gate"
SCHEMA = "marts"
TRENDS = dg.AssetKey([SCHEMA, "gap_trends"])
NOTHING_WORSENS = "nothing_worsens"
# In one message; the table has them all.
SENTENCES = 5


def build_marts_gate(expectations_dir: Path) -> dg.AssetChecksDefinition:
    """One step for every expectation on the marts, and for what the trends say."""
    tables = sorted(
        file.stem.removeprefix(f"{SCHEMA}__") for file in expectations_dir.glob(f"{SCHEMA}__*.json")
    )
    trend = dg.AssetCheckSpec(
        NOTHING_WORSENS,
        asset=TRENDS,
        description="No metric got relatively worse by as much as its alert_relative_change in "
        "the newest mature week or 13 weeks. A warning: the marts are right, the journey is not.",
    )

    @dg.multi_asset_check(
        name=MARTS_GATE,
        specs=[*expectation_specs(expectations_dir, SCHEMA, tables), trend],
        pool=WAREHOUSE_POOL,
        can_subset=True,
    )
    def marts_gate(
        context: dg.AssetCheckExecutionContext, settings: dg.ResourceParam[Settings]
    ) -> Iterator[dg.AssetCheckResult]:
        if trend.key in context.selected_asset_check_keys:
            yield _nothing_worsens(settings)
        selected = {
            key.asset_key.path[-1] for key in context.selected_asset_check_keys - {trend.key}
        }
        if selected:
            results = expectation_results(settings, SCHEMA, sorted(selected))
            yield from only_selected(context, results)

    return marts_gate


def _nothing_worsens(settings: Settings) -> dg.AssetCheckResult:
    with warehouse_of(settings).connect() as connection:
        sentences = [
            sentence
            for (sentence,) in connection.execute(
                """
                select sentence
                from marts.gap_trends
                where is_alert
                order by
                    case when segment_dimension = 'all' then 0 else 1 end,
                    adjusted_p_value,
                    sentence
                """
            ).fetchall()
        ]
    more = len(sentences) - SENTENCES
    lines = sentences[:SENTENCES] + ([f"… and {more} more in gap_trends"] if more > 0 else [])
    return dg.AssetCheckResult(
        asset_key=TRENDS,
        check_name=NOTHING_WORSENS,
        passed=not sentences,
        severity=dg.AssetCheckSeverity.WARN,
        description=" ".join(lines) or None,
        metadata={
            "alerts": len(sentences),
            "sentences": dg.MetadataValue.md(
                "\n".join(f"- {plain(sentence)}" for sentence in sentences)
            ),
        },
    )
