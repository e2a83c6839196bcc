"""Places of raw files: folders and fsspec locations, what settles, what is named and left alone."""

import os
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]
import pytest

from orchestration.errors import InputError
from orchestration.landing import LandingResult, Status, land
from orchestration.landing.places import Folder, Listing, Place, Remote, place_of

ACCOUNTS = "account_id,created_at\n"
DECLARATION = "sources: [{name: a, files: 'crm/**/*.csv', table: crm_accounts}]\n"


@pytest.fixture
def bucket() -> Iterator[Any]:
    """The one memory file system of the process, empty."""
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    yield memory
    memory.store.clear()


def remote(site: Any, url: str = "memory://bucket", **options: Any) -> Place:
    given = {"cache": site.root / "cache", "cache_bytes": 1_000_000} | options
    return place_of(url, **given)


def land_remote(site: Any, place: Place | None = None) -> LandingResult:
    result = land(site.warehouse, place or remote(site), site.map)
    site.require_reconciled()
    return result


def fetched(site: Any) -> int:
    return len(list((site.root / "cache").glob("*/data*")))


def test_a_bucket_lands_by_the_names_in_it(site: Any, bucket: Any) -> None:
    bucket.pipe("/bucket/crm_accounts/a.csv", (ACCOUNTS + "a,2024-01-31\n").encode())
    bucket.pipe("/bucket/notes.txt", b"not landed")
    result = land_remote(site)
    assert [file.file for file in result.files] == ["crm_accounts/a.csv"]
    assert result.unlisted == ("notes.txt",)
    assert site.query("select account_id, source_file from raw.crm_accounts") == [
        ("a", "crm_accounts/a.csv")
    ]


def test_a_bucket_brings_its_own_mapping(site: Any, bucket: Any) -> None:
    bucket.pipe("/bucket/landing.yml", DECLARATION.encode())
    bucket.pipe("/bucket/crm/2024/a.csv", (ACCOUNTS + "a,2024-01-31\n").encode())
    assert land_remote(site).totals[0].rows_kept == 1
    bucket.pipe("/bucket/landing.yml", b"sources: 7")
    with pytest.raises(InputError, match=r"memory://bucket/landing\.yml, line 1"):
        land_remote(site)


def test_what_did_not_change_is_fetched_once(
    site: Any, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.pipe("/bucket/crm_accounts.csv", (ACCOUNTS + "a,2024-01-31\n").encode())
    fetches = []
    download = Remote._download
    monkeypatch.setattr(
        Remote, "_download", lambda *given: (fetches.append(given[1].name), download(*given))
    )
    assert land_remote(site).load_id == 1
    assert land_remote(site).load_id is None
    # Not even when its copy has left the cache.
    for copy in (site.root / "cache").glob("*/data*"):
        copy.unlink()
    assert [file.status for file in land_remote(site).files] == [Status.SKIPPED]
    assert fetches == ["crm_accounts.csv"]
    bucket.pipe("/bucket/crm_accounts.csv", (ACCOUNTS + "b,2024-01-31\n").encode())
    assert land_remote(site).load_id == 2
    assert len(fetches) == 2
    # The same bytes under another name are the same content.
    bucket.pipe("/bucket/crm_accounts/again.csv", (ACCOUNTS + "b,2024-01-31\n").encode())
    assert land_remote(site).load_id is None


def test_the_cache_has_a_bound(site: Any, bucket: Any) -> None:
    for name in "abcdef":
        rows = "".join(f"{name}{row},2024-01-31\n" for row in range(50))
        bucket.pipe(f"/bucket/crm_accounts/{name}.csv", (ACCOUNTS + rows).encode())
    result = land_remote(site, remote(site, cache_bytes=2_000))
    assert result.totals[0].rows_kept == 300
    assert fetched(site) == 2


def test_what_a_killed_run_left_of_a_fetch_goes(site: Any, bucket: Any) -> None:
    bucket.pipe("/bucket/crm_accounts.csv", (ACCOUNTS + "a,2024-01-31\n").encode())
    left = site.root / "cache" / "0" / "7.draft"
    left.parent.mkdir(parents=True)
    left.write_text("half")
    assert land_remote(site).load_id == 1
    assert not left.exists()


def test_a_file_that_changes_or_goes_while_it_is_fetched_is_rejected(
    site: Any, bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("changed", "deleted", "good"):
        bucket.pipe(
            f"/bucket/crm_accounts/{name}.csv", (ACCOUNTS + f"{name},2024-01-31\n").encode()
        )
    listing = Remote.listing

    def list_then_change(place: Remote) -> Listing:
        found = listing(place)
        bucket.pipe("/bucket/crm_accounts/changed.csv", b"longer than before" * 9)
        bucket.rm("/bucket/crm_accounts/deleted.csv")
        return found

    monkeypatch.setattr(Remote, "listing", list_then_change)
    result = land_remote(site)
    messages = {file.file: file.message for file in result.rejected}
    assert "changed while it was read" in messages["crm_accounts/changed.csv"]
    assert "there is no such file any more" in messages["crm_accounts/deleted.csv"]
    assert site.column("select account_id from raw.crm_accounts") == ["good"]


def test_a_zip_file_is_a_place(site: Any) -> None:
    with zipfile.ZipFile(site.root / "export.zip", "w") as archive:
        archive.writestr("crm_accounts/a.csv", ACCOUNTS + "a,2024-01-31\n")
        archive.writestr("../../crm_accounts.csv", ACCOUNTS + "evil,2024-01-31\n")
    result = land_remote(site, remote(site, f"zip://::{site.root / 'export.zip'}"))
    assert site.column("select account_id from raw.crm_accounts") == ["a"]
    assert result.ignored == {"../../crm_accounts.csv": "its name leads out of the landing place"}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://bucket/files", r"s3://bucket/files: needs a package.*pip install s3fs"),
        ("nowhere://bucket", "Protocol not known: nowhere"),
        ("memory://missing", "memory://missing: does not exist"),
    ],
)
def test_a_place_that_cannot_be_read_is_named(
    site: Any, bucket: Any, url: str, message: str
) -> None:
    assert bucket is not None
    with pytest.raises(InputError, match=message):
        land_remote(site, remote(site, url))


