"""The rows of every table of the journey map: pydantic models, cell by cell."""

import difflib
import re
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, ClassVar, TypeVar
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

# Per raw table that carries stage events: the entity columns a link may use, each with the
# other raw tables through which it is found.
ENTITY_COLUMNS: dict[str, dict[str, tuple[str, ...]]] = {
    "events": {"customer_id": (), "account_id": ()},
    "crm_stage_changes": {
        "opportunity_id": (),
        "account_id": ("crm_opportunities",),
        "customer_id": ("crm_opportunities", "crm_contacts"),
    },
    "event_log": {"source_case_id": ()},
    "support_events": {"support_contact_id": (), "customer_id": ("support_contacts",)},
    "crm_opportunities": {
        "opportunity_id": (),
        "account_id": (),
        "customer_id": ("crm_contacts",),
    },
}
SOURCES = tuple(ENTITY_COLUMNS)

# Sources without a JSON column offer their actor (changed_by, agent_team, owner) only.
ACTOR_ONLY = ("crm_stage_changes", "support_events", "crm_opportunities")
_OPPORTUNITY_EVENTS = ("created", "won", "lost")
_FLAGS = {
    **dict.fromkeys(("true", "yes", "1", "wahr"), True),
    **dict.fromkeys(("false", "no", "0", "falsch"), False),
}
_OPERATORS = "equals not_equals in contains starts_with gt gte lt lte exists not_exists"
_FEEDBACK_TYPES = (
    "functionality feature_request usability reliability customer_service pricing_billing other"
)
# Metrics that models measure of every journey: no rule can define them anew.
MODELLED_RATES = frozenset(
    {
        *("conversion_rate", "drop_off_rate", "open_rate", "rework_rate", "skip_rate"),
        *("identified_rate", "journey_conversion_rate", "first_contact_resolution_rate"),
        *("repeat_call_rate", "repeat_email_rate", "cross_channel_repeat_rate"),
        *("reopen_rate", "team_change_rate", "touchpoint_response_rate", "handoff_loss_rate"),
        *("csat", "csat_response_rate", "nps_response_rate", "ces_response_rate"),
        *("feedback_follow_up_rate", "feedback_unclassified_rate"),
        *("feedback_topic_rate", "feedback_type_rate"),
    }
)
# Dimensions that contacts, answers and hand-offs have of their own.
UNIT_DIMENSIONS = frozenset(
    {
        *("touchpoint", "hand_off", "support_channel", "support_topic", "support_team"),
        *("feedback_topic", "feedback_type"),
    }
)
# Records that a dimension may read, by the columns that do not tell of the outcome; macros/
# segments.sql reads the same. The other sources' events enter visits.
RECORD_COLUMNS: dict[str, tuple[str, ...]] = {
    "crm_accounts": ("name", "industry", "employee_count", "region", "plan"),
    "crm_contacts": ("persona", "acquisition_channel"),
    "crm_opportunities": ("pipeline", "currency", "owner"),
    "support_contacts": ("channel", "topic", "agent_team"),
    "survey_responses": ("survey", "touchpoint_id"),
    "experiment_assignments": ("experiment_id", "arm"),
}
_DIMENSION_SOURCES = tuple(dict.fromkeys((*SOURCES, *RECORD_COLUMNS)))


T = TypeVar("T")


def _checked(value: T, holds: object, message: str, remedy: str) -> T:
    """The value, if it holds; else pydantic reports message and remedy with its column."""
    if not holds:
        raise PydanticCustomError("refused", "{message}", {"message": message, "remedy": remedy})
    return value


def nearest(value: str, known: Iterable[str]) -> str:
    """Remedy for an unknown name: the nearest known one, else all of them."""
    names = {name.lower(): name for name in sorted(known)}
    close = difflib.get_close_matches(value.lower(), names, n=1)
    if close:
        return f"did you mean '{names[close[0]]}'?"
    return f"known: {', '.join(names.values())}" if names else "none is defined"


def _one_of(words: str, what: str) -> AfterValidator:
    known = words.split()
    return AfterValidator(
        lambda value: _checked(
            value, value in known, f"unknown {what} '{value}'", nearest(value, known)
        )
    )


