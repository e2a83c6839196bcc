"""Which day a file is of, by its name."""

import re
from datetime import date


def names_day(name: str, day: date) -> bool:
    """Whether a path names a day: `2026-11-20`, `20261120`, `dt=2026-11-20`, `2026/11/20`.

    `_` may separate too, and `year=2026/month=11/day=20` names the day as well. Digits beside
    it make another number of it.
    """
    year, month, number = f"{day:%Y}", f"{day:%m}", f"{day:%d}"
    plain = rf"(?<!\d){year}(?P<by>[-_/]?){month}(?P=by){number}(?!\d)"
    hive = rf"\byear={year}/month=0?{day.month}/day=0?{day.day}(?!\d)"
    return re.search(f"{plain}|{hive}", name) is not None
