"""The journey map: what is read, what is refused and how it says so, what dbt gets."""

import csv
import io
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest
import yaml

from orchestration.errors import InputError, Problem
from orchestration.journey_map import (
    TABLES,
    Benchmark,
    Calendar,
    FeedbackTopic,
    Journey,
    JourneyMap,
    MetricRule,
    Stage,
    load_journey_map,
    write_seeds,
)
from orchestration.journey_map.rows import RECORD_COLUMNS
from orchestration.landing.contract import CONTRACT
from orchestration.settings import PROJECT_DIR

# A map that uses every table. Line 1 is the header.
FULL = {
    "journeys": """\
journey_id,name,entity,attempt_gap_days,order_mode,time_zone,calendar_id,\
conversion_window_days,success_value_source,success_value_column,default_success_value,\
currency
buy,"Buy, at last",customer,45,ordered,Europe/Berlin,office,30,crm_opportunities,amount,\
99.50,EUR
deal,Deal,opportunity,,any,UTC,,14,,,,
""",
    "stages": """\
journey_id,stage_id,stage_order,phase,stage_kind,key_moment,is_optional,conversion_window_days
buy,visited,1,awareness,progress,first_impression,false,
buy,tried,2,consideration,progress,first_value,true,10
buy,paid,3,purchase,success,,false,
buy,gone,4,purchase,exit,,false,
deal,opened,1,purchase,progress,,false,
deal,closed,2,purchase,success,,false,
""",
    "stage_rules": """\
journey_id,stage_id,source,event_name,property_name,property_operator,property_value,priority
buy,visited,events,page_viewed,,,,
buy,tried,events,trial,seats,gte,2,1
buy,paid,crm_opportunities,won,,,,1
buy,gone,events,unsubscribed,reason,exists,,1
deal,opened,crm_opportunities,created,,,,
deal,closed,crm_stage_changes,Closed,resource,in,ann|bob,
""",
    "exclusions": """\
exclusion_id,journey_id,source,event_name,property_name,property_operator,property_value,reason
bots,,events,,agent,contains,bot,robots
""",
    "entity_links": """\
journey_id,source,entity_column
buy,events,customer_id
buy,crm_opportunities,customer_id
deal,crm_opportunities,opportunity_id
deal,crm_stage_changes,opportunity_id
""",
    "funnels": """\
funnel_id,journey_id,name,order_mode,conversion_window_days,conversion_window_seconds,\
held_property
checkout,buy,Checkout,strict,1,,
basket,buy,Basket,any,,3600,basket
""",
    "funnel_steps": """\
funnel_id,step_order,step_name,source,event_name,property_name,property_operator,\
property_value,is_optional,is_exclusion,step_window_days,step_window_seconds,min_gap_seconds,\
from_step,to_step
checkout,1,Cart,events,cart,,,,false,false,,,,,
checkout,2,Coupon,events,coupon,,,,true,false,,60,,,
checkout,3,Pay,events,pay,channel,equals,web,false,false,1,,30,,
checkout,4,Emptied,events,emptied,,,,false,true,,,,1,3
basket,1,Fill,events,cart,,,,false,false,,,,,
basket,2,Address,events,address,,,,false,false,,,,,
""",
    "touchpoints": """\
touchpoint_id,name,channel,owner_team,owner_column,response_event,is_promoted,\
response_target_minutes
chat,Chat,web,support,resource,answered,true,15
ad,Ad,web,,,,false,
""",
    "touchpoint_rules": """\
touchpoint_id,source,event_name,property_name,property_operator,property_value,priority
chat,events,chat_opened,,,,1
ad,events,ad_clicked,,,,1
""",
    "segment_dimensions": """\
journey_id,dimension,source,source_column,as_of_rule,is_immutable,top_n,is_ranked,paired_with
buy,region,crm_accounts,region,,true,5,true,plan
buy,plan,crm_accounts,plan,latest_at_entry,false,,false,
""",
    "metrics": """\
metric_id,label,unit,direction,scale,score_min,score_max,loss_family,equivalence_margin,\
definition_version,description
conversion_rate,Conversion,share,higher_is_better,proportion,,,conversion,0.02,1,\
Share that goes on
time_in_stage_p50,Median,days,lower_is_better,duration,,,,0.1,1,Half have left
nps,NPS,points,higher_is_better,score,-100,100,,5,1,Promoters less detractors
retention,Retention,share,higher_is_better,proportion,,,,0.02,1,Still there
""",
    "metric_rules": """\
metric_id,journey_id,anchor_stage,outcome_stage,from_day,to_day,due_property,is_negated
retention,buy,paid,visited,7,14,,false
""",
    "benchmarks": """\
benchmark_id,metric_id,definition_version,journey_id,stage_id,segment_dimension,\
segment_value,kind,value,window_days,percentile,n,valid_from,valid_to,source,source_url,note
b1,conversion_rate,1,buy,visited,,,industry,0.6,30,50,120,2026-01-01,2026-06-30,A study,\
https://example.org/a,
b2,conversion_rate,1,buy,visited,,,industry,0.7,,,,2026-07-01,,A study,,
b3,time_in_stage_p50,1,buy,tried,region,north,target,2.5,,,,,,Us,,
b4,nps,1,buy,paid,all,all,industry,30,,,,,,A study,,
""",
    "actions": """\
action_id,title,category,owner,hypothesis,journey_id,stage_id,metric_id,segment_dimension,\
segment_value,control_segment_value,started_on,ended_on,experiment_id,control_arm,readout_on
a1,Call back,process_tweak,sales,Faster is better,buy,tried,conversion_rate,region,north,\
south,2026-01-01,2026-02-01,,,2026-03-01
a2,Call twice,process_tweak,sales,Twice is better,buy,visited,conversion_rate,,,\
,2026-01-05,2026-02-05,exp1,off,2026-03-05
a3,"Write ""now"" to all",process_tweak,sales,A letter helps,buy,paid,retention,,,,2026-01-07,,,,
""",
    "feedback_topics": """\
pattern,topic,feedback_type,language,priority
*slow*,speed,reliability,en,1
don't ... first-class  é*,quality,functionality,en,
""",
    "negations": """\
language,word
en,not
de,kein* wenig
""",
    "calendars": """\
calendar_id,time_zone,weekday,opens_at,closes_at
office,Europe/Berlin,1,9:00,12:00
office,Europe/Berlin,1,13:00:00,24:00
""",
    "holidays": """\
calendar_id,holiday_date,name
office,2026-12-25,Christmas
""",
}
REQUIRED = ("journeys", "stages", "stage_rules", "entity_links")


