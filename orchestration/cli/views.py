"""What a command shows, as a table for a terminal, lines for a pipe, or Markdown for a chat."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import typer
from rich.box import SIMPLE_HEAD, Box
from rich.cells import cell_len
from rich.console import Console, Group
from rich.table import Table as Grid
from rich.text import Text

from orchestration import markdown
from orchestration.cli.console import (
    console_of,
    harmless,
    spell_out_unknown_letters,
    write_csv,
    write_json,
)
from orchestration.cli.program import Format
from orchestration.publish.reading import Table

# A terminal without the letters of a line gets a rule of hyphens.
_RULE = "    \n    \n -- \n    \n    \n    \n    \n    \n"
ASCII_HEAD = Box(_RULE, ascii=True)
# A column that wraps is not squeezed below this, or below its longest word.
NARROWEST = 28
# Blanks between two columns.
GUTTER = 2


@dataclass(frozen=True)
class Column:
    """One column of a view.

    Figures stand on the right and are never broken. Where a terminal is too narrow for all, the
    optional columns go, the last first; then the names become one column.
    """

    heading: str
    is_figure: bool = False
    is_name: bool = False
    is_optional: bool = False
    wraps: bool = False


# A text is data, shown as it stands; a Text is made of harmless parts, and styled.
Cell = str | Text


@dataclass(frozen=True)
class View:
    """Rows as a person reads them, under a title; `remarks` are sentences below."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    remarks: Sequence[str] = ()


def show(format_: Format, table: Table, views: Iterable[View]) -> None:
    """Write to stdout: all columns as JSON or CSV, or views of them as a table or Markdown."""
    spell_out_unknown_letters(sys.stdout)
    match format_:
        case Format.JSON:
            write_json(sys.stdout, table.records())
        case Format.CSV:
            write_csv(sys.stdout, table.columns, table.rows)
        case Format.MD:
            typer.echo("\n\n".join(markdown_of(view) for view in views))
        case Format.TABLE:
            show_views(views, console_of(sys.stdout))


def show_views(views: Iterable[View], console: Console) -> None:
    """Write views: tables that fit a terminal, whole lines to a pipe."""
    is_pipe = not console.is_terminal
    for number, view in enumerate(views):
        if number:
            console.print()
        if view.title:
            console.print(Text(one_line(view.title), style="italic"), soft_wrap=is_pipe)
        if is_pipe:
            for line in lines(view):
                console.print(Text(line), soft_wrap=True)
        elif view.rows:
            console.print(fitting(view, console))
        for remark in view.remarks:
            console.print(Text(one_line(remark)), soft_wrap=is_pipe)


def left_out(number: int, what: str) -> list[str]:
    """The remark on what a view does not show; none where it shows all."""
    return [f"{number:,} more {what}: --top, --format csv"] if number > 0 else []


def one_line(text: str) -> str:
    """A text from data as one line that no terminal obeys."""
    return harmless(text).replace("\n", "\\n").replace("\t", "\\t")


def _text(cell: Cell) -> Text:
    return cell if isinstance(cell, Text) else Text(one_line(cell))


def lines(view: View) -> list[str]:
    """A view as lines of aligned columns, as long as they are; none where it has no rows."""
    if not view.rows:
        return []
    table = [
        [column.heading for column in view.columns],
        *([" ".join(_text(cell).plain.splitlines()) for cell in row] for row in view.rows),
    ]
    widths = [max(map(cell_len, column)) for column in zip(*table, strict=True)]
    return [(" " * GUTTER).join(map(_aligned, row, widths, view.columns)).rstrip() for row in table]


def _aligned(cell: str, width: int, column: Column) -> str:
    blanks = " " * (width - cell_len(cell))
    return blanks + cell if column.is_figure else cell + blanks


