"""The report's answer in Dagster's UI: its sentences and its first chart, with no click more."""

from base64 import b64encode
from typing import TYPE_CHECKING

from orchestration.markdown import plain

if TYPE_CHECKING:
    from orchestration.report.parts import Page

# Of a picture that an event of the run carries, bytes.
LARGEST = 75_000


def preview(page: "Page") -> str:
    """The summary for chats and one chart as Markdown, below 100 kB."""
    # Slow to import, and only a run that publishes needs it.
    from orchestration.report.pictures import as_png, as_text, pictures
    from orchestration.report.summary import summary

    text = summary(page)
    picture = next(pictures(page), None)
    if picture is None:
        return text
    png = as_png(as_text(picture), scale=1)
    if len(png) > LARGEST:
        return text
    encoded = b64encode(png).decode("ascii")
    return f"{text}\n![{plain(picture.title)}](data:image/png;base64,{encoded})\n"
