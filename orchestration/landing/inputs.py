"""What the settings name as inputs of landing: a place of files and tables to adopt."""

from collections.abc import Callable
from pathlib import Path

from orchestration.landing.existing import existing_tables
from orchestration.landing.load import land
from orchestration.landing.mapping import Source, declared_sources
from orchestration.landing.places import Place, place_of
from orchestration.landing.result import LandingResult
from orchestration.settings import Settings, Target


def landing_place_of(settings: Settings, cache: Path | None = None) -> Place:
    """The place of raw files; nothing is opened yet. `cache` is that of HOME by default."""
    return place_of(
        settings.landing_place,
        cache=cache or settings.landing_cache,
        cache_bytes=settings.landing_cache_mb * 1_000_000,
        settle_seconds=settings.settle_seconds,
    )


def sources_of(settings: Settings) -> list[Source] | None:
    """What `landing.yml` declares; None where there is none. Raises InputError as landing does."""
    place = landing_place_of(settings)
    return declared_sources(place, place.listing(), settings.map)


def land_inputs(settings: Settings, *, only: Callable[[str], bool] | None = None) -> LandingResult:
    """Land what is new in the settings' place and tables; see `land`."""
    return land(
        settings.warehouse,
        landing_place_of(settings),
        settings.map,
        existing=existing_tables(settings.sources, is_postgres=settings.target is Target.POSTGRES),
        only=only,
        # It was free when the run began; a reader may have come since.
        patience_seconds=settings.lock_timeout_seconds,
    )