def markdown_of(view: View) -> str:
    """A view as Markdown: its title, a table of all its columns, its remarks."""
    parts = [f"**{_in_markdown(view.title)}**"] if view.title else []
    if view.rows:
        cells = [
            ["<br>".join(map(_in_markdown, _text(cell).plain.splitlines())) for cell in row]
            for row in view.rows
        ]
        headings = [column.heading for column in view.columns]
        right = [column.is_figure for column in view.columns]
        parts.append(markdown.table(headings, cells, right))
    return "\n\n".join([*parts, *map(_in_markdown, view.remarks)])


def _in_markdown(text: str) -> str:
    return markdown.plain(one_line(text))


def fitting(view: View, console: Console) -> Grid | Group:
    """A view as a grid that fits a console's width, else each row's names above its figures."""
    kept = list(range(len(view.columns)))
    optional = [index for index in kept if view.columns[index].is_optional]
    while not _fits(view, kept, console.width) and optional:
        kept.remove(optional.pop())
    if _fits(view, kept, console.width):
        return _grid(view, kept, console)
    joined = _names_joined(view)
    kept = [index for index, column in enumerate(joined.columns) if not column.is_optional]
    if _fits(joined, kept, console.width):
        return _grid(joined, kept, console)
    return _stacked(joined, console)


def _stacked(view: View, console: Console) -> Group:
    """The name of each row on a line of its own, above what else it has."""
    name = next(index for index, column in enumerate(view.columns) if column.is_name)
    others = [index for index in range(len(view.columns)) if index != name]
    optional = [index for index in others if view.columns[index].is_optional]
    while not _fits(view, others, console.width - GUTTER) and optional:
        others.remove(optional.pop())
    columns = [view.columns[index] for index in others]
    rows = [[row[index] for index in others] for row in view.rows]
    heading, *figures = lines(View("", columns, rows))
    parts = [Text(f"  {heading}", "bold")]
    for row, line in zip(view.rows, figures, strict=True):
        parts += [_text(row[name]), Text(f"  {line}")]
    return Group(*parts)


def _fits(view: View, kept: Sequence[int], width: int) -> bool:
    """Whether nothing is broken but what may wrap."""
    need = sum(_width(view, index) + GUTTER for index in kept)
    return need - GUTTER <= width


def _width(view: View, index: int) -> int:
    column = view.columns[index]
    texts = [column.heading, *(_text(row[index]).plain for row in view.rows)]
    width = max(cell_len(line) for text in texts for line in text.splitlines() or [""])
    longest_word = max(cell_len(word) for text in texts for word in text.split() or [""])
    return min(width, max(NARROWEST, longest_word)) if column.wraps else width


def _grid(view: View, kept: Sequence[int], console: Console) -> Grid:
    head = ASCII_HEAD if console.options.ascii_only else SIMPLE_HEAD
    grid = Grid(box=head, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    for column in (view.columns[index] for index in kept):
        grid.add_column(
            column.heading,
            justify="right" if column.is_figure else "left",
            no_wrap=column.is_figure,
            overflow="fold",
        )
    for row in view.rows:
        grid.add_row(*(_text(row[index]) for index in kept))
    return grid


def _names_joined(view: View) -> View:
    """The view with the names of a row in one cell, where the first of them is."""
    names = [index for index, column in enumerate(view.columns) if column.is_name]
    if not names:
        return view
    others = [index for index in range(len(view.columns)) if index not in names]
    first = next((place for place, index in enumerate(others) if index > names[0]), len(others))

    def arranged(cells: Sequence[Any], joined: Any) -> list[Any]:
        kept = [cells[index] for index in others]
        return [*kept[:first], joined, *kept[first:]]

    heading = " ".join(view.columns[index].heading for index in names)
    columns = arranged(view.columns, Column(heading, is_name=True, wraps=True))
    rows = [
        arranged(row, Text(" ").join(_text(row[index]) for index in names)) for row in view.rows
    ]
    return View(view.title, columns, rows, view.remarks)
