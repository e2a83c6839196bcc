"""Which upstream columns each column of a query is made of. Pure: text in, names out."""

from collections.abc import Iterable, Iterator, Mapping

from sqlglot import exp, parse_one
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope
from sqlglot.schema import MappingSchema

# A relation as dbt writes it in compiled SQL, and the name of one of its columns.
UpstreamColumn = tuple[str, str]
_Parts = tuple[str, str, str]


def column_lineage(
    sql: str, dialect: str, relations: Mapping[str, Iterable[str]]
) -> dict[str, frozenset[UpstreamColumn]]:
    """Return each column of a query with the columns of `relations` that its value comes from.

    `relations` maps the name of every relation that the query reads to its columns. What a
    window is partitioned and ordered by counts, what a query is filtered, joined or grouped by
    does not. A column made of no other, such as a literal or count(*), has an empty set.
    Raises sqlglot.errors.SqlglotError for SQL that cannot be read.
    """
    schema = MappingSchema(dialect=dialect)
    names = {}
    for name, columns in relations.items():
        table = exp.to_table(name, dialect=dialect)
        names[_parts(table)] = name
        schema.add_table(table, dict.fromkeys(columns, "unknown"), dialect=dialect)
    query = qualify(
        parse_one(sql, dialect=dialect),
        dialect=dialect,
        schema=schema,
        identify=False,
        validate_qualify_columns=False,
    )
    root = build_scope(query)
    if root is None:
        return {}
    tracer = _Tracer(root, names)
    return {column: tracer.origins(root, column) for column in _columns(root)}


def table_columns(statements: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return `schema.table` -> column -> type of every table that the statements create."""
    created = {}
    for statement in statements:
        create = parse_one(statement)
        if create.find(exp.Schema) and (table := create.find(exp.Table)):
            created[f"{table.db}.{table.name}"] = {
                column.name: column.args["kind"].sql().lower()
                for column in create.find_all(exp.ColumnDef)
            }
    return created


class _Tracer:
    """Follows columns through the CTEs and subqueries of one qualified query."""

    def __init__(self, root: Scope, names: Mapping[_Parts, str]) -> None:
        """`names` gives each relation the name it is reported by."""
        self._names = names
        self._scopes = {id(scope.expression): scope for scope in root.traverse()}
        self._known: dict[tuple[int, str], frozenset[UpstreamColumn]] = {}

    def origins(self, scope: Scope, column: str) -> frozenset[UpstreamColumn]:
        """Return what one output column of a scope comes from."""
        key = (id(scope.expression), column.lower())
        if key not in self._known:
            self._known[key] = frozenset(self._origins(scope, column.lower()))
        return self._known[key]

    def _origins(self, scope: Scope, column: str) -> Iterator[UpstreamColumn]:
        query = scope.expression
        if scope.set_operation_scopes:
            columns = _columns(scope)
            place = columns.index(column) if column in columns else None
            for branch in scope.set_operation_scopes:
                if place is not None and place < len(_columns(branch)):
                    yield from self.origins(branch, _columns(branch)[place])
        elif isinstance(query, exp.Select):
            for projection in query.selects:
                if projection.alias_or_name.lower() == column:
                    yield from self._inside(projection, scope)
        else:
            # A table function: all of its columns come from all of its arguments.
            yield from self._inside(query, scope)

    def _inside(self, expression: exp.Expr, scope: Scope) -> Iterator[UpstreamColumn]:
        for part in (expression, *_named_windows(expression)):
            for column in part.find_all(exp.Column):
                yield from self._resolved(column, scope)

    def _resolved(self, column: exp.Column, scope: Scope) -> Iterator[UpstreamColumn]:
        """Find the column's relation in its own scope, else in those around it."""
        within: Scope | None = self._scopes.get(id(column.parent_select), scope)
        while within is not None:
            _, source = within.selected_sources.get(column.table, (None, None))
            source = source or within.lateral_sources.get(column.table)
            if isinstance(source, Scope):
                yield from self.origins(source, column.name)
            elif isinstance(source, exp.Table):
                if name := self._names.get(_parts(source)):
                    yield name, column.name.lower()
            else:
                within = within.parent
                continue
            return


def _columns(scope: Scope) -> list[str]:
    query = scope.expression
    return [name.lower() for name in query.named_selects] if isinstance(query, exp.Query) else []


def _named_windows(expression: exp.Expr) -> Iterator[exp.Expr]:
    """The definitions of the windows that an expression names, as in `over history`."""
    for window in expression.find_all(exp.Window):
        select = window.parent_select
        for definition in (select.args.get("windows") or []) if select else []:
            if definition.name == window.alias:
                yield definition


def _parts(table: exp.Table) -> _Parts:
    return table.catalog.lower(), table.db.lower(), table.name.lower()