def _at_least(bound: float) -> AfterValidator:
    return AfterValidator(
        lambda value: _checked(
            value, value >= bound, f"{value} is too small", f"write {bound} or more"
        )
    )


def _like(pattern: str, what: str, remedy: str) -> AfterValidator:
    return AfterValidator(
        lambda value: _checked(
            value, re.fullmatch(pattern, value), f"'{value}' is no {what}", remedy
        )
    )


# Parsers of text; what is no text is a field's default.


def _number(value: object) -> object:
    if not isinstance(value, str):
        return value
    _checked(value, not value.endswith("%"), f"'{value}' is a percentage", "write 0.6 for 60 %")
    # It is a thousand or a little over one, depending on who saved the file.
    is_ambiguous = re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", value)
    _checked(value, not is_ambiguous, f"'{value}' is ambiguous", "write it like 1234 or 1.234")
    is_number = re.fullmatch(r"[+-]?\d{1,15}([.,]\d{1,20})?", value)
    remedy = "write it like 1234.5, without a unit"
    return _checked(value, is_number, f"'{value}' is no number", remedy).replace(",", ".")


def _integer(value: object) -> object:
    number = _number(value)
    if not isinstance(number, str):
        return number
    whole = int(Decimal(number))
    is_integer = whole == Decimal(number) and abs(whole) < 2**31
    return _checked(whole, is_integer, f"'{value}' is no whole number", "write it like 30")


def _flag(value: object) -> object:
    if not isinstance(value, str):
        return value
    flag = _FLAGS.get(value.lower())
    message = f"'{value}' is neither true nor false"
    return _checked(flag, flag is not None, message, "write true or false")


def _day(value: object) -> object:
    for pattern in ("%Y-%m-%d", "%d.%m.%Y"):
        with suppress(ValueError):
            return datetime.strptime(str(value), pattern).date()
    return _checked(
        value, value is None, f"'{value}' is no date", "write it like 2026-01-31 or 31.01.2026"
    )


def _clock(value: object) -> object:
    match = re.fullmatch(r"(\d{1,2}):([0-5]\d)(:00)?", str(value))
    clock = f"{int(match[1]):02}:{match[2]}" if match else "never"
    remedy = "write it like 09:00, the latest is 24:00"
    return _checked(clock, clock <= "24:00", f"'{value}' is no time of day", remedy)


def _time_zone(value: str) -> str:
    # It means another zone on every machine.
    zones = available_timezones() - {"localtime"}
    close = difflib.get_close_matches(value, zones, n=1) or ["Europe/Berlin"]
    message = f"unknown time zone '{value}'"
    return _checked(value, value in zones, message, f"write it like '{close[0]}'")


def _without_quote(value: str) -> str:
    return _checked(value, '"' not in value, "a quote in a name", "write the name alone")


# Cells that depend on cells to their left. A cell that is wrong itself is not in info.data.


def _event_name(value: str, info: ValidationInfo) -> str:
    is_known = info.data.get("source") != "crm_opportunities" or value in _OPPORTUNITY_EVENTS
    remedy = nearest(value, _OPPORTUNITY_EVENTS)
    return _checked(value, is_known, f"crm_opportunities has no event '{value}'", remedy)


def _property_name(value: str, info: ValidationInfo) -> str:
    source = info.data.get("source")
    is_known = source not in ACTOR_ONLY or value == "resource"
    message = f"{source} has no property '{value}'"
    return _checked(value, is_known, message, "its only one is resource, who did it")


def _property_operator(value: str | None, info: ValidationInfo) -> str | None:
    has_property = info.data.get("property_name", ...)
    goes_together = has_property is ... or (has_property is None) == (value is None)
    message = "a property and its operator go together"
    return _checked(value, goes_together, message, "fill both or neither of them")


