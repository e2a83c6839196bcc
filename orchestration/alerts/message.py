"""An alert as a webhook receives it. Values from data are bounded, and cannot be markup."""

import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from orchestration.settings import AlertFormat

TITLE, SENTENCE = 150, 300
SENTENCES = 10


@dataclass(frozen=True)
class Message:
    """What is said at once: one alert, or several of a kind.

    `status` is open, repeated or recovered; `time` is UTC.
    """

    kind: str
    status: str
    environment: str
    key: str
    title: str
    sentences: tuple[str, ...]
    run_id: str | None
    time: datetime


def bounded(text: str, length: int) -> str:
    """One line of at most `length` characters, without control characters."""
    plain = "".join(" " if unicodedata.category(c)[0] == "C" else c for c in text[: 10 * length])
    line = " ".join(plain.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def bounded_all(sentences: Sequence[str]) -> tuple[str, ...]:
    """The first SENTENCES, each bounded, and how many more there are."""
    shown = tuple(bounded(sentence, SENTENCE) for sentence in sentences[:SENTENCES])
    more = len(sentences) - len(shown)
    return (*shown, f"… and {more:,} more") if more > 0 else shown


def body(message: Message, written: AlertFormat) -> dict[str, Any]:
    """The JSON object that is posted."""
    match written:
        case AlertFormat.JSON:
            return asdict(message) | {"time": message.time.isoformat(timespec="seconds")}
        case AlertFormat.SLACK:
            return _slack(message)


def _slack(message: Message) -> dict[str, Any]:
    prefix = "Recovered: " if message.status == "recovered" else ""
    title = bounded(f"{prefix}{message.title}", TITLE)
    facts = [message.environment, message.kind.replace("_", " ")]
    facts.append(f"{message.time:%Y-%m-%d %H:%M} UTC")
    if message.run_id:
        facts.append(f"run {message.run_id}")
    blocks: list[dict[str, Any]] = [_section(f"*{_escaped(title)}*")]
    blocks += [_section(_escaped(sentence)) for sentence in message.sentences]
    blocks.append({"type": "context", "elements": [_text(_escaped(" · ".join(facts)))]})
    return {"text": _escaped(title), "blocks": blocks}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _text(text)}


def _text(text: str) -> dict[str, Any]:
    # Verbatim: addresses and @names from data are not made into links.
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _escaped(text: str) -> str:
    """What Slack asks to be escaped; `<!channel>` and `<address|text>` are then plain text."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
