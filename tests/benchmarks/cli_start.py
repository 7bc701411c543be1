"""How long `everfit --help` takes: run it by hand, `.venv/bin/python tests/benchmarks/cli_start.py`.

Not a test: the time depends on the machine. What it rests on is tested in tests/test_rooms.py: help imports nothing
heavy.
"""

import statistics
import subprocess
import sys
import time

RUNS = 7


def seconds(command: list[str]) -> float:
    """Wall seconds of one run of a command."""
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    """Print the median and the range, beside those of a Python that does nothing."""
    for name, command in {
        "python -c pass": [sys.executable, "-c", "pass"],
        "everfit --help": [sys.executable, "-m", "flows", "--help"],
    }.items():
        seconds(command)  # The first run reads from disk and writes .pyc files.
        times = [seconds(command) for _ in range(RUNS)]
        print(
            f"{name:<16} median {statistics.median(times):.2f} s, {min(times):.2f} to {max(times):.2f} s, {RUNS} runs"
        )


if __name__ == "__main__":
    main()
