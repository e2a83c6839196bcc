"""Checks of the tables together: keys, references, journeys, rules, benchmarks."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date

from orchestration.errors import Problem
from orchestration.journey_map.rows import (
    ACTOR_ONLY,
    RECORD_COLUMNS,
    TABLES,
    UNIT_DIMENSIONS,
    Action,
    Benchmark,
    Calendar,
    EntityLink,
    Funnel,
    FunnelStep,
    Journey,
    Metric,
    MetricRule,
    Row,
    SegmentDimension,
    Stage,
    StageRule,
    Touchpoint,
    TouchpointRule,
    nearest,
)
from orchestration.journey_map.sheets import Sheets, problem

# A column of this name, in any table, names a row of that table, by this column there.
_REFERENCES: dict[str, tuple[type[Row], str]] = {
    "journey_id": (Journey, "journey_id"),
    "stage_id": (Stage, "stage_id"),
    "anchor_stage": (Stage, "stage_id"),
    "outcome_stage": (Stage, "stage_id"),
    "metric_id": (Metric, "metric_id"),
    "funnel_id": (Funnel, "funnel_id"),
    "touchpoint_id": (Touchpoint, "touchpoint_id"),
    "calendar_id": (Calendar, "calendar_id"),
    "segment_dimension": (SegmentDimension, "dimension"),
    "paired_with": (SegmentDimension, "dimension"),
}


def _check_keys(sheets: Sheets) -> Iterator[Problem]:
    for model in TABLES.values():
        for key in model.keys or (tuple(model.model_fields),):
            first: dict[tuple[object, ...], int] = {}
            for line, row in sheets.of(model):
                before = first.setdefault(tuple(getattr(row, name) for name in key), line)
                if before != line:
                    what = f"same {', '.join(key)}" if model.keys else "the same"
                    yield problem(
                        model, line, key[-1], f"{what} as line {before}", "change or delete one"
                    )


def _check_references(sheets: Sheets) -> Iterator[Problem]:
    journeys = sheets.known(Journey, "journey_id") or set()
    for model in TABLES.values():
        for column in _REFERENCES.keys() & model.model_fields.keys():
            target, target_column = _REFERENCES[column]
            # Names of stages and dimensions count within their journey.
            within = target in (Stage, SegmentDimension)
            scope = ("journey_id",) if within else ()
            known = sheets.known(target, *scope, target_column)
            if known is None or (model is target and column == target_column):
                continue
            for line, row in sheets.of(model):
                value = getattr(row, column)
                journey = tuple(getattr(row, name) for name in scope)
                is_given = column == "segment_dimension" and value in {"all", *UNIT_DIMENSIONS}
                if value is None or is_given or (*journey, value) in known:
                    continue
                # An unknown journey is reported once, as such.
                if not within or journey in journeys:
                    peers = [key[-1] for key in known if key[:-1] == journey]
                    what = target_column.removesuffix("_id")
                    where = f" in journey '{journey[0]}'" if within else ""
                    message = f"unknown {what} '{value}'{where}"
                    remedy = nearest(value, peers)
                    yield problem(model, line, column, message, remedy)


def _check_journeys(sheets: Sheets) -> Iterator[Problem]:
    """Attempts outlast windows; a journey begins with progress and ends in a success."""
    for line, journey in sheets.of(Journey):
        own = [item for item in sheets.of(Stage) if item[1].journey_id == journey.journey_id]
        windows = [stage.conversion_window_days or 0 for _, stage in own]
        longest = max(journey.conversion_window_days, *windows, 0)
        if (journey.attempt_gap_days or longest) < longest:
            message = f"{journey.attempt_gap_days} days are less than the journey's longest window"
            remedy = f"write {longest} or more"
            yield problem(Journey, line, "attempt_gap_days", message, remedy)
        if not sheets["stages"].is_whole:
            continue
        last_success = max(
            (stage.stage_order for _, stage in own if stage.stage_kind == "success"), default=None
        )
        if last_success is None:
            message = f"journey '{journey.journey_id}' has no success stage"
            remedy = "add a stage of kind success to stages.csv"
            yield problem(Journey, line, "journey_id", message, remedy)
            continue
        entry_line, entry = min(own, key=lambda item: item[1].stage_order)
        if entry.stage_kind != "progress":
            message = f"the first stage of a journey is its entry and cannot be {entry.stage_kind}"
            remedy = "give a progress stage the lowest stage_order"
            yield problem(Stage, entry_line, "stage_kind", message, remedy)
        for stage_line, stage in own:
            is_behind = stage.stage_kind == "progress" and stage.stage_order > last_success
            if is_behind and journey.order_mode != "any":
                message = f"'{stage.stage_id}' lies behind every success, so it never converts"
                remedy = "give the success stage a higher stage_order"
                yield problem(Stage, stage_line, "stage_order", message, remedy)


def _check_coverage(sheets: Sheets) -> Iterator[Problem]:
    """Each stage has a rule, each funnel a step, each source that is used a link."""
    for model, wanted, columns, blamed in (
        (Stage, StageRule, ("journey_id", "stage_id"), "stage_id"),
        (Funnel, FunnelStep, ("funnel_id",), "funnel_id"),
        (StageRule, EntityLink, ("journey_id", "source"), "source"),
    ):
        known = sheets.known(wanted, *columns)
        for line, row in sheets.of(model):
            key = tuple(getattr(row, column) for column in columns)
            if known is not None and key not in known:
                known.add(key)
                message = f"no row of {wanted.table} for {' and '.join(columns)} {', '.join(key)}"
                remedy = f"add one to {wanted.table}.csv"
                yield problem(model, line, blamed, message, remedy)


def _check_links(sheets: Sheets) -> Iterator[Problem]:
    """One kind of id per journey: or one entity's events and CRM rows would be two cases."""
    agreed = {
        journey.journey_id: None if journey.has_own_id else f"{journey.entity}_id"
        for _, journey in sheets.of(Journey)
    }
    for line, link in sheets.of(EntityLink):
        # The case id of a log is whatever the journey says it is.
        if link.entity_column == "source_case_id" or link.journey_id not in agreed:
            continue
        expected = agreed[link.journey_id] or link.entity_column
        agreed[link.journey_id] = expected
        if link.entity_column != expected:
            message = f"'{link.entity_column}' is another entity than '{expected}'"
            remedy = f"write {expected}, or change the journey's entity"
            yield problem(EntityLink, line, "entity_column", message, remedy)


