"""FastAPI, pydantic and onnxruntime, written by hand; /predict as FastAPI's documentation shows it, /tuned faster.

No ledger, no counters, no version that can be replaced. The graph is named by BENCH_GRAPH.
"""

import operator
import os
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from tests.benchmarks.serving.network import COLUMNS, OUTPUTS, open_session

session = open_session(Path(os.environ["BENCH_GRAPH"]))
app = FastAPI()
values_of = operator.attrgetter(*COLUMNS)

Row: type[BaseModel] = create_model(
    "Row",
    __config__=ConfigDict(extra="forbid", allow_inf_nan=False),
    **dict.fromkeys(COLUMNS, (float, ...)),
)


class Asked(BaseModel, extra="forbid"):
    rows: list[Row] = Field(min_length=1, max_length=10_000)


@app.get("/ready")
async def ready() -> dict[str, bool]:
    """The graph is open when this module is imported."""
    return {"ready": True}


@app.post("/predict")
async def predict(asked: Asked) -> Response:
    """Rows that FastAPI has read and checked."""
    return answer(asked.rows)


@app.post("/tuned")
async def tuned(request: Request) -> Response:
    """The same, but pydantic parses the text itself: FastAPI would make Python objects of it first."""
    try:
        asked = Asked.model_validate_json(await request.body())
    except ValidationError as err:
        return Response(err.json(), 422, media_type="application/json")
    return answer(asked.rows)


def answer(rows: list[Any]) -> Response:
    """What the graph says of checked rows."""
    # In the event loop: a row takes less time than handing it to a thread.
    values = np.array([values_of(row) for row in rows]).T.copy()
    prediction, probability = session.run(OUTPUTS, dict(zip(COLUMNS, values, strict=True)))
    pairs = zip(prediction.tolist(), probability.tolist(), strict=True)
    predictions = [{"prediction": one, "probability": chance} for one, chance in pairs]
    told = {"model": "bench", "version": 1, "predictions": predictions}
    return Response(orjson.dumps(told), media_type="application/json")
