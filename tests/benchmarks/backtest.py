"""What a backtest costs: a year of flights, the demo's policy beside never and every window, from nothing.

    python tests/benchmarks/backtest.py [--policy FILE ...]

Runs `everfit backtest` twice in a new home folder: the first time every model is made, the second time all are there.
Prints the table of policies and the wall seconds of both, beside the five minutes that a year may take on two cores.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "deploy" / "projects" / "flight-delays.yaml"
# As the demo has it: four months to learn from, a label three days after its flight.
OPTIONS = ["--source", "flight_delays.NycFlights", "--begin", "2013-05-01", "--label-delay", "3d"]
MOST_SECONDS = 300


def main(options: list[str]) -> int:
    """Run it twice and print the table; 0 if the first run took at most five minutes."""
    with tempfile.TemporaryDirectory() as folder:
        home, output = Path(folder) / "home", Path(folder) / "output"
        seconds = [timed(home, output, options) for _ in range(2)]
        found = json.loads((output / "backtest.json").read_text())
    print(f"{'policy':<16}{'quality':>9}{'gain':>9}  {'retrained':>9}{'promoted':>9}{'rejected':>9}{'undecided':>10}"
          f"{'true':>6}{'false':>6}{'open':>6}{'missed':>8}{'lag':>6}{'cost':>8}")  # fmt: skip
    for one in found["tallies"]:
        counts = (one["retrainings"], one["promotions"], one["rejections"])
        truths = (one["true"], one["false"], one["open"])
        lag = "-" if one["lag"] is None else f"{one['lag']:.1f}"
        print(
            f"{one['name']:<16}{one['quality']:>9.4f}{one['gain']:>+9.4f}  {''.join(f'{count:>9}' for count in counts)}"
            f"{one['inconclusive']:>10}{''.join(f'{count:>6}' for count in truths)}"
            f"{one['missed']:>8}{lag:>6}{one['cost']:>8.4f}"
        )
    rows = sum(score["rows"] for score in found["tallies"][0]["scores"])
    print(
        f"\n{len(found['windows'])} windows, {rows:,} labelled rows, {found['tallies'][1]['retrainings']} models made"
    )
    print(
        f"whole command {seconds[0]:.0f} s from nothing (at most {MOST_SECONDS}), {seconds[1]:.0f} s when made before"
    )
    return int(seconds[0] > MOST_SECONDS)


def timed(home: Path, output: Path, options: list[str]) -> float:
    """Wall seconds of one run."""
    command = [sys.executable, "-m", "flows", "backtest", str(PROJECT), *OPTIONS, *options, "--output", str(output)]
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("EVERFIT_", "PREFECT_", "MLFLOW_"))
    }
    begun = time.monotonic()
    subprocess.run(command, cwd=ROOT, env=env | {"EVERFIT_HOME": str(home)}, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begun


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
