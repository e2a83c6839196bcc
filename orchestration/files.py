"""Files that are there whole or not at all."""

import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes, *, is_private: bool = False) -> None:
    """Replace a file, a text as UTF-8 with its line ends as they are; parents must exist.

    `is_private` keeps it to its owner. Other processes may do the same: the last one wins. Raises
    OSError, and then leaves what was there.
    """
    # Hidden and with an end of its own: dbt seeds whatever ends in .csv.
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    mode = 0o600 if is_private else 0o666
    draft.unlink(missing_ok=True)
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