def save(folder: Path, tables: dict[str, str]) -> Path:
    for table, text in tables.items():
        (folder / f"{table}.csv").write_bytes(text.encode())
    return folder


def problems(folder: Path) -> list[Problem]:
    with pytest.raises(InputError) as caught:
        load_journey_map(folder)
    return caught.value.problems


def changed(table: str, old: str, new: str) -> dict[str, str]:
    assert FULL[table].count(old) == 1, f"'{old}' is not once in {table}"
    return {**FULL, table: FULL[table].replace(old, new)}


def test_every_table_is_read_with_its_types(tmp_path: Path) -> None:
    read = load_journey_map(save(tmp_path, FULL))

    assert list(read.tables) == list(FULL) == list(TABLES)
    assert [len(rows) for rows in read.tables.values()] == [
        len(list(csv.reader(io.StringIO(text)))) - 1 for text in FULL.values()
    ]
    journey = read.rows(Journey)[0]
    assert (journey.name, journey.default_success_value) == ("Buy, at last", Decimal("99.50"))
    assert [each.has_own_id for each in read.rows(Journey)] == [False, True]
    assert [each.is_optional for each in read.rows(Stage)][:2] == [False, True]
    benchmark = read.rows(Benchmark)[0]
    assert (benchmark.segment_dimension, benchmark.segment_value) == ("all", "all")
    assert (benchmark.value, benchmark.valid_to) == (0.6, date(2026, 6, 30))
    assert [(each.opens_at, each.closes_at) for each in read.rows(Calendar)] == [
        ("09:00", "12:00"),
        ("13:00", "24:00"),
    ]


def test_the_columns_that_a_dimension_may_name_are_those_that_are_read() -> None:
    macro = (PROJECT_DIR / "macros" / "segments.sql").read_text()
    listed = re.search(r"return\((\{.*?\})\[source_name\]", macro, re.DOTALL)
    assert listed is not None
    read = {source: tuple(columns) for source, columns in yaml.safe_load(listed[1]).items()}
    assert read == RECORD_COLUMNS
    for source, columns in RECORD_COLUMNS.items():
        assert set(columns) <= {column.name for column in CONTRACT[source].columns}


# --- what contradicts itself: table, text, its replacement, line, column, words -------