def _check_rules(sheets: Sheets) -> Iterator[Problem]:
    """No two rules that match the same rows, with one priority, for different things."""
    for model, target in ((StageRule, "stage_id"), (TouchpointRule, "touchpoint_id")):
        peers: dict[tuple[object, ...], list[tuple[int, Row]]] = defaultdict(list)
        for line, rule in sheets[model.table].rows:
            cells = rule.model_dump()
            named = cells.pop(target)
            condition = [cells.pop(f"property_{part}") for part in ("name", "operator", "value")]
            group = peers[tuple(cells.values())]
            for before, other in group:
                peer = other.model_dump()
                peer_condition = [
                    peer[f"property_{part}"] for part in ("name", "operator", "value")
                ]
                # A rule without a condition matches all that a rule with one does.
                overlaps = None in (condition[0], peer_condition[0]) or condition == peer_condition
                if overlaps and named != peer[target]:
                    message = f"ambiguous: line {before} says '{peer[target]}' for the same rows"
                    remedy = "give the rule that should win a lower priority number"
                    yield problem(model, line, target, message, remedy)
                    break
            group.append((line, rule))


def _check_funnels(sheets: Sheets) -> Iterator[Problem]:
    """A funnel leads from a first to a last step, and its exclusions lie between steps."""
    links = sheets.known(EntityLink, "journey_id", "source")
    steps: dict[str, list[tuple[int, FunnelStep]]] = defaultdict(list)
    for line, step in sheets.of(FunnelStep):
        steps[step.funnel_id].append((line, step))
    for line, funnel in sheets.of(Funnel):
        own = sorted(steps[funnel.funnel_id], key=lambda item: item[1].step_order)
        for step_line, step in own:
            if links is not None and (funnel.journey_id, step.source) not in links:
                message = f"journey '{funnel.journey_id}' has no entity link for {step.source}"
                remedy = "add one to entity_links.csv"
                yield problem(FunnelStep, step_line, "source", message, remedy)
        passed = [item for item in own if not item[1].is_exclusion]
        if not sheets["funnel_steps"].is_whole or not own:
            continue
        if len(passed) < 2:
            message = f"funnel '{funnel.funnel_id}' has fewer than two steps"
            yield problem(Funnel, line, "funnel_id", message, "add steps to funnel_steps.csv")
            continue
        yield from _check_steps(funnel, passed)
        mandatory = [step.step_order for _, step in passed if not step.is_optional]
        for step_line, step in own:
            for column, bound in (("from_step", mandatory[:-1]), ("to_step", mandatory[1:])):
                value = getattr(step, column)
                if value is None:
                    continue
                if funnel.order_mode == "any":
                    message = "in any order nothing lies between two steps"
                    yield problem(FunnelStep, step_line, column, message, "empty this cell")
                elif value not in bound:
                    message = f"no exclusion of '{funnel.funnel_id}' can be bounded by step {value}"
                    remedy = f"mandatory steps that can: {', '.join(map(str, bound))}"
                    yield problem(FunnelStep, step_line, column, message, remedy)


