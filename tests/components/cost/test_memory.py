"""The peak memory of a process."""

import subprocess
import sys

CODE = "{before}\nfrom components.cost.memory import peak_mb\nprint(peak_mb())"


def peak_of_a_process(before: str) -> float:
    """What a fresh Python says of itself after that line."""
    return float(subprocess.check_output([sys.executable, "-c", CODE.format(before=before)]))


def test_memory_that_was_given_back_still_counts():
    """100 MB taken and freed raise the peak by about 100 MB."""
    empty, taken = peak_of_a_process("pass"), peak_of_a_process("x = bytearray(b'1' * 100_000_000); del x")

    # Between 90 and 210: the literal, its copy, or both may have been there at the same time.
    assert 90 < taken - empty < 210


def test_a_large_parent_does_not_count():
    """A small process started by one of 300 MB says its own few megabytes."""
    ballast = bytearray(b"1" * 300_000_000)

    assert peak_of_a_process("pass") < len(ballast) / 1e6 / 2
