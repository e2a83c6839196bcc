"""One picture a chart: what the page shows of it, as a file of its own for slides and chats.

A picture says by itself what the page says around the chart: title, legend, n, period, source.
"""

import re
import struct
import textwrap
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import vl_convert
from altair import SCHEMA_VERSION
from markupsafe import Markup

from orchestration.files import write_whole
from orchestration.report.charts.base import COLOURS, INK, NEUTRAL
from orchestration.report.page import templates
from orchestration.report.parts import Figure, Key, Page

# As in the charts.
FONT = "system-ui, sans-serif"
SOFT = "#52606d"
MARGIN = 20
# Of the chart alone, pixels; small multiples are narrow on the page too.
WIDE, NARROW = 760, 420
SCALE = 2
_LINE = 17
# Of a wide font at 12 pixels: a line that is too short looks better than one that is cut.
_LETTER = 6.6
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]")


@dataclass(frozen=True)
class Line:
    """A line of text; `y` is its base line."""

    text: str
    y: float


@dataclass(frozen=True)
class PlacedKey:
    """An entry of the legend: its sign, SVG or a letter, at `x`, its text beside it."""

    sign: Markup
    is_drawn: bool
    text: str
    x: float
    text_x: float
    y: float


@dataclass(frozen=True)
class Picture:
    """A chart with its words, placed; sizes are pixels of the SVG."""

    name: str
    title: str
    label: str
    width: float
    height: float
    heading: Sequence[Line]
    keys: Sequence[PlacedKey]
    chart: Markup
    chart_y: float
    caption: Sequence[Line]


def pictures(page: Page) -> Iterator[Picture]:
    """The page's charts in its order; their names sort likewise."""
    number = 0
    for where, keys, figure, is_narrow in _figures(page):
        if figure.spec is not None:
            number += 1
            title = " · ".join(filter(None, (where, figure.title)))
            yield _picture(f"{number:03}-{_slug(title)}", title, keys, figure, is_narrow=is_narrow)


def write_pictures(page: Page, folder: Path, *, as_svg: bool = True) -> list[Path]:
    """Write a PNG (twice the size, for sharp screens) and an SVG of every chart into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for picture in pictures(page):
        svg = as_text(picture)
        path = folder / f"{picture.name}.png"
        write_whole(path, as_png(svg))
        written.append(path)
        if as_svg:
            path = folder / f"{picture.name}.svg"
            write_whole(path, svg)
            written.append(path)
    return written


def as_text(picture: Picture) -> str:
    """The picture as SVG."""
    svg = (
        templates()
        .get_template("picture.svg.j2")
        .render(picture=picture, font=FONT, ink=INK, soft=SOFT, margin=MARGIN)
    )
    colours = {**COLOURS, "neutral": NEUTRAL}
    for name, colour in colours.items():
        svg = svg.replace(f"var(--{name})", colour)
    return _CONTROL.sub(" ", svg.replace("currentColor", INK))


def as_png(svg: str, scale: float = SCALE) -> bytes:
    """An SVG as PNG; what it names is not loaded."""
    png: bytes = vl_convert.svg_to_png(svg, scale=scale)
    return _compressed(png)


def _compressed(png: bytes) -> bytes:
    """The same PNG in a quarter of the bytes: what draws it compresses for speed."""
    start, pixels = 8, b""
    chunks: list[tuple[bytes, bytes]] = []
    while start < len(png):
        length, kind = struct.unpack(">I4s", png[start : start + 8])
        content = png[start + 8 : start + 8 + length]
        start += length + 12
        if kind == b"IDAT":
            pixels += content
        else:
            chunks.append((kind, content))
    # All that describes the pixels stands before them, and IEND behind.
    chunks.insert(-1, (b"IDAT", zlib.compress(zlib.decompress(pixels), 9)))
    return png[:8] + b"".join(
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def _figures(page: Page) -> Iterator[tuple[str, Sequence[Key], Figure, bool]]:
    for card in page.opening.cards:
        if card.figure:
            yield f"{card.rank}. {card.journey}, {card.place}", (), card.figure, False
    for section in page.sections:
        for block in section.blocks:
            for figure in block.figures:
                where = " · ".join(filter(None, (section.title, block.title)))
                yield where, block.keys, figure, block.is_grid


def _picture(
    name: str, title: str, keys: Sequence[Key], figure: Figure, *, is_narrow: bool
) -> Picture:
    inner = NARROW if is_narrow else WIDE
    heading = _lines(title, inner / 10.5, first=MARGIN + 16, step=23)
    placed = _placed(keys, inner, top=MARGIN + 23 * len(heading) + 8)
    chart_y = (placed[-1].y + 28) if placed else MARGIN + 23 * len(heading) + 8
    chart, height = _chart(figure, inner)
    caption = _lines(figure.caption, inner / _LETTER, first=chart_y + height + 22, step=_LINE)
    bottom = caption[-1].y if caption else chart_y + height
    return Picture(
        name,
        title,
        figure.label,
        width=inner + 2 * MARGIN,
        height=round(bottom + MARGIN),
        heading=heading,
        keys=placed,
        chart=chart,
        chart_y=chart_y,
        caption=caption,
    )


def _chart(figure: Figure, width: int) -> tuple[Markup, float]:
    """A chart alone as SVG without a scale of its own, and its height."""
    svg: str = vl_convert.vegalite_to_svg(
        {**(figure.spec or {}), "width": width},
        vl_version=SCHEMA_VERSION.removeprefix("v").rpartition(".")[0],
        allowed_base_urls=[],
    )
    size = re.search(r'height="([\d.]+)"', svg)
    # Vega has escaped what comes from data.
    return Markup(_CONTROL.sub(" ", svg)), float(size[1]) if size else 0.0  # noqa: S704


def _lines(text: str, letters: float, *, first: float, step: float) -> list[Line]:
    # A name without a blank is broken too.
    return [
        Line(line, first + step * number)
        for number, line in enumerate(textwrap.wrap(_CONTROL.sub(" ", text), int(letters)))
    ]


def _placed(keys: Sequence[Key], width: float, top: float) -> list[PlacedKey]:
    """The legend in lines, as wide as they are likely to be."""
    sign_of = getattr(templates().get_template("keys.html.j2").module, "sign")  # noqa: B009  (mypy)
    placed: list[PlacedKey] = []
    x, y = float(MARGIN), top
    for key in keys:
        sign = sign_of(key.sign).strip()
        size = re.match(r'<svg width="(\d+)"', sign)
        room = (int(size[1]) if size else 14) + 8
        needed = room + len(key.text) * _LETTER + 18
        if x > MARGIN and x + needed > MARGIN + width:
            x, y = float(MARGIN), y + 24
        placed.append(PlacedKey(sign, bool(size), key.text, x, x + room, y))
        x += needed
    return placed


def _slug(text: str) -> str:
    """A text as part of a file's name on any system."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:80].strip("-")
