"""What must not be in books that are kept: secrets, values of customers, this machine's paths."""

import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import SecretStr

from orchestration.settings import PROJECT_DIR, Settings, libpq_variables

_SECRET_VARIABLE = re.compile(r"PASSWORD|SECRET|TOKEN|WEBHOOK|API_KEY")
# A short one would be found in every other word.
_SHORTEST_SECRET = 4
# Up to the check's name, which ends a message.
_EXAMPLES = re.compile(
    r", such as .*?(?=(?: \(check [^()]*\)(?: \(\d+ more failed\))?)?\Z)", re.DOTALL
)
_E_MAIL = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")
# How the engines quote a value that they could not read or that is there twice; and the first
# line of a file without a header, which passes for its columns.
_QUOTED_VALUES = (
    (re.compile(r"(string |value |key )(['\"]).*\2"), r"\1\2…\2"),
    (re.compile(r"(type [\w ]+: )\".*\""), r'\1"…"'),
    (re.compile(r"(Key \([^)]*\)=)\(.*\)"), r"\1(…)"),
    (re.compile(r"(its columns are ).*?(?=; add it|\)\Z|\Z)", re.DOTALL), r"\1…"),
)


def without_values(reason: str) -> str:
    """A reason of quarantine without the customer's values in it: channel '…' is none of call."""
    # To the last quote: a value may hold one itself.
    return re.sub(r"'.*'", "'…'", reason, flags=re.DOTALL)


def without_examples(message: str) -> str:
    """What a check found without the rows that it gives as examples: broken by 3 rows."""
    return _EXAMPLES.sub("", message)


def redactor(settings: Settings) -> Callable[[Any], Any]:
    """A function that cleans texts, and mappings and lists of them, to any depth.

    Secrets become ***, e-mail addresses and values that an engine quotes …, and the folders of
    these settings HOME, LANDING, MAP, PROJECT and PYTHON.
    """
    folders = {
        str(settings.home): "HOME",
        str(settings.landing_place): "LANDING",
        str(settings.map): "MAP",
        str(PROJECT_DIR): "PROJECT",
        sys.prefix: "PYTHON",
    }
    replacements = dict.fromkeys(_secrets(settings), "***") | folders
    # A folder before the one that it lies in.
    found = re.compile("|".join(re.escape(text) for text in sorted(replacements, key=_longest)))

    def cleaned(value: Any) -> Any:
        match value:
            case str():
                text = found.sub(lambda match: replacements[match[0]], value)
                for pattern, replacement in _QUOTED_VALUES:
                    text = pattern.sub(replacement, text)
                return _E_MAIL.sub("…", text)
            case Mapping():
                return {cleaned(key): cleaned(entry) for key, entry in value.items()}
            case list() | tuple():
                return [cleaned(entry) for entry in value]
            case _:
                return value

    return cleaned


def _secrets(settings: Settings) -> set[str]:
    """Values of secret settings, and of variables that are named like secrets."""
    found = {value for name, value in os.environ.items() if _SECRET_VARIABLE.search(name)}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            found.add(value.get_secret_value())
    if settings.postgres_url is not None:
        url = libpq_variables(settings.postgres_url.get_secret_value())
        found.add(url.get("PGPASSWORD", ""))
    return {secret for secret in found if len(secret) >= _SHORTEST_SECRET}


def _longest(text: str) -> int:
    return -len(text)
