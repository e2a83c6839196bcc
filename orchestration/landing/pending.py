"""Which files of the landing place are new, before anything lands."""

from collections.abc import Mapping

import duckdb

from orchestration.landing.inputs import landing_place_of
from orchestration.landing.load import landed_before
from orchestration.landing.mapping import make_plan
from orchestration.landing.places import Place
from orchestration.landing.readers import RejectedFileError, fingerprint
from orchestration.settings import Settings


def pending_files(settings: Settings) -> list[str]:
    """Names of settled files whose content has not landed by today's mapping.

    The caller holds the warehouse's lock: reading it keeps a run from writing it. Raises
    InputError where the place or its landing.yml cannot be read.
    """
    place = landing_place_of(settings)
    plan = make_plan(place, settings.map)
    landed: Mapping[tuple[str, str], set[str]] = {}
    if settings.warehouse.exists():
        with duckdb.connect(str(settings.warehouse), read_only=True) as connection:
            landed = landed_before(connection)
    return [
        name
        for name, sources in plan.files.items()
        for sha256 in [_sha256(place, name)]
        if any(source.sha256 not in landed.get((sha256, source.table), ()) for source in sources)
    ]


def _sha256(place: Place, name: str) -> str:
    """The hash of a file's content; of one that cannot be read a hash that nothing has."""
    known = place.known_sha256(name)
    if known is not None:
        return known
    try:
        sha256 = fingerprint(place.fetch(name)).sha256
        place.remember(name, sha256)
    except RejectedFileError:
        return ""
    return sha256
