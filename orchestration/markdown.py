"""Texts from data in Markdown: in Dagster's UI and in chats."""

import re
from collections.abc import Sequence

# Inside a figure, a name or at a sentence's end `.`, `-`, `+` and `_` mark nothing, and a chat that
# shows Markdown as it stands stays readable: 40.6%, -1.5, first-contact, signed_up.
_MARKED = re.compile(
    r"[\\`*{}\[\]>#!|~/@$^]|<(?![\d\s])|&(?=[\w#])"
    # A time of day is no emoji; a line of nothing but `=` would make a heading of the one before.
    r"|(?<!\d):(?=\S)|:(?=[^\s\d])|=(?=[=\s]*$)"
    r"|(?<![^\W_])_|_(?![^\W_])"
    r"|[-+](?!\w)"
    # Addresses become links; a number with a full stop or a parenthesis begins a list.
    # The map's own files are no addresses.
    r"|(?<=[^\W\d])(?!\.csv\b)\.(?=\w)|(?!\.csv\b)\.(?=[^\W\d])|(?<=\d)\.(?!\d)|(?<=\d)\)"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def plain(text: str) -> str:
    """A text that Markdown shows as it stands: no HTML, link, image, table or line of its own."""
    return _MARKED.sub(r"\\\g<0>", _CONTROL.sub(" ", text))


def table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool] = ()
) -> str:
    """A table of GitHub-flavoured Markdown; cells are Markdown already, see `plain`.

    `right` says of each column whether it is set to the right; by default none is.
    """
    marks = ["---:" if is_right else "---" for is_right in right or [False] * len(headings)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [headings, marks, *rows])
