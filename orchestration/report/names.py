"""What journeys and stages are called."""

from collections import defaultdict

from orchestration.report.reading import Publication
from orchestration.report.words import in_words, names


class Names:
    """Names by id; an id that would read like another stays as it is."""

    def __init__(self, publication: Publication) -> None:
        """Names of all that a publication has."""
        self.journeys = {
            journey.journey_id: journey.name or in_words(journey.journey_id)
            for journey in publication.journeys
        }
        by_journey = defaultdict(list)
        for stage in publication.stages:
            by_journey[stage.journey_id].append(stage.stage_id)
        self.stages = {
            (journey, stage): name
            for journey, stages in by_journey.items()
            for stage, name in names(stages).items()
        }

    def journey(self, journey_id: str) -> str:
        """What a journey is called, also one that is not in the map."""
        return self.journeys.get(journey_id, in_words(journey_id))

    def stage(self, journey_id: str, stage_id: str) -> str:
        """What a stage is called, also one that is not in the map."""
        return self.stages.get((journey_id, stage_id), in_words(stage_id))