@pytest.mark.parametrize(
    ("table", "old", "new", "line", "column", "words"),
    [
        # duplicates
        ("journeys", "deal,Deal", "buy,Deal", 3, "journey_id", "as line 2"),
        ("stages", "buy,tried,2", "buy,visited,2", 3, "stage_id", "as line 2"),
        ("stages", "buy,tried,2", "buy,tried,1", 3, "stage_order", "stage_order as line 2"),
        ("entity_links", "buy,crm_opp", "buy,events,customer_id\nbuy,crm_opp", 3, "source", "2"),
        ("stage_rules", "buy,paid", "buy,visited,events,page_viewed,,,,\nbuy,paid", 4, "", "2"),
        ("benchmarks", "b2,", "b1,", 3, "benchmark_id", "same benchmark_id as line 2"),
        ("calendars", "1,13:00:00", "1,09:00", 3, "opens_at", "as line 2"),
        # names that lead nowhere
        ("journeys", ",office,", ",ofice,", 2, "calendar_id", "did you mean 'office'?"),
        ("stage_rules", "buy,tried,", "buy,tryed,", 3, "stage_id", "did you mean 'tried'?"),
        ("stage_rules", "deal,opened", "deel,opened", 6, "journey_id", "did you mean 'deal'?"),
        ("exclusions", "bots,,", "bots,bye,", 2, "journey_id", "unknown journey 'bye'"),
        ("funnels", "checkout,buy", "checkout,bye", 2, "journey_id", "did you mean 'buy'?"),
        ("funnel_steps", "checkout,2", "chekout,2", 3, "funnel_id", "did you mean 'checkout'?"),
        # funnels that cannot be walked
        ("funnels", "strict,1,,", "strict,,,", 2, "conversion_window_seconds", "one window"),
        ("funnels", "strict,1,,", "strict,1,5,", 2, "conversion_window_seconds", "one window"),
        ("funnels", ",3600,", ",0,", 3, "conversion_window_seconds", "too small"),
        ("funnels", ",3600,", ",1000000001,", 3, "conversion_window_seconds", "as days"),
        ("funnels", "3600,basket", '3600,"a""b"', 3, "held_property", "a quote"),
        ("funnel_steps", "Coupon,events", "Coupon,event_log", 3, "source", "no entity link"),
        (
            "funnel_steps",
            "cart,,,,false,false,,,,,\ncheckout,2",
            "cart,,,,true,false,,,,,\ncheckout,2",
            2,
            "is_optional",
            "first step",
        ),
        ("funnel_steps", "web,false,false,1,,30", "web,true,false,1,,", 4, "is_optional", "last"),
        ("funnel_steps", "true,false,,60,", "true,false,,60,30", 3, "min_gap_seconds", "optional"),
        ("funnel_steps", "true,false,,60,", "true,false,1,60,", 3, "step_window_seconds", "or in"),
        ("funnel_steps", "false,true,,,,1,3", "true,true,,,,1,3", 5, "is_exclusion", "optional"),
        ("funnel_steps", "false,true,,,,1,3", "false,true,1,,,1,3", 5, "step_window_days", "from"),
        ("funnel_steps", "false,true,,,,1,3", "false,true,,,,3,1", 5, "to_step", "swap them"),
        (
            "funnel_steps",
            "false,true,,,,1,3",
            "false,true,,,,2,3",
            5,
            "from_step",
            "steps that can: ",
        ),
        (
            "funnel_steps",
            "false,true,,,,1,3",
            "false,true,,,,1,9",
            5,
            "to_step",
            "steps that can: ",
        ),
        ("funnel_steps", "false,true,,,,1,3", "false,true,,,,3,", 5, "from_step", "that can: 1"),
        (
            *("funnel_steps", "address,,,,false,false,,,,,"),
            "address,,,,false,false,,,,,\nbasket,3,Gone,events,gone,,,,false,true,,,,1,",
            *(8, "from_step", "in any order"),
        ),
        (
            *("funnels", "basket,buy", "one,buy,One,any,1,,\nbasket,buy", 3, "funnel_id"),
            "no row of funnel_steps",
        ),
        ("funnel_steps", "false,true,,,,1,3", "false,true,,,,,1", 5, "to_step", "that can: 3"),
        (
            "funnel_steps",
            "false,false,1,,30,,",
            "false,false,1,,30,1,",
            4,
            "from_step",
            "exclusion",
        ),
        ("funnel_steps", "false,false,1,,30", "false,false,2,,30", 4, "step_window_days", "86400"),
        ("funnel_steps", "false,false,1,,30", "false,false,,20,30", 4, "min_gap_seconds", "never"),
        (
            "funnel_steps",
            "Address,events,address,,,,false,false,,",
            "Address,events,address,,,,false,false,,60",
            7,
            "step_window_seconds",
            "in any order",
        ),
        (
            "funnel_steps",
            "Address,events,address",
            "Address,events,cart",
            7,
            "event_name",
            "line 6",
        ),
        (
            "funnel_steps",
            "basket,2,",
            "basket,3,A,events,a,,,,true,false,,,,,\nbasket,4,",
            7,
            "is_optional",
            "decides nothing",
        ),
        ("touchpoint_rules", "chat,events", "chad,events", 2, "touchpoint_id", "'chat'"),
        ("segment_dimensions", "buy,plan", "bay,plan", 3, "journey_id", "did you mean 'buy'?"),
        ("segment_dimensions", "true,plan", "true,plun", 2, "paired_with", "did you mean 'plan'"),
        ("metric_rules", "retention,", "retenton,", 2, "metric_id", "did you mean 'retention'"),
        ("metric_rules", ",paid,", ",payd,", 2, "anchor_stage", "did you mean 'paid'?"),
        ("metric_rules", ",visited,", ",closed,", 2, "outcome_stage", "in journey 'buy'"),
        ("benchmarks", "b3,time_in_stage_p50", "b3,time_in_stage", 4, "metric_id", "_p50'?"),
        ("benchmarks", "b3,time_in_stage_p50,1,buy", "b3,nps,1,by", 4, "journey_id", "'buy'?"),
        ("benchmarks", "buy,tried", "buy,all", 4, "stage_id", "unknown stage 'all'"),
        ("benchmarks", "region,north", "regio,north", 4, "segment_dimension", "'region'?"),
        ("actions", "tried,conversion_rate,", "tried,convert,", 2, "metric_id", "unknown metric"),
        ("actions", "buy,tried", "buy,opened", 2, "stage_id", "unknown stage 'opened'"),
        ("holidays", "office", "offic", 2, "calendar_id", "did you mean 'office'?"),
        # calendars whose hours cannot be counted
        ("calendars", "1,13:00:00", "1,11:59", 3, "opens_at", "overlaps line 2, 09:00 to 12:00"),
        ("calendars", "office,Europe/Berlin,1,13", "office,UTC,2,13", 3, "time_zone", "in line 2"),
        # journeys that cannot be measured
        ("journeys", ",45,", ",29,", 2, "attempt_gap_days", "write 30 or more"),
        ("stages", "true,10", "true,46", None, "attempt_gap_days", "write 46 or more"),
        ("journeys", ",45,", ",,", 2, "attempt_gap_days", "where the entity is customer"),
        ("stages", "closed,2,purchase,success", "closed,2,purchase,exit", None, "", "no success"),
        ("stages", "opened,1,purchase,progress", "opened,1,purchase,exit", 6, "stage_kind", "exit"),
        ("stages", "buy,tried,2", "buy,tried,5", 3, "stage_order", "never converts"),
        ("stages", "buy,gone", "buy,late,5,purchase,exit,,,\nbuy,gone", 5, "stage_id", "no row of"),
        ("stage_rules", "buy,visited,events", "buy,visited,event_log", 2, "source", "entity_links"),
        (
            "funnels",
            "checkout,buy",
            "empty,buy,Empty,any,1,,\ncheckout,buy",
            2,
            "funnel_id",
            "steps",
        ),
        ("entity_links", "deal,crm_stage_changes,opp", "deal,crm_stage_changes,a", 5, "", "by 'a"),
        (
            *("entity_links", "buy,events,customer_id", "buy,events,account_id"),
            *(2, "entity_column", "another entity than 'customer_id'"),
        ),
        (
            *("entity_links", "deal,crm_stage_changes,opportunity_id"),
            *("deal,crm_stage_changes,account_id", 5, "entity_column", "write opportunity_id"),
        ),
        # rules
        (
            "stage_rules",
            "trial,seats,gte,2,1",
            "page_viewed,,,,",
            3,
            "stage_id",
            "ambiguous: line 2",
        ),
        ("stage_rules", "trial,seats,gte,2,1", "page_viewed,a,equals,b,", 3, "stage_id", "line 2"),
        ("touchpoint_rules", "ad_clicked", "chat_opened", 3, "touchpoint_id", "ambiguous"),
        (
            *("touchpoint_rules", "ad_clicked,,,,1", "chat_opened,page,equals,/a,1"),
            *(3, "touchpoint_id", "ambiguous: line 2 says 'chat' for the same rows (give the rule"),
        ),
        ("stage_rules", "seats,gte", "seats,atleast", 3, "property_operator", "unknown operator"),
        ("stage_rules", "seats,gte,2", "seats,,", 3, "property_operator", "go together"),
        ("stage_rules", "page_viewed,,", "page_viewed,,equals", 2, "property_operator", "together"),
        ("stage_rules", "seats,gte,2", "seats,gte,two", 3, "property_value", "no number"),
        ("stage_rules", "seats,gte,2", "seats,gte,", 3, "property_value", "gte needs a value"),
        ("stage_rules", "exists,,", "exists,x,", 5, "property_value", "empty this cell"),
        ("stage_rules", "ann|bob", "ann||bob", 7, "property_value", "an empty value"),
        ("stage_rules", "Closed,resource", "Closed,owner", 7, "property_name", "has no property"),
        ("stage_rules", "seats,gte", '"a""b",gte', 3, "property_name", "a quote"),
        ("stage_rules", "opportunities,won", "opportunities,one", 4, "event_name", "mean 'won'?"),
        ("stage_rules", "deal,closed,crm_stage_changes", "deal,closed,crm", 7, "source", "unknown"),
        ("exclusions", ",agent,contains,bot,", ",,,,", 2, "property_name", "every row of events"),
        # cells
        ("stages", "buy,tried,2", "buy,Tried it,2", 3, "stage_id", "use only a-z, 0-9 and _"),
        ("stages", ",awareness,", ",awarenes,", 2, "phase", "did you mean 'awareness'?"),
        ("stages", ",exit,", ",final,", 5, "stage_kind", "known: exit, progress, success"),
        ("stages", "first_value", "frst_value", 3, "key_moment", "did you mean 'first_value'?"),
        ("stages", "first_value,true", "first_value,maybe", 3, "is_optional", "true or false"),
        ("stages", "buy,tried,2", "buy,tried,2.5", 3, "stage_order", "no whole number"),
        ("stages", "buy,tried,2", "buy,tried,", 3, "stage_order", "must not be empty"),
        ("journeys", "Europe/Berlin", "Europe/Berlim", 2, "time_zone", "'Europe/Berlin'"),
        ("journeys", "UTC", "localtime", 3, "time_zone", "unknown time zone"),
        ("journeys", ",any,", ",some,", 3, "order_mode", "unknown order mode 'some'"),
        ("journeys", ",14,", ",0,", 3, "conversion_window_days", "write 1 or more"),
        ("journeys", ",14,", ",1e9,", 3, "conversion_window_days", "no number"),
        ("journeys", ",14,", ",99999,", 3, "conversion_window_days", "too many"),
        ("journeys", "99.50,EUR", "99.505,EUR", 2, "default_success_value", "two decimals"),
        ("journeys", "99.50,EUR", "99.50,", 2, "currency", "a value needs a currency"),
        ("journeys", "99.50,EUR", "99.50,Euro", 2, "currency", "such as EUR"),
        ("journeys", ",crm_opportunities,amount", ",crm_opportunities,", 2, "", "fill both"),
        ("journeys", "amount", "amuont", 2, "success_value_column", "write amount"),
        ("funnel_steps", "web,false,false,1", "web,false,false,-1", 4, "step_window_days", "small"),
        ("touchpoints", "true,15", "true,0", 2, "response_target_minutes", "write 1 or more"),
        ("segment_dimensions", "buy,plan", "buy,all", 3, "dimension", "'all' means the total"),
        (
            "segment_dimensions",
            "buy,plan",
            "buy,touchpoint",
            3,
            "dimension",
            "of contacts, answers",
        ),
        ("segment_dimensions", "latest_at_entry", "", 3, "is_immutable", "today's value"),
        ("segment_dimensions", "latest_at_entry", "newest", 3, "as_of_rule", "as-of rule"),
        ("segment_dimensions", "accounts,reg", "accounts,rag", 2, "source_column", "mean 'region'"),
        ("segment_dimensions", "accounts,plan", "opportunities,is_won", 3, "", "that makes a dim"),
        ("segment_dimensions", "accounts,plan", "stage_changes,owner", 3, "", "is resource"),
        ("segment_dimensions", "latest_at_entry", "entering_event", 3, "", "not by a row"),
        (
            *("segment_dimensions", "crm_accounts,plan", "event_log,plan"),
            *(3, "source", "its stage rules name crm_opportunities, events"),
        ),
        ("segment_dimensions", "true,plan", "true,region", 2, "paired_with", "with itself"),
        ("segment_dimensions", "false,,false,", "false,,false,region", 3, "", "pair as line 2"),
        ("metrics", "score,-100,100", "score,-100,", 4, "score_max", "fill score_min and"),
        ("metrics", "score,-100,100", "score,100,-100", 4, "score_max", "swap them"),
        ("metrics", "conversion,0.02", "conversion,-1", 2, "equivalence_margin", "too small"),
        ("metric_rules", "7,14", "14,7", 2, "to_day", "is not after from_day 14"),
        ("metric_rules", "7,14", "7,", 2, "due_property", "no end"),
        ("metric_rules", "retention,", "conversion_rate,", 2, "metric_id", "without a rule"),
        ("metric_rules", "retention,", "journey_conversion_rate,", 2, "metric_id", "without a"),
        ("metric_rules", "retention,", "nps,", 2, "metric_id", "nps is a score"),
        ("metric_rules", "retention,", "time_in_stage_p50,", 2, "metric_id", "is a duration"),
        ("metric_rules", "retention,", "on_time_rate,", 2, "due_property", "needs a due date"),
        ("metric_rules", "7,14,,", "7,14,due_at,", 2, "due_property", "empty from_day"),
        ("metric_rules", "7,14,,", ',,"a""b",', 2, "due_property", "a quote"),
        (
            "metric_rules",
            "paid,visited,7,14,,",
            "paid,visited,,,due,",
            2,
            "due_property",
            "no event",
        ),
        (
            *("metric_rules", "7,14,,false", "7,14,,false\nretention,buy,tried,visited,7,14,,true"),
            *(3, "is_negated", "line 2 counts that 'visited' happens, this one that it does not"),
        ),
        (
            *("metric_rules", "7,14,,false", "7,14,,false\nretention,buy,paid,tried,0,7,,false"),
            *(3, "anchor_stage", "same metric_id, journey_id, anchor_stage as line 2"),
        ),
        ("feedback_topics", ",reliability,", ",bugs,", 2, "feedback_type", "unknown feedback type"),
        # patterns that match nothing, or anything
        ("feedback_topics", "*slow*,", ",", 2, "pattern", "must not be empty"),
        ("feedback_topics", "*slow*", "sl*w", 2, "pattern", "'sl*w' is no pattern: 'sl*w' (write"),
        ("feedback_topics", "*slow*", "*", 2, "pattern", "'*' is no pattern"),
        ("feedback_topics", "*slow*", "**", 2, "pattern", "'**' is no pattern"),
        ("feedback_topics", "*slow*", "**slow", 2, "pattern", "is no pattern"),
        ("feedback_topics", "*slow*", "slow *", 2, "pattern", "is no pattern: '*'"),
        (
            "feedback_topics",
            "*slow*",
            "slow ...",
            2,
            "pattern",
            "nothing on one side of ... (write",
        ),
        ("feedback_topics", "*slow*", "... slow", 2, "pattern", "nothing on one side of ..."),
        ("feedback_topics", "*slow*", "so ... ... slow", 2, "pattern", "nothing on one side of"),
        ("feedback_topics", "*slow*", "so...slow", 2, "pattern", "... with blanks around it"),
        ("feedback_topics", "*slow*", "slow|lag", 2, "pattern", "is no pattern: 'slow|lag'"),
        ("feedback_topics", "*slow*", "(slow", 2, "pattern", "is no pattern: '(slow'"),
        ("feedback_topics", "*slow*", "slow!", 2, "pattern", "write words of letters and digits"),
        ("feedback_topics", "*slow*", "'slow'", 2, "pattern", "is no pattern"),
        ("feedback_topics", "*slow*", "slow-", 2, "pattern", "is no pattern"),
        ("feedback_topics", "*slow*", "sl_w", 2, "pattern", "is no pattern"),
        ("feedback_topics", "*slow*", "s" * 101, 2, "pattern", "101 characters are too many"),
        (
            *("feedback_topics", "en,1\n", "en,1\n*slow*,speed,usability,en,3\n"),
            *(3, "language", "same pattern, topic, language as line 2"),
        ),
        ("negations", "en,not", "en,not!", 2, "word", "is no pattern: 'not!' (write words of"),
        ("negations", "en,not", "en,not ... at", 2, "word", "write words without ..."),
        ("negations", "de,kein* wenig", "en,not", 3, "word", "same language, word as line 2"),
        # hours and days
        ("calendars", "Berlin,1,9:00", "Berlin,0,9:00", 2, "weekday", "1 is Monday, 7 is Sunday"),
        ("calendars", "9:00", "24:30", 2, "opens_at", "no time of day"),
        ("calendars", "12:00", "08:00", 2, "closes_at", "two rows for hours over midnight"),
        ("holidays", "2026-12-25", "12/25/2026", 2, "holiday_date", "no date"),
        ("holidays", "2026-12-25", "2026-02-30", 2, "holiday_date", "write it like 2026-01-31"),
        ("actions", "2026-01-01,2026-02-01", "2026-02-01,2026-01-01", 2, "ended_on", "is before"),
        ("actions", "exp1,off", "exp1,", 3, "control_arm", "names its control arm"),
        ("actions", "off,2026-03-05", "off,", 3, "readout_on", "the day of its readout"),
        (
            "actions",
            "north,south",
            "north,north",
            2,
            "control_segment_value",
            "'north' is the segment",
        ),
        ("actions", "region,north", "all,all", 2, "control_segment_value", "the total has no"),
        ("actions", "02-01,,,", "02-01,exp2,off,", 2, "experiment_id", "no control segment"),
        ("actions", "buy,tried", "buy,gone", 2, "stage_id", "nothing leaves 'gone'"),
        (
            "actions",
            "paid,ret",
            "tried,ret",
            4,
            "stage_id",
            "not measured at 'tried' (known: paid,",
        ),
        (
            "actions",
            "Call back,process_tweak",
            "Call back,process_tweek",
            2,
            "category",
            "did you mean 'process_tweak'?",
        ),
        # benchmarks
        ("benchmarks", "industry,0.6", "industry,60", 2, "value", "write 0.6 for 60 %"),
        ("benchmarks", "industry,0.6", "industry,60%", 2, "value", "write 0.6 for 60 %"),
        ("benchmarks", "industry,0.6", "industry,-0.6", 2, "value", "no value of conversion_rate"),
        ("benchmarks", "industry,0.6", "industry,nan", 2, "value", "no number"),
        ("benchmarks", "target,2.5", "target,0", 4, "value", "a positive number of days"),
        ("benchmarks", "target,2.5", 'target,"1,234"', 4, "value", "ambiguous"),
        ("benchmarks", "industry,30,,,", "industry,130,,,", 5, "value", "from -100 to 100"),
        ("benchmarks", "buy,tried", "buy,gone", 4, "stage_id", "nothing leaves 'gone'"),
        ("benchmarks", "b4,nps", "b4,retention", 5, "value", "0.3 for 30 %"),
        (
            "benchmarks",
            "b2,conversion_rate,1,buy,visited",
            "b2,retention,1,buy,tried",
            3,
            "stage_id",
            "it is at: paid",
        ),
        ("benchmarks", "target,2.5", "own_past,2.5", 4, "kind", "own_past is computed"),
        ("benchmarks", "target,2.5", "tarket,2.5", 4, "kind", "did you mean 'target'?"),
        ("benchmarks", "2026-07-01", "2026-06-30", 3, "valid_from", "with 'b1' in line 2"),
        ("benchmarks", "2026-07-01", "", 3, "valid_from", "valid together with 'b1' in line 2"),
        ("benchmarks", "2026-01-01,2026", "2026-07-01,2026", 2, "valid_to", "is before valid_from"),
        ("benchmarks", "region,north", "region,all", 4, "segment_value", "the total: all = all"),
        ("benchmarks", "30,50,", "30,0.5,", 2, "percentile", "write 50 for the median"),
        ("benchmarks", "50,120", "50,0", 2, "n", "too small"),
        ("benchmarks", "https://example.org/a", "example", 2, "source_url", "web address"),
    ],
)
def test_a_contradiction_names_file_line_and_column(
    tmp_path: Path, table: str, old: str, new: str, line: int | None, column: str, words: str
) -> None:
    found = problems(save(tmp_path, changed(table, old, new)))

    # A change to stages.csv can be a contradiction of journeys.csv.
    place = f"{table}.csv, line {line}" if line else r"journeys.csv, line \d"
    wanted = re.compile(f"{place}, column {column or '[a-z_]+'}: .*{re.escape(words)}")
    assert [str(each) for each in found if wanted.match(str(each))], "\n".join(map(str, found))