def _property_value(value: str | None, info: ValidationInfo) -> str | None:
    operator = info.data.get("property_operator", ...)
    if operator is ...:
        return value
    needs_none = operator in (None, "exists", "not_exists")
    if value is None or needs_none:
        message = "nothing compares with it" if needs_none else f"{operator} needs a value"
        remedy = "empty this cell" if needs_none else "fill this cell"
        return _checked(value, (value is None) == needs_none, message, remedy)
    if operator in ("gt", "gte", "lt", "lte"):
        return str(_number(value))
    if operator == "in":
        values = [part.strip() for part in value.split("|")]
        _checked(value, all(values), "an empty value in a list", "put one | between two values")
        return "|".join(values)
    return value


def _segment_value(value: str, info: ValidationInfo) -> str:
    dimension = info.data.get("segment_dimension", value)
    is_whole = (dimension == "all") == (value == "all") or "segment_dimension" not in info.data
    return _checked(value, is_whole, f"no segment is {dimension} = {value}", "the total: all = all")


def _source_column(value: str, info: ValidationInfo) -> str:
    source = info.data.get("source", "")
    if source not in RECORD_COLUMNS:
        return _property_name(value, info)
    known = RECORD_COLUMNS[source]
    message = f"{source} has no column '{value}' that makes a dimension"
    return _checked(value, value in known, message, nearest(value, known))


def _as_of_rule(value: str | None, info: ValidationInfo) -> str | None:
    is_known = value != "entering_event" or info.data.get("source") not in RECORD_COLUMNS
    message = f"a visit is entered by an event, not by a row of {info.data.get('source')}"
    return _checked(value, is_known, message, "write latest_at_entry or first_at_entry")


def _is_word(value: str) -> bool:
    """Letters and digits of any script with their marks; inside, apostrophes and hyphens."""
    parts = re.split("['\u2019-]", value)
    return all(part and all(unicodedata.category(c)[0] in "LMN" for c in part) for part in parts)


def _pattern(value: str) -> str:
    # A spreadsheet makes one character of three dots.
    words = value.replace("\u2026", "...").split()
    pattern = " ".join(words)
    message = f"{len(pattern)} characters are too many for a pattern"
    _checked(value, len(pattern) <= 100, message, "write 100 or fewer, or several patterns")
    for before, word, after in zip(["...", *words], words, [*words[1:], "..."], strict=False):
        if word == "...":
            is_between = "..." not in (before, after)
            message = f"'{pattern}' is no pattern: nothing on one side of ..."
            _checked(value, is_between, message, "write ... between two words only")
            continue
        stem = word.removeprefix("*").removesuffix("*")
        message = f"'{pattern}' is no pattern: '{word}'"
        remedy = (
            "write words of letters and digits, * at a word's start or end, "
            "... with blanks around it between two words"
        )
        _checked(value, _is_word(stem), message, remedy)
    return pattern


def _words(value: str) -> str:
    pattern = _pattern(value)
    message = f"'{pattern}' denies from no one place"
    return _checked(pattern, "..." not in pattern.split(), message, "write words without ...")


def _not_before(value: date | None, info: ValidationInfo, start: str) -> date | None:
    first = info.data.get(start)
    in_order = value is None or first is None or first <= value
    return _checked(value, in_order, f"{value} is before {start} {first}", "swap them")


