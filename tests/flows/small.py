"""A small project of real flights for the tests of the flows: three weeks of January, windows of two days."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

PROJECTS = Path(__file__).parents[2] / "deploy" / "projects"
NAME = "small-flights"
# The table ends where the traffic begins.
BEGIN = datetime(2013, 1, 19, tzinfo=UTC)

YAML = f"""
name: {NAME}
data:
  source:
    class_path: flight_delays.NycFlights
    init_args: {{first: 2013-01-01, last: 2013-01-18}}
  target: {{column: late, kind: binary}}
  timestamp: scheduled_departure
  id: flight_id
  drop: [dep_delay, dep_time, arr_time, air_time, tailnum, flight]
  split: {{test_days: 3, validation_days: 2, reference_rows: 1000}}
training:
  max_epochs: 4
  batch_rows: 256
  learning_rate: 4e-3
evaluation: {{metric: roc_auc, min_rows: 300, slices: [origin], slice_rows: 100, bootstrap: 200}}
monitoring:
  window: 2d
  cooldown: 1h
  sample_rows: 500
  trigger: {{windows: 1, of: 1, min_rows: 100, drift_share: 0.05, min_labelled_rows: 100}}
  retrain: {{judge_days: 1, validation_days: 1}}
  schedule: "0 6 * * 1"
serving: {{workers: 1, poll_seconds: 0.3}}
"""


def write_project(folder: Path) -> Path:
    """The project file in that folder, with the source's module beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(PROJECTS / "flight_delays.py", folder)
    path = folder / f"{NAME}.yaml"
    path.write_text(YAML)
    return path