def test_a_rule_by_a_due_date_and_the_journeys_own_rate(tmp_path: Path) -> None:
    """A due date needs no days; the journey converts from its entry, and from nowhere else."""
    rates = (
        "on_time_rate,On time,share,higher_is_better,proportion,,,,0.02,1,By then\n"
        "journey_conversion_rate,All,share,higher_is_better,proportion,,,,0.02,1,All of it\n"
    )
    tables = {
        **FULL,
        "metrics": FULL["metrics"] + rates,
        "metric_rules": FULL["metric_rules"] + "on_time_rate,buy,visited,paid,,,due_at,\n",
        "benchmarks": FULL["benchmarks"]
        + "b5,journey_conversion_rate,1,buy,visited,,,target,0.1,,,,,,Us,,\n",
    }
    rule = load_journey_map(save(tmp_path, tables)).rows(MetricRule)[1]
    assert (rule.due_property, rule.from_day, rule.to_day) == ("due_at", None, None)

    elsewhere = tables["benchmarks"].replace("rate,1,buy,visited,,,targ", "rate,1,buy,tried,,,targ")
    (found,) = problems(save(tmp_path, {**tables, "benchmarks": elsewhere}))
    assert "journey_conversion_rate is not measured at 'tried' (in this journey it is at: vis" in (
        str(found)
    )


