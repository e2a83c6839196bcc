"""What `doctor` reads of a warehouse, made by hand in SQL that every engine reads."""

# A journey of three stages was built, and nothing is wrong with its map.
BUILT = """
create schema intermediate;
create schema marts;
create schema journey_map;
create table intermediate.int_source_events as
select * from (values
    ('events', '1', 'opened'), ('events', '2', 'opened'), ('events', '3', 'checked'),
    ('crm_stage_changes', '4', 'Won')
) as events(source, source_row_id, event_name);
create table intermediate.int_journey_rules as
select
    'loans' as journey_id, 'stage' as meaning, stage_id, source, event_name,
    null::varchar as touchpoint_id, null::varchar as funnel_id, null::integer as step_order,
    null::varchar as property_name, null::varchar as property_operator,
    null::varchar as property_value
from (values
    ('opened', 'events', 'opened'),
    ('checked', 'events', 'checked'),
    ('won', 'crm_stage_changes', 'Won')
) as rules(stage_id, source, event_name);
create table intermediate.int_mapped_events as
select
    'loans' as journey_id, 'stage' as meaning, lower(event_name) as stage_id,
    null::varchar as touchpoint_id, null::varchar as funnel_id, null::integer as step_order,
    source, source_row_id
from intermediate.int_source_events;
create table intermediate.int_journey_events as select * from intermediate.int_mapped_events;
create table intermediate.int_unmapped_events (
    source varchar, event_name varchar, events bigint, source_events bigint
);
create table intermediate.int_segment_values as
select 'loans' as journey_id, 'region' as segment_dimension, 'north' as segment_value;
create table marts.dim_journeys as select 'loans' as journey_id;
create table marts.fct_journey_coverage as
select 'loans' as journey_id, * from (values ('opened', 2), ('checked', 1), ('won', 1))
    as coverage(stage_id, cases);
create table marts.fct_measures as select 'conversion_rate' as metric_id, 0.5 as value;
create table marts.fct_action_readouts (
    action_id varchar, readout_on date, verdict varchar, reason varchar
);
create table journey_map.entity_links as
select 'loans' as journey_id, * from (values
    ('events', 'customer_id'), ('crm_stage_changes', 'customer_id')
) as links(source, entity_column);
create table journey_map.metrics as select 'conversion_rate' as metric_id;
create table journey_map.segment_dimensions as
select 'loans' as journey_id, 'region' as dimension, 'crm_accounts' as source;
"""