def _check_steps(funnel: Funnel, passed: list[tuple[int, FunnelStep]]) -> Iterator[Problem]:
    """What the steps of a funnel may be, by their place and by the funnel's order."""
    days, seconds = funnel.conversion_window_days, funnel.conversion_window_seconds
    whole = days * 86400 if days is not None else seconds or 0
    for place, (line, step) in enumerate(passed):
        is_first, is_last = place == 0, place == len(passed) - 1
        if step.is_optional and (is_first or is_last):
            message = f"the {'first' if is_first else 'last'} step of a funnel cannot be optional"
            yield problem(FunnelStep, line, "is_optional", message, "write false")
        gap = step.min_gap_seconds
        for column, value in (
            ("step_window_days", step.step_window_days and step.window),
            ("step_window_seconds", step.step_window_seconds),
            ("min_gap_seconds", gap),
        ):
            if value is None:
                continue
            if is_first:
                message = "no step is before the first one"
                yield problem(FunnelStep, line, column, message, "empty this cell")
            elif funnel.order_mode == "any":
                message = "in any order no step is before another"
                yield problem(FunnelStep, line, column, message, "empty this cell")
            elif value > whole:
                message = f"{value} seconds are longer than the funnel's window of {whole}"
                yield problem(FunnelStep, line, column, message, "write less, or empty this cell")
        if gap is not None and step.window is not None and gap > step.window:
            message = f"a gap of {gap} seconds never fits in a window of {step.window}"
            yield problem(FunnelStep, line, "min_gap_seconds", message, "write less")
    if funnel.order_mode != "any":
        return
    rules: dict[tuple[object, ...], int] = {}
    for line, step in passed:
        if step.is_optional:
            message = "in any order an optional step decides nothing"
            yield problem(FunnelStep, line, "is_optional", message, "delete the step")
        condition = (step.property_name, step.property_operator, step.property_value)
        before = rules.setdefault((step.source, step.event_name, *condition), line)
        if before != line:
            message = f"the same event as line {before}, which in any order is one step"
            yield problem(FunnelStep, line, "event_name", message, "delete one of them")


def _check_dimensions(sheets: Sheets) -> Iterator[Problem]:
    """A dimension of events has events that enter stages; a pair has two, and one name."""
    rules = sheets.known(StageRule, "journey_id", "source")
    pairs: dict[tuple[str, frozenset[str]], int] = {}
    for line, dimension in sheets.of(SegmentDimension):
        journey, source = dimension.journey_id, dimension.source
        is_of_events = source not in RECORD_COLUMNS
        if rules is not None and is_of_events and (journey, source) not in rules:
            message = f"no stage of journey '{journey}' is entered by an event of {source}"
            known = sorted(key[1] for key in rules if key[0] == journey)
            remedy = f"its stage rules name {', '.join(known)}" if known else "add stage rules"
            yield problem(SegmentDimension, line, "source", message, remedy)
        if dimension.paired_with is None:
            continue
        if dimension.paired_with == dimension.dimension:
            message = "a dimension makes no pair with itself"
            yield problem(SegmentDimension, line, "paired_with", message, "name another one")
            continue
        pair = (journey, frozenset((dimension.dimension, dimension.paired_with)))
        before = pairs.setdefault(pair, line)
        if before != line:
            message = f"the same pair as line {before}"
            yield problem(SegmentDimension, line, "paired_with", message, "empty one of the cells")


