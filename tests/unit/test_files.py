"""A file is replaced whole or not at all."""

from pathlib import Path

import pytest

from orchestration.files import write_whole


def test_a_file_is_replaced_with_its_line_ends_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "book.json"
    file.write_text("a longer text that was there")
    write_whole(file, "é\r\n")
    assert file.read_bytes() == b"\xc3\xa9\r\n"
    assert list(tmp_path.iterdir()) == [file]


def test_what_fails_half_way_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "book.json"
    file.write_text("what was there")
    with pytest.raises(UnicodeEncodeError):
        write_whole(file, "no text in UTF-8: \udcff")
    assert file.read_text() == "what was there"
    assert list(tmp_path.iterdir()) == [file]


def test_what_is_private_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("open to all")
    write_whole(file, "secret", is_private=True)
    assert file.stat().st_mode & 0o777 == 0o600