@pytest.mark.parametrize(
    "pattern",
    [
        *("slow", "2nd try", "don't", "don\u2019t", "check-in*", "*grátis", "a ... b ... c"),
        *("e\u0301tat", "अच्छा नहीं", "לא ... טוב", "دير*", "遅い", "s" * 100),
    ],
)
def test_a_pattern_is_of_words_of_any_script(tmp_path: Path, pattern: str) -> None:
    tables = changed("feedback_topics", "*slow*", pattern)
    read = load_journey_map(save(tmp_path, tables)).rows(FeedbackTopic)
    assert read[0].pattern == pattern


def test_a_pattern_is_written_one_way(tmp_path: Path) -> None:
    """Blanks, and the one character that spreadsheets make of three dots, tell nothing apart."""
    tables = changed("feedback_topics", "*slow*", "so \u2026  slow")
    read = load_journey_map(save(tmp_path, tables)).rows(FeedbackTopic)
    assert [row.pattern for row in read] == ["so ... slow", "don't ... first-class é*"]

    twice = tables["feedback_topics"] + "so ...  slow,speed,usability,en,2\n"
    (found,) = problems(save(tmp_path, {**tables, "feedback_topics": twice}))
    assert "same pattern, topic, language as line 2" in str(found)


def test_a_touchpoint_may_go_without_an_owner_or_an_answer(tmp_path: Path) -> None:
    """They are what the touchpoints' gaps are made of, no mistakes."""
    bare = "touchpoint_id,name,channel,response_event\nchat,Chat,web,answered\nad,Ad,web,\n"
    touchpoints = load_journey_map(save(tmp_path, {**FULL, "touchpoints": bare}))
    assert [row.model_dump()["owner_team"] for row in touchpoints.tables["touchpoints"]] == [
        None,
        None,
    ]


