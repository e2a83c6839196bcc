"""Pack bi/superset into bi/superset.zip, the file that a user of Superset imports.

    python bi/pack.py

The same folder makes the same file: names in order, one fixed time, no owner.
"""

import zipfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "superset"
BUNDLE = FOLDER.with_suffix(".zip")
# Superset takes the first folder in the file off.
ROOT = "journey_gaps"
# The earliest that a zip file can say.
TIME = (1980, 1, 1, 0, 0, 0)


def contents(folder: Path) -> dict[str, bytes]:
    """Name in the bundle and bytes of every file of the folder, in order."""
    files = sorted(folder.rglob("*.yaml"), key=lambda file: file.relative_to(folder).as_posix())
    return {f"{ROOT}/{file.relative_to(folder).as_posix()}": file.read_bytes() for file in files}


def pack(folder: Path, bundle: Path) -> None:
    """Write the bundle of the folder anew."""
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in contents(folder).items():
            entry = zipfile.ZipInfo(name, TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            file.writestr(entry, content)


if __name__ == "__main__":
    pack(FOLDER, BUNDLE)
