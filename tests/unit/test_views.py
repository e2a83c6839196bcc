"""Views at any width, lines of blocks, and texts in Markdown."""

import io
from html import unescape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console
from rich.text import Text

from orchestration.cli.sparklines import ASCII, BLOCKS, Point, bar, sparkline
from orchestration.cli.views import Column, View, fitting, lines, markdown_of
from orchestration.markdown import plain

VIEW = View(
    "Some",
    [
        Column("rank"),
        Column("stage", is_name=True),
        Column("metric", is_name=True),
        Column("value", is_figure=True),
        Column("desired", is_figure=True),
        Column("verdict"),
        Column("worth", is_figure=True, is_optional=True),
        Column("reason", wraps=True, is_optional=True),
    ],
    [
        ["1", "signed_up", "first_contact_resolution_rate", "40.6%", "60.0% (industry)",
         Text("lagging", "red"), "78,437 EUR", "partner goes with 8.1 % against 54 % of others"],
        ["", "客户", "csat", "9.8%", "30.0% (target)", "ahead", "", ""],
    ],
)  # fmt: skip


def drawn(width: int, **given: object) -> list[str]:
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=True, highlight=False, **given)  # type: ignore[arg-type]
    console.print(fitting(VIEW, console))
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("width", range(50, 200, 10))
def test_no_figure_is_broken_at_any_width(width: int) -> None:
    shown = drawn(width, no_color=True, color_system=None)
    assert max(map(len, shown)) <= width
    joined = "\n".join(shown)
    for figure in ("40.6%", "60.0% (industry)", "lagging", "first_contact_resolution_rate"):
        assert figure in joined


def test_a_narrow_terminal_leaves_out_what_is_optional_then_joins_names_then_stacks() -> None:
    heading = {width: drawn(width, color_system=None)[0].split() for width in (130, 100, 75, 60)}
    figures = ["value", "desired", "verdict"]
    assert heading[130] == ["rank", "stage", "metric", *figures, "worth", "reason"]
    assert heading[100] == ["rank", "stage", "metric", *figures, "worth"]
    assert heading[75] == ["rank", "stage", "metric", *figures]
    assert heading[60] == ["rank", *figures, "worth"]
    assert drawn(75, color_system=None)[2].startswith("1     signed_up   ")
    assert drawn(60, color_system=None)[1] == "signed_up first_contact_resolution_rate"


def test_colour_is_beside_words_and_can_be_switched_off() -> None:
    assert any("\x1b[31mlagging" in line for line in drawn(120, color_system="standard"))
    assert not any(
        "\x1b[31m" in line for line in drawn(120, color_system="standard", no_color=True)
    )


def test_lines_for_a_pipe_are_whole_and_aligned() -> None:
    assert lines(VIEW) == [
        "rank  stage      metric                         value           desired  verdict"
        "       worth  reason",
        "1     signed_up  first_contact_resolution_rate  40.6%  60.0% (industry)  lagging"
        "  78,437 EUR  partner goes with 8.1 % against 54 % of others",
        "      客户       csat                            9.8%    30.0% (target)  ahead",
    ]


def test_markdown_of_several_lines_in_a_cell() -> None:
    view = View("", [Column("a"), Column("b", is_figure=True)], [[Text("x|\ny"), "1"]], ["# Done."])
    assert markdown_of(view) == "| a | b |\n| --- | ---: |\n| x\\|<br>y | 1 |\n\n\\# Done."


@settings(deadline=None)
@given(st.text("a1_ .-+*()[]!<>|&;#=~`\\:/@x$^\n\té", min_size=1))
def test_markdown_shows_any_text_as_it_stands(text: str) -> None:
    html = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(plain(text))
    shown = html.removeprefix("<p>").removesuffix("</p>\n")
    assert "<" not in shown
    assert unescape(shown).split() == text.split()
    assert "<h" not in MarkdownIt("commonmark").render(f"before\n{plain(text)}")


def test_markdown_leaves_names_and_figures_readable() -> None:
    names = ("signed_up", "first-contact", "touchpoints.csv", "08:15 UTC")
    for text in (*names, "40.6%", "-1.5 points", "<0.001", "n = 761", "1.1 times: so."):
        assert plain(text) == text
    assert plain("www.example.com") == r"www\.example\.com"


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], ""),
        ([None, None], "··"),
        ([0.0, 0.0], "▁▁"),
        ([0.5, 0.5], "██"),
        ([0.0, 0.5, 1.0], "▁▅█"),
        ([0.98, 1.0], "██"),
    ],
)
def test_a_line_begins_at_zero_so_that_noise_stays_small(
    values: list[float | None], line: str
) -> None:
    assert sparkline([Point(value, True) for value in values], BLOCKS).plain == line


def test_what_does_not_count_is_marked_with_and_without_colour() -> None:
    points = [Point(1.0, True), Point(1.0, False), Point(None, False), Point(1.0, True)]
    line = sparkline(points, ASCII)
    assert line.plain == "#(#?)#"
    assert [(line.plain[span.start : span.end], span.style) for span in line.spans] == [
        ("(#?)", "dim")
    ]


def test_bars() -> None:
    assert [bar(share, BLOCKS, 4) for share in (0, 0.001, 0.5, 0.53, 1, 7)] == [
        "", "▏", "██", "██▏", "████", "████",
    ]  # fmt: skip
    assert [bar(share, ASCII, 4) for share in (0, 0.001, 0.5, 1)] == ["", "#", "##", "####"]
