"""The report's answer as Markdown for a chat: short, and with nothing in it that is obeyed."""

from orchestration.markdown import plain
from orchestration.report.parts import Card, Page

# What chats show without folding it, or take at all.
LONGEST = 3000


def summary(page: Page, link: str = "") -> str:
    """The gaps to close first in sentences, with worth, reason and owner, and what they rest on.

    `link` is where the report lies: an address or a path. Shorter than LONGEST characters: where
    sentences are too long for that, reasons and owners are left out before anything else.
    """
    for is_whole in (True, False):
        text = _text(page, link, is_whole=is_whole)
        if len(text) < LONGEST:
            return text
    return f"{text[: LONGEST - 2].rpartition(chr(10))[0]}\n"


def _text(page: Page, link: str, *, is_whole: bool) -> str:
    opening = page.opening
    lines = [f"**Journey gaps: {plain(page.title)}**", ""]
    if opening.cards:
        for card in opening.cards:
            lines += _card(card, is_whole=is_whole)
        if opening.more_ranked:
            lines += ["", plain(opening.more_ranked.replace("the table below", "the report"))]
    else:
        lines.append(f"**No gap is ranked.** {plain(opening.nothing_ranked)}")
    lines += ["", " · ".join(plain(f"{name}: {value}") for name, value in page.facts)]
    quality = [section.summary for section in page.others if section.section_id == "quality"]
    lines += [plain(f"Data quality: {said}") for said in quality if said]
    if link:
        # In angle brackets an address with a blank or a parenthesis is one.
        lines.append(f"[The report](<{link.replace('<', '%3C').replace('>', '%3E')}>)")
    return "\n".join(lines) + "\n"


def _card(card: Card, *, is_whole: bool) -> list[str]:
    journey = f" ({plain(card.journey)})" if card.journey else ""
    lines = [f"{card.rank}. **{plain(card.place)}**{journey}: {plain(card.sentence)}"]
    if card.worth:
        lines.append(f"   {plain(card.worth)}")
    if is_whole:
        lines += [
            f"   {name}: {plain(text)}"
            for name, text in (("Reason", card.reason), ("Owner", card.owner))
            if text
        ]
        lines.append(f"   {plain(card.evidence)}")
    return lines