def test_one_mistake_is_one_problem(tmp_path: Path) -> None:
    """An unknown journey in a rule is not also a stage without one, and so on."""
    for table, old, new in (
        ("benchmarks", "b3,time_in_stage_p50,1,buy", "b3,nps,1,by"),
        ("journeys", "Europe/Berlin", "Europe/Berlim"),
        ("stages", ",exit,", ",final,"),
        ("stage_rules", "seats,gte", "seats,atleast"),
        ("metrics", "score,-100,100", "score,100,-100"),
    ):
        assert len(problems(save(tmp_path, changed(table, old, new)))) == 1, (table, new)


def test_all_problems_are_told_at_once_in_the_order_of_the_files(tmp_path: Path) -> None:
    tables = {
        **changed("stages", "buy,tried,2", "buy,tried,1"),
        "stage_rules": FULL["stage_rules"].replace("buy,paid", "buy,payed"),
        "benchmarks": FULL["benchmarks"].replace("0.6", "60").replace("0.7", "70"),
    }
    with pytest.raises(InputError) as caught:
        load_journey_map(save(tmp_path, tables))

    assert [(each.file, each.row, each.column) for each in caught.value.problems] == [
        ("stages.csv", 3, "stage_order"),
        ("stages.csv", 4, "stage_id"),
        ("stage_rules.csv", 4, "stage_id"),
        ("benchmarks.csv", 2, "value"),
        ("benchmarks.csv", 3, "value"),
    ]
    assert "has 5 problems" in str(caught.value)