def _check_metric_rules(sheets: Sheets) -> Iterator[Problem]:
    """A rule counts a share, one way in all of its journey, of stages that have what it asks."""
    metrics = {metric.metric_id: metric for _, metric in sheets.of(Metric)}
    sources: dict[tuple[str, str], set[str]] = defaultdict(set)
    for _, stage_rule in sheets.of(StageRule):
        sources[stage_rule.journey_id, stage_rule.stage_id].add(stage_rule.source)
    counted: dict[tuple[str, str, str], tuple[int, bool]] = {}
    for line, rule in sheets.of(MetricRule):
        metric = metrics.get(rule.metric_id)
        if metric is not None and metric.scale != "proportion":
            message = f"a rule counts a share, but {rule.metric_id} is a {metric.scale}"
            remedy = "write scale proportion in metrics.csv, or name another metric"
            yield problem(MetricRule, line, "metric_id", message, remedy)
        before, is_negated = counted.setdefault(
            (rule.metric_id, rule.journey_id, rule.outcome_stage), (line, rule.is_negated)
        )
        if is_negated != rule.is_negated:
            said, says = ("does not happen", "does") if is_negated else ("happens", "does not")
            message = (
                f"line {before} counts that '{rule.outcome_stage}' {said}, this one that it {says}"
            )
            remedy = "write the same in both, or name two metrics"
            yield problem(MetricRule, line, "is_negated", message, remedy)
        known = sources[rule.journey_id, rule.anchor_stage]
        if rule.due_property is not None and known and known <= set(ACTOR_ONLY):
            message = f"no event of '{rule.anchor_stage}' has properties"
            remedy = f"{', '.join(sorted(known))}: map the stage from events or event_log"
            yield problem(MetricRule, line, "due_property", message, remedy)


_BENCHMARK_PLACE = (
    *("metric_id", "journey_id", "stage_id", "segment_dimension", "segment_value", "kind"),
)


def _never_left(sheets: Sheets, row: Action | Benchmark, metric: Metric | None) -> bool:
    """Whether a metric of leaving a stage is named at a terminal one."""
    is_left = metric and (metric.scale == "duration" or metric.loss_family == "conversion")
    return bool(is_left) and any(
        (stage.journey_id, stage.stage_id) == (row.journey_id, row.stage_id)
        and stage.stage_kind != "progress"
        for _, stage in sheets.of(Stage)
    )


def _check_actions(sheets: Sheets) -> Iterator[Problem]:
    """A metric that rules define is measured at their anchors, leaving only where cases leave."""
    metrics = {metric.metric_id: metric for _, metric in sheets.of(Metric)}
    anchors: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for _, rule in sheets.of(MetricRule):
        anchors[rule.metric_id].append((rule.journey_id, rule.anchor_stage))
    for line, action in sheets.of(Action):
        places = anchors.get(action.metric_id) or [(action.journey_id, action.stage_id)]
        if _never_left(sheets, action, metrics.get(action.metric_id)):
            message = f"nothing leaves '{action.stage_id}', so it has no {action.metric_id}"
            yield problem(Action, line, "stage_id", message, "name the stage before it")
        elif (action.journey_id, action.stage_id) not in places:
            message = f"{action.metric_id} is not measured at '{action.stage_id}'"
            known = [stage for journey, stage in places if journey == action.journey_id]
            remedy = f"{nearest(action.stage_id, known)}, or add a rule to metric_rules.csv"
            yield problem(Action, line, "stage_id", message, remedy)


