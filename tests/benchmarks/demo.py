"""What the demo costs: wall seconds and the peak memory of all its processes together.

    python tests/benchmarks/demo.py [OUTPUT_FOLDER]

Runs `everfit demo`, adds up the memory of its whole process tree twice a second, and prints a table of the figures that
the demo must reach beside those it did. Memory is the proportional set size: a page that several processes share is
counted once, so the sum is what the machine really gives away.
"""

import json
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

SAMPLE_SECONDS = 0.5
MB = 1e6

WANTED = {
    "failed_requests": ("at most 0", lambda value: value == 0),
    "rows_sent - predictions_logged": ("0", lambda value: value == 0),
    "auc_static": ("at least 0.690", lambda value: value >= 0.690),
    "auc_loop - auc_static": ("at least 0.018", lambda value: value >= 0.018),
    "retrainings": ("at most 8", lambda value: value <= 8),
    "wall_seconds": ("at most 480", lambda value: value <= 480),
    "peak_memory_mb": ("at most 6000", lambda value: value <= 6000),
}


def main(output: Path) -> int:
    """Run the demo and print the table; 0 if every figure was reached."""
    begun = time.monotonic()
    demo = subprocess.Popen([sys.executable, "-m", "flows", "demo", "--output", str(output)])
    peak, at_peak = 0.0, 0
    while demo.poll() is None:
        used, processes = memory_mb(demo.pid, output)
        if used > peak:
            peak, at_peak = used, processes
        time.sleep(SAMPLE_SECONDS)
    if demo.returncode:
        return demo.returncode
    summary = json.loads((output / "summary.json").read_text())
    print(f"\nwhole command {time.monotonic() - begun:.0f} s, peak memory with {at_peak} processes")
    return print_table(figures(summary, peak))


def figures(summary: dict[str, float], peak_mb: float) -> dict[str, float]:
    """The figures that are asked for, by the names in `WANTED`."""
    return {
        "failed_requests": summary["failed_requests"],
        "rows_sent - predictions_logged": summary["rows_sent"] - summary["predictions_logged"],
        "auc_static": summary["auc_static"],
        "auc_loop - auc_static": round(summary["auc_loop"] - summary["auc_static"], 4),
        "retrainings": summary["retrainings"],
        "wall_seconds": summary["wall_seconds"],
        "peak_memory_mb": round(peak_mb),
    }


def print_table(found: dict[str, float]) -> int:
    """Print wanted beside found; 0 if all was reached."""
    print(f"{'figure':<32}{'wanted':<18}{'found':>10}  reached")
    missed = 0
    for name, (wanted, reached) in WANTED.items():
        missed += not reached(found[name])
        print(f"{name:<32}{wanted:<18}{found[name]:>10}  {'yes' if reached(found[name]) else 'NO'}")
    return int(missed > 0)


def memory_mb(demo_pid: int, output: Path) -> tuple[float, int]:
    """Memory of the demo and of the stack it started, and the number of processes."""
    roots = [demo_pid]
    with suppress(FileNotFoundError, ValueError):  # The stack is not up yet, or its state is just being written.
        roots.append(json.loads((output / "home" / "run" / "stack.json").read_text())["pid"])
    processes = {p.pid: p for root in roots for p in _tree(root)}
    sizes = [_pss(process) for process in processes.values()]
    return sum(sizes) / MB, len(sizes)


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _pss(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo-output")))
