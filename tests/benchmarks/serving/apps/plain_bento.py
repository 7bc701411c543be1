"""The same model as BentoML's documentation shows it: pydantic checks the rows, the answer is a list of dicts."""

import os
from pathlib import Path
from typing import Any

import bentoml
import numpy as np
from pydantic import BaseModel, ConfigDict, create_model

from tests.benchmarks.serving.network import COLUMNS, OUTPUTS, open_session

Row: type[BaseModel] = create_model(
    "Row", __config__=ConfigDict(extra="forbid"), **dict.fromkeys(COLUMNS, (float, ...))
)


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Plain:
    def __init__(self) -> None:
        self.session = open_session(Path(os.environ["BENCH_GRAPH"]))

    @bentoml.api
    def predict(self, rows: list[Row]) -> list[dict[str, Any]]:
        fed = {name: np.array([getattr(row, name) for row in rows]) for name in COLUMNS}
        prediction, probability = self.session.run(OUTPUTS, fed)
        pairs = zip(prediction, probability, strict=True)
        return [{"prediction": int(one), "probability": float(chance)} for one, chance in pairs]