Text = str
Identifier = Annotated[str, _like("[a-z0-9_]+", "identifier", "use only a-z, 0-9 and _")]
Integer = Annotated[int, BeforeValidator(_integer)]
Positive = Annotated[Integer, _at_least(1)]
Days = Annotated[
    Positive,
    AfterValidator(
        lambda value: _checked(
            value, value <= 36500, f"{value} days are too many", "write 36500 or less"
        )
    ),
]
Seconds = Annotated[
    Positive,
    AfterValidator(
        lambda value: _checked(
            value, value <= 10**9, f"{value} seconds are too many", "write them as days"
        )
    ),
]
Number = Annotated[float, BeforeValidator(_number)]
Money = Annotated[
    Decimal,
    BeforeValidator(_number),
    AfterValidator(
        lambda value: _checked(
            value, value == round(value, 2), f"{value} is no amount", "write two decimals at most"
        )
    ),
]
Flag = Annotated[bool, BeforeValidator(_flag)]
Day = Annotated[date, BeforeValidator(_day)]
Clock = Annotated[str, AfterValidator(_clock)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Currency = Annotated[str, _like("[A-Z]{3}", "currency", "write its ISO code, such as EUR")]
WebAddress = Annotated[str, _like(r"https?://\S+", "web address", "begin with https://")]

Source = Annotated[str, _one_of(" ".join(SOURCES), "source")]
ValueSource = Annotated[str, _one_of("events event_log crm_opportunities", "source")]
DimensionSource = Annotated[str, _one_of(" ".join(_DIMENSION_SOURCES), "source")]
OrderMode = Annotated[str, _one_of("ordered strict any", "order mode")]
Phase = Annotated[
    str, _one_of("awareness consideration purchase onboarding loyalty advocacy", "phase")
]
StageKind = Annotated[str, _one_of("progress success exit", "stage kind")]
KeyMoment = Annotated[
    str, _one_of("first_impression first_value extended_value renewal", "key moment")
]
AsOfRule = Annotated[str, _one_of("entering_event latest_at_entry first_at_entry", "as-of rule")]
Direction = Annotated[str, _one_of("higher_is_better lower_is_better", "direction")]
Scale = Annotated[str, _one_of("proportion duration score", "scale")]
Category = Annotated[str, _one_of("low_hanging_fruit process_tweak long_term_project", "category")]
FeedbackType = Annotated[str, _one_of(_FEEDBACK_TYPES, "feedback type")]

EventName = Annotated[str, AfterValidator(_event_name)]
PropertyName = Annotated[str, AfterValidator(_property_name), AfterValidator(_without_quote)]
FieldName = Annotated[str, AfterValidator(_without_quote)]
Operator = Annotated[str, _one_of(_OPERATORS, "operator")]
SourceColumn = Annotated[str, AfterValidator(_source_column), AfterValidator(_without_quote)]
DimensionRule = Annotated[AsOfRule | None, AfterValidator(_as_of_rule)]
PropertyOperator = Annotated[Operator | None, AfterValidator(_property_operator)]
PropertyValue = Annotated[str | None, AfterValidator(_property_value)]
SegmentValue = Annotated[str, AfterValidator(_segment_value)]
Pattern = Annotated[str, AfterValidator(_pattern)]
Words = Annotated[str, AfterValidator(_words)]


class Row(BaseModel):
    """A row of a table of the map; its fields are the table's columns, in their order.

    Empty cells take the field's default; a field without a default must be filled.
    """

    # Defaults are checked too: whether a cell may be empty can depend on its neighbours.
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    table: ClassVar[str]
    # Columns that together are unique; the whole row is, in any case.
    keys: ClassVar[tuple[tuple[str, ...], ...]] = ()


class Journey(Row):
    """A named ordered path an entity takes. Windows and gaps are in days."""

    table = "journeys"
    keys = (("journey_id",),)

    journey_id: Identifier
    name: Text
    entity: Identifier
    attempt_gap_days: Days | None = None
    order_mode: OrderMode = "ordered"
    time_zone: TimeZone
    calendar_id: Identifier | None = None
    conversion_window_days: Days
    success_value_source: ValueSource | None = None
    success_value_column: Text | None = None
    default_success_value: Money | None = None
    currency: Currency | None = None

    @property
    def has_own_id(self) -> bool:
        """Whether the entity has an id of its own, so that quiet never splits its attempts."""
        return self.entity not in ("customer", "account")

    @field_validator("attempt_gap_days")
    @classmethod
    def _gap(cls, value: int | None, info: ValidationInfo) -> int | None:
        is_split = info.data.get("entity") in ("customer", "account")
        message = f"must not be empty where the entity is {info.data.get('entity')}"
        remedy = "write after how many quiet days a new attempt begins"
        return _checked(value, value is not None or not is_split, message, remedy)

    @field_validator("success_value_column")
    @classmethod
    def _value_column(cls, value: str | None, info: ValidationInfo) -> str | None:
        source = info.data.get("success_value_source", ...)
        goes_together = source is ... or (value is None) == (source is None)
        message = "a value's source and its column go together"
        _checked(value, goes_together, message, "fill both or neither of them")
        is_known = source != "crm_opportunities" or value == "amount"
        return _checked(value, is_known, f"no value in {source}: '{value}'", "write amount")

    @field_validator("currency")
    @classmethod
    def _value_currency(cls, value: str | None, info: ValidationInfo) -> str | None:
        is_valued = info.data.get("success_value_source") or info.data.get("default_success_value")
        remedy = "write its ISO code, such as EUR"
        return _checked(value, value or not is_valued, "a value needs a currency", remedy)


class Stage(Row):
    """A state in a journey; the first in order is the entry."""

    table = "stages"
    keys = (("journey_id", "stage_id"), ("journey_id", "stage_order"))

    journey_id: Identifier
    stage_id: Identifier
    stage_order: Integer
    phase: Phase
    stage_kind: StageKind
    key_moment: KeyMoment | None = None
    is_optional: Flag = False
    conversion_window_days: Days | None = None


class StageRule(Row):
    """An event or CRM stage value that means a stage; the lowest priority number wins."""

    table = "stage_rules"

    journey_id: Identifier
    stage_id: Identifier
    source: Source
    event_name: EventName
    property_name: PropertyName | None = None
    property_operator: PropertyOperator = None
    property_value: PropertyValue = None
    priority: Integer | None = None


class Exclusion(Row):
    """Bots, tests and internal traffic, by rule."""

    table = "exclusions"
    keys = (("exclusion_id",),)

    exclusion_id: Identifier
    journey_id: Identifier | None = None
    source: Source
    event_name: EventName | None = None
    property_name: PropertyName | None = None
    property_operator: PropertyOperator = None
    property_value: PropertyValue = None
    reason: Text

    @field_validator("property_name")
    @classmethod
    def _excludes_a_part(cls, value: str | None, info: ValidationInfo) -> str | None:
        is_part = value is not None or info.data.get("event_name", ...) is not None
        message = f"excludes every row of {info.data.get('source')}"
        return _checked(value, is_part, message, "fill event_name or property_name")


class EntityLink(Row):
    """How a journey's entity is found in a source."""

    table = "entity_links"
    keys = (("journey_id", "source"),)

    journey_id: Identifier
    source: Source
    entity_column: Text

    @field_validator("entity_column")
    @classmethod
    def _of_source(cls, value: str, info: ValidationInfo) -> str:
        source = info.data.get("source", "")
        allowed = ENTITY_COLUMNS.get(source, {value: ()})
        message = f"{source} finds no entity by '{value}'"
        return _checked(value, value in allowed, message, f"known: {', '.join(allowed)}")


class Funnel(Row):
    """A declared funnel: the longest time from its first step to its last, in days or seconds."""

    table = "funnels"
    keys = (("funnel_id",),)

    funnel_id: Identifier
    journey_id: Identifier
    name: Text
    order_mode: OrderMode = "ordered"
    conversion_window_days: Days | None = None
    conversion_window_seconds: Seconds | None = None
    held_property: FieldName | None = None

    @field_validator("conversion_window_seconds")
    @classmethod
    def _window(cls, value: int | None, info: ValidationInfo) -> int | None:
        days = info.data.get("conversion_window_days", ...)
        message = "a funnel has one window, in days or in seconds"
        is_one = days is ... or (days is None) != (value is None)
        return _checked(value, is_one, message, "fill conversion_window_days or this cell")


class FunnelStep(Row):
    """A step of a declared funnel, or an event that excludes between two of its steps."""

    table = "funnel_steps"
    keys = (("funnel_id", "step_order"),)

    funnel_id: Identifier
    step_order: Integer
    step_name: Text
    source: Source
    event_name: EventName
    property_name: PropertyName | None = None
    property_operator: PropertyOperator = None
    property_value: PropertyValue = None
    is_optional: Flag = False
    is_exclusion: Flag = False
    step_window_days: Days | None = None
    step_window_seconds: Seconds | None = None
    min_gap_seconds: Seconds | None = None
    from_step: Integer | None = None
    to_step: Integer | None = None

    @property
    def window(self) -> int | None:
        """The longest time since the step before, in seconds."""
        days = self.step_window_days
        return self.step_window_seconds if days is None else days * 86400

    @field_validator("is_exclusion")
    @classmethod
    def _no_step(cls, value: bool, info: ValidationInfo) -> bool:
        holds = not (value and info.data.get("is_optional"))
        message = "an exclusion is no step, so it cannot be optional"
        return _checked(value, holds, message, "write false in is_optional")

    @field_validator("step_window_days", "step_window_seconds", "min_gap_seconds")
    @classmethod
    def _of_a_step(cls, value: int | None, info: ValidationInfo) -> int | None:
        holds = value is None or not info.data.get("is_exclusion")
        message = "an exclusion has no time since a step"
        return _checked(value, holds, message, "empty this cell, or bound it by from_step, to_step")

    @field_validator("step_window_seconds")
    @classmethod
    def _one_window(cls, value: int | None, info: ValidationInfo) -> int | None:
        holds = value is None or info.data.get("step_window_days") is None
        message = "a step has one window, in days or in seconds"
        return _checked(value, holds, message, "empty one of the two cells")

    @field_validator("min_gap_seconds")
    @classmethod
    def _gap(cls, value: int | None, info: ValidationInfo) -> int | None:
        holds = value is None or not info.data.get("is_optional")
        message = "an optional step has no gap before it"
        return _checked(value, holds, message, "empty this cell, or make the step mandatory")

    @field_validator("from_step", "to_step")
    @classmethod
    def _range(cls, value: int | None, info: ValidationInfo) -> int | None:
        holds = value is None or info.data.get("is_exclusion", True)
        message = "only an exclusion lies between two steps"
        _checked(value, holds, message, "empty this cell, or write true in is_exclusion")
        first = info.data.get("from_step") if info.field_name == "to_step" else None
        in_order = value is None or first is None or first < value
        return _checked(value, in_order, f"{value} is not after from_step {first}", "swap them")


class Touchpoint(Row):
    """Where customer and company meet."""

    table = "touchpoints"
    keys = (("touchpoint_id",),)

    touchpoint_id: Identifier
    name: Text
    channel: Text
    owner_team: Text | None = None
    owner_column: PropertyName | None = None
    response_event: Text | None = None
    is_promoted: Flag = False
    response_target_minutes: Positive | None = None


class TouchpointRule(Row):
    """An event that means a touchpoint; the lowest priority number wins."""

    table = "touchpoint_rules"

    touchpoint_id: Identifier
    source: Source
    event_name: EventName
    property_name: PropertyName | None = None
    property_operator: PropertyOperator = None
    property_value: PropertyValue = None
    priority: Integer | None = None


class SegmentDimension(Row):
    """A dimension by which measures are cut."""

    table = "segment_dimensions"
    keys = (("journey_id", "dimension"),)

    journey_id: Identifier
    dimension: Identifier
    source: DimensionSource
    source_column: SourceColumn
    as_of_rule: DimensionRule = None
    is_immutable: Flag = False
    top_n: Positive = 10
    is_ranked: Flag = True
    paired_with: Identifier | None = None

    @field_validator("dimension")
    @classmethod
    def _not_all(cls, value: str) -> str:
        value = _checked(value, value != "all", "'all' means the total", "choose another name")
        message = f"'{value}' is a dimension of contacts, answers or hand-offs already"
        return _checked(value, value not in UNIT_DIMENSIONS, message, "choose another name")

    @field_validator("is_immutable")
    @classmethod
    def _has_history(cls, value: bool, info: ValidationInfo) -> bool:
        rule = info.data.get("as_of_rule", ...)
        message = "a dimension is either immutable or read as of a time"
        remedy = "write true here or fill as_of_rule: today's value is not the one at entry"
        return _checked(value, rule is ... or value == (rule is None), message, remedy)


class Metric(Row):
    """A metric that every measure, benchmark and chart joins to."""

    table = "metrics"
    keys = (("metric_id",),)

    metric_id: Identifier
    label: Text
    unit: Text
    direction: Direction
    scale: Scale
    score_min: Number | None = None
    score_max: Number | None = None
    loss_family: Identifier | None = None
    equivalence_margin: Annotated[Number, _at_least(0)]
    definition_version: Positive
    description: Text
    # A worsening by this part of the value before, of a score by this part of its range, alerts.
    alert_relative_change: Annotated[Number, _at_least(0.001)] | None = None

    @field_validator("score_min", "score_max")
    @classmethod
    def _range(cls, value: float | None, info: ValidationInfo) -> float | None:
        scale, low = info.data.get("scale"), info.data.get("score_min")
        message = "a score, and nothing else, has a range"
        remedy = "fill score_min and score_max for a score, empty them for the rest"
        _checked(value, scale is None or (scale == "score") == (value is not None), message, remedy)
        in_order = value is None or low is None or low < value
        return _checked(value, in_order, f"{value} is not above score_min {low}", "swap them")


class MetricRule(Row):
    """An outcome after an anchor stage, from_day to to_day days later, or by a due date."""

    table = "metric_rules"
    keys = (("metric_id", "journey_id", "anchor_stage"),)

    metric_id: Identifier
    journey_id: Identifier
    anchor_stage: Identifier
    outcome_stage: Identifier
    from_day: Annotated[Integer, _at_least(0)] | None = None
    to_day: Days | None = None
    due_property: FieldName | None = None
    is_negated: Flag = False

    @field_validator("metric_id")
    @classmethod
    def _not_modelled(cls, value: str) -> str:
        message = f"'{value}' is measured of every journey, without a rule"
        remedy = "delete this row, or name a metric of your own in metrics.csv"
        return _checked(value, value not in MODELLED_RATES, message, remedy)

    @field_validator("to_day")
    @classmethod
    def _after_from(cls, value: int | None, info: ValidationInfo) -> int | None:
        first = info.data.get("from_day")
        in_order = value is None or first is None or first < value
        return _checked(value, in_order, f"{value} is not after from_day {first}", "swap them")

    @field_validator("due_property")
    @classmethod
    def _has_an_end(cls, value: str | None, info: ValidationInfo) -> str | None:
        ends = value is not None or info.data.get("to_day", ...) is not None
        _checked(value, ends, "the rule has no end", "fill to_day or due_property")
        is_due = value is not None or info.data.get("metric_id") != "on_time_rate"
        remedy = "name the property of the anchor's event that holds it"
        _checked(value, is_due, "on_time_rate needs a due date", remedy)
        begins_at_once = value is None or not info.data.get("from_day")
        message = "an outcome by a due date counts from the anchor on"
        return _checked(value, begins_at_once, message, "empty from_day")


class Benchmark(Row):
    """A desired value of a metric, from valid_from to valid_to (both included, empty: open)."""

    table = "benchmarks"
    keys = (("benchmark_id",),)

    benchmark_id: Identifier
    metric_id: Identifier
    definition_version: Positive
    journey_id: Identifier
    stage_id: Identifier
    segment_dimension: Identifier = "all"
    segment_value: SegmentValue = "all"
    kind: Text
    value: Number
    window_days: Days | None = None
    percentile: Number | None = None
    n: Positive | None = None
    valid_from: Day | None = None
    valid_to: Day | None = None
    source: Text
    source_url: WebAddress | None = None
    note: Text | None = None

    @field_validator("kind")
    @classmethod
    def _given(cls, value: str) -> str:
        message = "own_past is computed from the measures, not given"
        _checked(value, value != "own_past", message, "delete this row")
        known = ("industry", "target")
        return _checked(value, value in known, f"unknown kind '{value}'", nearest(value, known))

    @field_validator("percentile")
    @classmethod
    def _percent(cls, value: float | None) -> float | None:
        is_percent = value is None or 1 <= value < 100
        return _checked(value, is_percent, f"{value} is no percentile", "write 50 for the median")

    @field_validator("valid_to")
    @classmethod
    def _period(cls, value: date | None, info: ValidationInfo) -> date | None:
        return _not_before(value, info, "valid_from")


class Action(Row):
    """An improvement action and how it will be read out."""

    table = "actions"
    keys = (("action_id",),)

    action_id: Identifier
    title: Text
    category: Category
    owner: Text
    hypothesis: Text
    journey_id: Identifier
    stage_id: Identifier
    metric_id: Identifier
    segment_dimension: Identifier = "all"
    segment_value: SegmentValue = "all"
    control_segment_value: Text | None = None
    started_on: Day
    ended_on: Day | None = None
    experiment_id: Text | None = None
    control_arm: Text | None = None
    readout_on: Day | None = None

    @field_validator("ended_on", "readout_on")
    @classmethod
    def _period(cls, value: date | None, info: ValidationInfo) -> date | None:
        return _not_before(value, info, "started_on")

    @field_validator("control_segment_value")
    @classmethod
    def _control(cls, value: str | None, info: ValidationInfo) -> str | None:
        has_dimension = value is None or info.data.get("segment_dimension") != "all"
        message = "the total has no other segment to be its control"
        _checked(value, has_dimension, message, "empty this cell, or name a segment")
        is_other = value is None or value != info.data.get("segment_value")
        return _checked(value, is_other, f"'{value}' is the segment treated", "name another")

    @field_validator("experiment_id")
    @classmethod
    def _one_design(cls, value: str | None, info: ValidationInfo) -> str | None:
        is_one = value is None or not info.data.get("control_segment_value")
        message = "an experiment has a control arm, and no control segment"
        return _checked(value, is_one, message, "empty this cell or control_segment_value")

    @field_validator("control_arm", "readout_on")
    @classmethod
    def _experiment(cls, value: str | date | None, info: ValidationInfo) -> str | date | None:
        message = "an experiment names its control arm and the day of its readout"
        is_named = value is not None or not info.data.get("experiment_id")
        return _checked(value, is_named, message, "fill this cell")


class FeedbackTopic(Row):
    """Words that mean a topic, in their order; the lowest priority number wins.

    `*` at a word's start or end stands for any letters, `...` for any words between two.
    """

    table = "feedback_topics"
    keys = (("pattern", "topic", "language"),)

    pattern: Pattern
    topic: Identifier
    feedback_type: FeedbackType
    language: Identifier
    priority: Integer | None = None


class Negation(Row):
    """A word, or words, that deny what follows; `*` as in patterns."""

    table = "negations"
    keys = (("language", "word"),)

    language: Identifier
    word: Words


class Calendar(Row):
    """Working hours on a weekday (1 = Monday), local time."""

    table = "calendars"
    keys = (("calendar_id", "weekday", "opens_at"),)

    calendar_id: Identifier
    time_zone: TimeZone
    weekday: Integer
    opens_at: Clock
    closes_at: Clock

    @field_validator("weekday")
    @classmethod
    def _iso(cls, value: int) -> int:
        is_weekday = 1 <= value <= 7
        return _checked(value, is_weekday, f"{value} is no weekday", "1 is Monday, 7 is Sunday")

    @field_validator("closes_at")
    @classmethod
    def _after_opening(cls, value: str, info: ValidationInfo) -> str:
        opens = info.data.get("opens_at", "")
        message = f"closes at {value}, but opens at {opens}"
        return _checked(value, opens < value, message, "write two rows for hours over midnight")


class Holiday(Row):
    """A day without working hours."""

    table = "holidays"
    keys = (("calendar_id", "holiday_date"),)

    calendar_id: Identifier
    holiday_date: Day
    name: Text


TABLES: dict[str, type[Row]] = {
    model.table: model
    for model in (
        *(Journey, Stage, StageRule, Exclusion, EntityLink, Funnel, FunnelStep),
        *(Touchpoint, TouchpointRule, SegmentDimension, Metric, MetricRule, Benchmark),
        *(Action, FeedbackTopic, Negation, Calendar, Holiday),
    )
}
REQUIRED = ("journeys", "stages", "stage_rules", "entity_links")

R = TypeVar("R", bound=Row)