# --- files ----------------------------------------------------------------------------


@pytest.mark.parametrize("table", REQUIRED)
def test_a_missing_file_names_its_columns(tmp_path: Path, table: str) -> None:
    found = problems(save(tmp_path, {name: FULL[name] for name in FULL if name != table}))

    assert f"{table}.csv: the file is missing (add it, with the columns journey_id," in str(
        found[0]
    )
    assert len(found) == 1


def test_other_files_may_be_missing(tmp_path: Path) -> None:
    minimal = {
        **{table: FULL[table] for table in REQUIRED},
        "journeys": FULL["journeys"].replace("office", ""),
    }
    read = load_journey_map(save(tmp_path, minimal))

    assert [table for table, rows in read.tables.items() if rows] == [*REQUIRED, "metrics"]
    default = load_journey_map(PROJECT_DIR / "seeds" / "journey_map")
    assert read.tables["metrics"] == default.tables["metrics"]


def test_a_missing_folder(tmp_path: Path) -> None:
    (found,) = problems(tmp_path / "nowhere")
    assert "no such folder (check --map" in str(found)


def test_an_unknown_file(tmp_path: Path) -> None:
    (tmp_path / "benchmark.csv").write_text("")
    (tmp_path / "landing.yml").write_text("")
    (tmp_path / "~$stages.csv").write_text("")
    (found,) = problems(save(tmp_path, FULL))
    assert str(found) == "benchmark.csv: no table of the map (did you mean 'benchmarks.csv'?)"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "stages.csv: the file is empty (begin with the header journey_id,stage_id,"),
        ("\r\n;;;\r\n", "stages.csv: the file is empty"),
        (
            FULL["stages"].replace("stage_kind", "stagekind", 1),
            "stages.csv, line 1, column stagekind: unknown column (did you mean 'stage_kind'?)",
        ),
        (
            FULL["stages"].replace("stage_kind", "stagekind", 1),
            "stages.csv, line 1, column stage_kind: the column is missing (add it)",
        ),
        (
            "\n" + FULL["stages"].replace("key_moment", "phase", 1),
            "stages.csv, line 2, column phase: the column is there twice (delete one)",
        ),
        (
            FULL["stages"].replace("buy,paid", 'buy,"paid"x'),
            "stages.csv, line 4: broken quote: ',' expected after '\"'",
        ),
        (
            FULL["stages"].replace("buy,paid", 'buy,"paid'),
            "stages.csv, line 4: broken quote: unexpected end of data",
        ),
        (
            FULL["stages"].replace("true,10", "true,1,0"),
            "stages.csv, line 3: a cell without a column (put a cell with a delimiter in quotes)",
        ),
    ],
)
def test_a_file_that_is_broken(tmp_path: Path, text: str, wanted: str) -> None:
    found = problems(save(tmp_path, {**FULL, "stages": text}))
    assert any(str(each).startswith(wanted) for each in found), "\n".join(map(str, found))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (save(tmp_path, {**FULL, "holidays": ""}) / "holidays.csv").unlink()
    (tmp_path / "holidays.csv").mkdir()
    (found,) = problems(tmp_path)
    assert str(found) == "holidays.csv: cannot be read: Is a directory (check the file)"


def test_lines_are_physical_lines(tmp_path: Path) -> None:
    """Blank lines and line breaks inside of quotes count, as an editor counts them."""
    text = (
        FULL["journeys"].replace('"Buy, at last"', '"Buy,\nat\nlast"').replace("deal,", "\ndeal,")
    )
    (found,) = problems(save(tmp_path, {**FULL, "journeys": text.replace(",14,", ",0,")}))
    assert (found.row, found.column) == (6, "conversion_window_days")


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (FULL["holidays"].replace("Christmas", "Noël").encode("cp1252"), 2),
        (FULL["holidays"].encode("utf-16-le"), 1),
        (b"\xff\xfe" + FULL["holidays"].encode("utf-16-le") + b"\x00", 3),
    ],
)
def test_a_file_in_another_encoding_is_not_guessed(tmp_path: Path, data: bytes, line: int) -> None:
    (save(tmp_path, FULL) / "holidays.csv").write_bytes(data)
    (found,) = problems(tmp_path)
    assert str(found) == f"holidays.csv, line {line}: not UTF-8 (save it as CSV UTF-8)"


# --- what spreadsheets make of it -----------------------------------------------------