def test_passwords_are_not_shown(site: Any) -> None:
    place = remote(site, "ftp://me:secret@127.0.0.1:1/files")
    assert place.name == "ftp://***@127.0.0.1:1/files"
    with pytest.raises(InputError) as error:
        place.listing()
    assert "secret" not in str(error.value)


def test_a_file_url_is_a_folder(site: Any) -> None:
    assert remote(site, f"file://{site.root}/with%20blank") == Folder(site.root / "with blank")


def test_names_of_unfinished_files_are_named_and_left_alone(site: Any) -> None:
    for name in ("a.csv.tmp", "b.csv.part", "c.csv.CRDOWNLOAD", ".d.csv", "_SUCCESS"):
        site.write(f"crm_accounts/{name}", ACCOUNTS + "a,2024-01-31\n")
    result = site.land()
    assert (result.files, result.unlisted) == ((), ())
    assert {name.removeprefix("crm_accounts/"): why for name, why in result.ignored.items()} == {
        "a.csv.tmp": "a program is still writing it, by its name",
        "b.csv.part": "a program is still writing it, by its name",
        "c.csv.CRDOWNLOAD": "a program is still writing it, by its name",
        ".d.csv": "hidden, by its name",
        "_SUCCESS": "hidden, by its name",
    }


@pytest.mark.parametrize("declared", ["crm_accounts/*.csv", "crm_accounts/new.csv"])
def test_a_file_that_was_just_written_waits(site: Any, declared: str) -> None:
    site.declare(
        f"sources: [{{name: a, files: {declared}, table: crm_accounts}},"
        " {name: b, files: old.csv, table: crm_accounts}]"
    )
    for name in ("old.csv", "crm_accounts/new.csv"):
        path = site.write(name, ACCOUNTS + f"{name},2024-01-31\n")
        os.utime(path, (time.time() - 3600,) * 2)
    # A clock that was set back leaves files from a near future.
    os.utime(site.landing / "crm_accounts/new.csv", (time.time() + 60,) * 2)
    place = Folder(site.landing, settle_seconds=600)
    result = land(site.warehouse, place, site.map)
    assert result.waiting == ("crm_accounts/new.csv",)
    assert ([file.file for file in result.files], result.unmatched) == (["old.csv"], ())
    os.utime(site.landing / "crm_accounts/new.csv", (time.time() - 3600,) * 2)
    result = land(site.warehouse, place, site.map)
    assert (result.load_id, result.waiting) == (2, ())


def test_a_link_out_of_the_folder_is_rejected(site: Any) -> None:
    outside = site.root / "outside.csv"
    outside.write_text(ACCOUNTS + "secret,2024-01-31\n")
    (site.landing / "crm_accounts.csv").symlink_to(outside)
    site.write("crm_accounts/inside.csv", ACCOUNTS + "a,2024-01-31\n")
    (site.landing / "crm_accounts" / "link.csv").symlink_to("inside.csv")
    result = site.land()
    (rejected,) = result.rejected
    assert "leads out of the landing folder" in rejected.message
    assert site.column("select account_id from raw.crm_accounts") == ["a"]


def test_a_linked_folder_is_not_followed(site: Any, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.csv").write_text(ACCOUNTS + "secret,2024-01-31\n")
    (site.landing / "crm_accounts").symlink_to(tmp_path / "elsewhere")
    assert site.land().totals == ()


def test_a_listing_is_known_by_its_settled_files(site: Any) -> None:
    def sha256() -> str:
        return Folder(site.landing).listing().sha256

    empty = sha256()
    site.write("a.csv", "1")
    one = sha256()
    site.write("b.csv.tmp", "1")
    assert (sha256(), empty == one) == (one, False)
    site.write("a.csv", "12")
    assert sha256() != one
