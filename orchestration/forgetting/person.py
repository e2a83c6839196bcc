"""Who a person is in the raw tables: their ids, and the texts that betray them.

Ids lead from one table to the next: a customer's contacts, devices, opportunities, support
contacts and survey responses, and the account that nobody else belongs to. What another
customer shares (a device, an account) is not theirs: of it only the rows that are theirs go.
"""

# ruff: noqa: S608 - names come from the contract, texts pass through literal()

from collections.abc import Collection, Iterable

import duckdb

from orchestration.landing.contract import CONTRACT
from orchestration.landing.people import ID_COLUMNS, Ids, Needles, among, id_columns
from orchestration.quoting import quoted


def find_ids(connection: duckdb.DuckDBPyConnection, customers: Collection[str]) -> Ids:
    """All ids of the persons `customers`, by column, from the raw tables of a warehouse."""
    ids: dict[str, frozenset[str]] = {
        "customer_id": frozenset(customers),
        "source_case_id": frozenset(customers),
    }

    def values(query: str) -> frozenset[str]:
        return frozenset(value for (value,) in connection.execute(query).fetchall() if value)

    def theirs(name: str) -> str:
        return among(name, ids[name])

    def alone(table: str, column: str) -> str:
        """Ids of rows that name the person, and never anybody else."""
        return (
            f"select {column} from raw.{table} group by {column}"
            f" having bool_or({theirs('customer_id')})"
            f" and not bool_or(customer_id is not null and not {theirs('customer_id')})"
        )

    ids["anonymous_id"] = values(alone("events", "anonymous_id"))
    ids["contact_id"] = values(alone("crm_contacts", "contact_id"))
    ids["support_contact_id"] = values(alone("support_contacts", "support_contact_id"))
    ids["response_id"] = values(alone("survey_responses", "response_id"))
    ids["email_hash"] = values(
        "select email_hash from raw.crm_contacts group by email_hash"
        f" having bool_and({theirs('contact_id')} or coalesce({theirs('customer_id')}, false))"
    )
    ids["account_id"] = values(
        f"""
        select account_id from (
            select account_id from raw.crm_contacts where {theirs("contact_id")}
            union select account_id from raw.events where {theirs("customer_id")}
        ) as candidates
        where account_id not in (
            select account_id from raw.crm_contacts
            where account_id is not null and not {theirs("contact_id")}
            union select account_id from raw.events
            where account_id is not null and not {theirs("customer_id")}
            union select account_id from raw.crm_opportunities
            where account_id is not null and not {theirs("contact_id")}
        )
        """
    )
    ids["opportunity_id"] = values(
        "select opportunity_id from raw.crm_opportunities group by opportunity_id"
        f" having bool_or({theirs('contact_id')} or {theirs('account_id')})"
        f" and not bool_or(contact_id is not null and not {theirs('contact_id')})"
    )
    # On a shared device, what came before the person was identified there is theirs as well.
    ids["event_id"] = values(
        f"""
        with identified as (
            select anonymous_id, occurred_at, min(customer_id) as customer_id
            from raw.events where anonymous_id is not null and customer_id is not null
            group by anonymous_id, occurred_at
        ),
        shared as (
            select distinct anonymous_id from identified where {theirs("customer_id")}
        )
        select events.event_id
        from raw.events as events
        semi join shared using (anonymous_id)
        asof inner join identified
            on events.anonymous_id = identified.anonymous_id
            and events.occurred_at <= identified.occurred_at
        where events.customer_id is null
            and {among("identified.customer_id", ids["customer_id"])}
            and not {among("events.anonymous_id", ids["anonymous_id"])}
        """
    )
    return ids


def union(*several: Ids) -> Ids:
    """Ids of all of them, by column."""
    return {
        name: frozenset().union(*(ids.get(name, frozenset()) for ids in several))
        for name in ID_COLUMNS
    }


def other_ids(connection: duckdb.DuckDBPyConnection, ids: Ids) -> Iterable[str]:
    """Ids of everybody else that contain one of the person's: read from the raw tables."""
    needles = Needles.of(ids)
    if not needles:
        return set()
    return {
        value
        for table in CONTRACT.values()
        for name in id_columns(table)
        for (value,) in connection.execute(
            f"select distinct {quoted(name)} from raw.{table.name}"
            f" where {needles.found_sql(quoted(name))}"
            f" and not {among(quoted(name), ids.get(name, frozenset()))}"
        ).fetchall()
    }
