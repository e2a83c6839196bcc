"""The files that the marts were made of."""

from typing import Any

from orchestration.warehouse.base import Connection

_COLUMNS = (
    "load_id",
    "loaded_at",
    "table_name",
    "source_name",
    "source_file",
    "file_sha256",
    "status",
    "rows_in",
    "rows_kept",
    "rows_quarantined",
    "rows_duplicate",
    "message",
)


def landed_files(connection: Connection, load_id: int | None = None) -> list[dict[str, Any]]:
    """Return every file that landed or was rejected, by load; with a number, those of one load.

    One dictionary for each file and raw table, with the columns of raw.loads: name within the
    landing place, SHA-256 (None where it could not be read), status and where its rows went.
    """
    one_load = "" if load_id is None else f" where load_id = {int(load_id)}"
    rows = connection.execute(
        f"select {', '.join(_COLUMNS)} from raw.loads{one_load}"  # noqa: S608 (names of ours)
        " order by load_id, source_file, table_name"
    ).fetchall()
    return [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
