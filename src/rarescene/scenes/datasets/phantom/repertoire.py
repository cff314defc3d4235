"""The operations that phantom scenes can show, by the data set whose classes they have."""

from __future__ import annotations

from rarescene.scenes.datasets.phantom.cholecystectomy import CHOLECYSTECTOMY
from rarescene.scenes.datasets.phantom.gastrectomy import GASTRECTOMY

OPERATIONS = {"cholecseg8k": CHOLECYSTECTOMY, "sisvse": GASTRECTOMY}