def as_spreadsheet(text: str, delimiter: str, locale: dict[str, str], line_end: str) -> str:
    """What a spreadsheet writes: its own delimiter, dates, booleans, and room at the end."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator=line_end)
    for record in csv.reader(io.StringIO(text)):
        cells = [locale.get(cell, cell) for cell in record]
        writer.writerow([*(_local(cell) if locale else cell for cell in cells), "", ""])
    writer.writerow([""] * 4)
    return out.getvalue() + line_end


def _local(cell: str) -> str:
    if re.fullmatch(r"\d{4}-\d\d-\d\d", cell):
        return f"{date.fromisoformat(cell):%d.%m.%Y}"
    return cell.replace(".", ",") if re.fullmatch(r"\d+\.\d+", cell) else cell


GERMAN = {"true": "WAHR", "false": "FALSCH"}
ENGLISH = {"true": "TRUE", "false": "no"}


@pytest.mark.parametrize(
    ("encode", "delimiter", "locale", "line_end"),
    [
        (lambda text: text.encode("utf-8-sig"), ";", GERMAN, "\r\n"),
        (lambda text: text.encode("utf-16"), "\t", GERMAN, "\r\n"),
        (lambda text: text.encode("utf-8-sig"), ",", ENGLISH, "\r\n"),
        (lambda text: text.encode(), ",", GERMAN, "\n"),
        (lambda text: text.encode(), ";", {"true": "1", "false": "0"}, "\r"),
    ],
)
def test_a_map_saved_by_a_spreadsheet_is_the_same_map(
    tmp_path: Path,
    encode: Callable[[str], bytes],
    delimiter: str,
    locale: dict[str, str],
    line_end: str,
) -> None:
    plain, saved = tmp_path / "plain", tmp_path / "saved"
    plain.mkdir(), saved.mkdir()
    for table, text in FULL.items():
        (saved / f"{table}.csv").write_bytes(
            encode(as_spreadsheet(text, delimiter, locale, line_end))
        )
    assert load_journey_map(saved).csvs == load_journey_map(save(plain, FULL)).csvs


def test_columns_may_be_left_out_or_in_another_order(tmp_path: Path) -> None:
    stages = "stage_kind,phase,stage_order,stage_id,journey_id\n" + "".join(
        f"{kind},purchase,{order},{stage},{journey}\n"
        for journey, stage, order, kind in (
            ("buy", "visited", 1, "progress"),
            ("buy", "tried", 2, "progress"),
            ("buy", "paid", 3, "success"),
            ("buy", "gone", 4, "exit"),
            ("deal", "opened", 1, "progress"),
            ("deal", "closed", 2, "success"),
        )
    )
    read = load_journey_map(save(tmp_path, {**FULL, "stages": stages}))
    assert read.rows(Stage)[0] == Stage(
        journey_id="buy", stage_id="visited", stage_order=1, phase="purchase", stage_kind="progress"
    )


# --- seeds ----------------------------------------------------------------------------


def test_seeds_are_the_same_map_and_stay_the_same(tmp_path: Path) -> None:
    read = load_journey_map(save(tmp_path, FULL))
    seeds = tmp_path / "seeds" / "new"
    write_seeds(read, seeds)

    assert sorted(path.name for path in seeds.iterdir()) == sorted(f"{name}.csv" for name in TABLES)
    again = load_journey_map(seeds)
    assert again == read
    assert again.sha256 == read.sha256
    assert b"\r" not in b"".join(path.read_bytes() for path in seeds.iterdir())
    assert (seeds / "segment_dimensions.csv").read_text() == (
        "journey_id,dimension,source,source_column,as_of_rule,is_immutable,top_n,is_ranked,"
        "paired_with\n"
        "buy,region,crm_accounts,region,,true,5,true,plan\n"
        "buy,plan,crm_accounts,plan,latest_at_entry,false,10,false,\n"
    )


def test_a_seed_is_written_only_if_it_changes(tmp_path: Path) -> None:
    read = load_journey_map(save(tmp_path, FULL))
    seeds = tmp_path / "seeds"
    write_seeds(read, seeds)
    (seeds / "notes.txt").write_text("mine")
    before = {path.name: path.stat().st_ino for path in seeds.iterdir()}

    fewer = JourneyMap({**read.tables, "holidays": []})
    write_seeds(fewer, seeds)

    after = {path.name: path.stat().st_ino for path in seeds.iterdir()}
    assert [name for name in after if after[name] != before.get(name)] == ["holidays.csv"]
    assert (seeds / "holidays.csv").read_text() == "calendar_id,holiday_date,name\n"
    assert fewer.sha256 != read.sha256


def test_sources_are_those_of_the_stage_rules_and_what_finds_their_entity(tmp_path: Path) -> None:
    read = load_journey_map(save(tmp_path, FULL))
    assert read.sources() == ("crm_contacts", "crm_opportunities", "crm_stage_changes", "events")

    examples = load_journey_map(PROJECT_DIR / "examples" / "loan_application")
    assert examples.sources() == ("event_log",)


def _sql_type(annotation: object) -> str:
    known: dict[object, str] = {
        **{
            str: "varchar",
            int: "integer",
            float: "double precision",
            bool: "boolean",
            date: "date",
        },
        Decimal: "decimal(18,2)",
    }
    while annotation not in known:
        annotation = next(each for each in get_args(annotation) if each is not type(None))
    return known[annotation]


def test_dbt_knows_every_column_and_its_type() -> None:
    path = PROJECT_DIR / "models" / "staging" / "journey_map" / "_journey_map__seeds.yml"
    seeds = {seed["name"]: seed for seed in yaml.safe_load(path.read_text())["seeds"]}

    assert list(seeds) == list(TABLES)
    for table, model in TABLES.items():
        types = {name: _sql_type(info.annotation) for name, info in model.model_fields.items()}
        assert seeds[table]["config"]["column_types"] == types, table
        assert [column["name"] for column in seeds[table]["columns"]] == list(types), table
        assert seeds[table]["description"].startswith("One row per "), table
        assert all(column["description"] for column in seeds[table]["columns"]), table


def test_the_default_map_is_what_dbt_can_seed() -> None:
    """dbt reads it as it is: all tables are there, with commas and in UTF-8."""
    folder = PROJECT_DIR / "seeds" / "journey_map"
    for table, text in load_journey_map(folder).csvs.items():
        assert (folder / f"{table}.csv").read_text(encoding="utf-8") == text, table
