"""Texts from data in what Dagster's UI shows as Markdown."""

import re

_MARKED = re.compile(r"[\\`*_{}\[\]()<>#+\-.!|~&:/@=]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def plain(text: str) -> str:
    """A text that Markdown shows as it stands: no HTML, link, image, table or line of its own."""
    return _MARKED.sub(r"\\\g<0>", _CONTROL.sub(" ", text))
