"""Floor 2: where pairs come from, one file a method."""

from typing import TYPE_CHECKING

from rarescene.foundation.doors import open_door

__all__, __getattr__, __dir__ = open_door(
    __name__, {"Casdm": "casdm", "CasdmConfig": "config", "CasdmLearner": "casdm"}
)

if TYPE_CHECKING:
    from rarescene.generators.casdm import Casdm, CasdmLearner
    from rarescene.generators.config import CasdmConfig
