"""Journey maps as tests declare them: tables as text beside the test that needs them."""

from collections.abc import Mapping
from pathlib import Path


def write_tables(folder: Path, tables: Mapping[str, str]) -> Path:
    """Each table as a CSV file of the folder, whose other files stay; rows may be indented."""
    folder.mkdir(exist_ok=True)
    for table, text in tables.items():
        rows = "\n".join(row.strip() for row in text.strip().splitlines())
        (folder / f"{table}.csv").write_text(rows + "\n")
    return folder
