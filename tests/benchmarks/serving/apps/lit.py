"""The same model behind LitServe, one worker, row by row as it comes; run with the port as its argument."""

import os
import sys
from pathlib import Path
from typing import Any

import litserve
import numpy as np

from tests.benchmarks.serving.network import COLUMNS, OUTPUTS, open_session


class Lit(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.session = open_session(Path(os.environ["BENCH_GRAPH"]))

    def decode_request(self, request: dict[str, Any]) -> dict[str, Any]:
        return {name: np.array([row[name] for row in request["rows"]], np.float64) for name in COLUMNS}

    def predict(self, fed: dict[str, Any]) -> Any:
        return self.session.run(OUTPUTS, fed)

    def encode_response(self, output: Any) -> dict[str, Any]:
        pairs = zip(*(values.tolist() for values in output), strict=True)
        return {"predictions": [{"prediction": one, "probability": chance} for one, chance in pairs]}


if __name__ == "__main__":
    server = litserve.LitServer(Lit(), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False, log_level="error"
    )
