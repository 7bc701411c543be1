"""How much memory a process took, told by the process itself."""

import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")
BYTES_PER_MB = 1e6


def peak_mb() -> float:
    """Largest resident memory of this process until now, in MB (10^6 bytes).

    From `VmHWM` where there is one: `ru_maxrss` of a process that a large one started is never below the size of that
    large one, since Linux counts the moment between fork and exec (612 MB for an empty Python of 10 MB).
    """
    if STATUS.is_file():
        peak = next(line for line in STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * 1024 / BYTES_PER_MB
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, the others kilobytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / BYTES_PER_MB