def _check_benchmarks(sheets: Sheets) -> Iterator[Problem]:
    metrics = {metric.metric_id: metric for _, metric in sheets.of(Metric)}
    seen: dict[tuple[str, ...], list[tuple[int, Benchmark]]] = defaultdict(list)
    for line, benchmark in sheets.of(Benchmark):
        metric = metrics.get(benchmark.metric_id)
        if metric is not None:
            yield from _check_value(line, benchmark, metric)
            if _never_left(sheets, benchmark, metric):
                message = f"nothing leaves '{benchmark.stage_id}', so it has no {metric.metric_id}"
                remedy = "name the stage before it"
                yield problem(Benchmark, line, "stage_id", message, remedy)
            anchors = _anchors(sheets, benchmark)
            if anchors and benchmark.stage_id not in anchors:
                message = f"{metric.metric_id} is not measured at '{benchmark.stage_id}'"
                remedy = f"in this journey it is at: {', '.join(sorted(anchors))}"
                yield problem(Benchmark, line, "stage_id", message, remedy)
        place = seen[tuple(getattr(benchmark, column) for column in _BENCHMARK_PLACE)]
        for before, other in place:
            begin = max(benchmark.valid_from or date.min, other.valid_from or date.min)
            end = min(benchmark.valid_to or date.max, other.valid_to or date.max)
            if begin <= end:
                message = f"valid together with '{other.benchmark_id}' in line {before}"
                remedy = "end one the day before the other begins, or delete one"
                yield problem(Benchmark, line, "valid_from", message, remedy)
                break
        place.append((line, benchmark))


def _anchors(sheets: Sheets, benchmark: Benchmark) -> set[str]:
    """Stages at which a benchmark's metric is measured; none where that is not said by rules."""
    if benchmark.metric_id == "journey_conversion_rate":
        own = [stage for _, stage in sheets.of(Stage) if stage.journey_id == benchmark.journey_id]
        is_known = sheets["stages"].is_whole and own
        return {min(own, key=lambda stage: stage.stage_order).stage_id} if is_known else set()
    return {
        rule.anchor_stage
        for _, rule in sheets.of(MetricRule)
        if sheets["metric_rules"].is_whole
        and (rule.metric_id, rule.journey_id) == (benchmark.metric_id, benchmark.journey_id)
    }


def _check_value(line: int, benchmark: Benchmark, metric: Metric) -> Iterator[Problem]:
    """A proportion lies in 0 to 1, a duration above 0, a score in its range."""
    value, low, high = benchmark.value, 0.0, float("inf")
    remedy = f"write a positive number of {metric.unit}"
    if metric.scale == "proportion":
        high = 1.0
        remedy = f"write {value / 100:g} for {value:g} %" if 1 < value <= 100 else "0 to 1"
    elif metric.score_min is not None and metric.score_max is not None:
        low, high = metric.score_min, metric.score_max
        remedy = f"write a number from {low:g} to {high:g}"
    if not low <= value <= high or (metric.scale == "duration" and value == 0):
        message = f"{value:g} is no value of {metric.metric_id}"
        yield problem(Benchmark, line, "value", message, remedy)


def _check_calendars(sheets: Sheets) -> Iterator[Problem]:
    """A calendar has one time zone, and no two of its hours overlap."""
    zones: dict[str, tuple[int, str]] = {}
    days: dict[tuple[str, int], list[tuple[int, Calendar]]] = defaultdict(list)
    for line, hours in sheets.of(Calendar):
        before, zone = zones.setdefault(hours.calendar_id, (line, hours.time_zone))
        if zone != hours.time_zone:
            message = f"calendar '{hours.calendar_id}' is in {zone} in line {before}"
            yield problem(Calendar, line, "time_zone", message, "write one, or name two calendars")
        day = days[hours.calendar_id, hours.weekday]
        for before, other in day:
            # Two of one opening have one key, and are reported for it.
            if (
                hours.opens_at != other.opens_at
                and hours.opens_at < other.closes_at
                and other.opens_at < hours.closes_at
            ):
                span = f"{other.opens_at} to {other.closes_at}"
                message = f"overlaps line {before}, {span} on the same weekday"
                yield problem(Calendar, line, "opens_at", message, "join the two or part them")
                break
        day.append((line, hours))


CHECKS: tuple[Callable[[Sheets], Iterator[Problem]], ...] = (
    *(_check_keys, _check_references, _check_journeys, _check_coverage),
    *(_check_links, _check_rules, _check_funnels, _check_dimensions, _check_metric_rules),
    *(_check_benchmarks, _check_actions),
    _check_calendars,
)
