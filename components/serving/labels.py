"""From the body of POST /labels to ids and labels: late, again and out of order are all welcome."""

from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from components.records.rows import Schema
from components.serving.diagnosis import MAX_PROBLEMS, list_of, parse, shown, shown_text, too_many
from components.serving.refusals import Problem, Refused

Label = float | str


class _Labelled(msgspec.Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    """One item of the request."""

    id: str
    label: bool | int | float | str


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    """The request."""

    labels: list[_Labelled]


@dataclass(frozen=True, slots=True)
class Labels:
    """What really happened, for predictions made earlier.

    Attributes:
        ids: Ids that POST /predict answered with.
        labels: The truth of each: 0.0 or 1.0 (binary), the class (multiclass), the value (regression).
    """

    ids: list[str]
    labels: list[Label]


class LabelReader:
    """Reads and checks the labels of one schema.

    Args:
        schema: What a row looks like.
        max_labels: Largest number of labels in one request.
    """

    def __init__(self, schema: Schema, *, max_labels: int) -> None:
        self.schema = schema
        self.max_labels = max_labels
        self._decoder = msgspec.json.Decoder(_Request)

    def read(self, body: bytes) -> Labels:
        """The labels of one request.

        Raises:
            Refused: 400 if it is not JSON, 422 with the problems if a label is none of this model's.
        """
        try:
            items = self._decoder.decode(body).labels
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
            raise self._explain(body, str(err)) from err
        wrong = any(not item.id or not self._is_label(item.label) for item in items)
        if wrong or not 0 < len(items) <= self.max_labels:
            raise self._explain(body, "the labels were refused")
        text = self.schema.target_kind == "multiclass"
        return Labels([item.id for item in items], [str(item.label) if text else float(item.label) for item in items])

    @property
    def wanted(self) -> str:
        """What a label is, in words."""
        if self.schema.target_kind == "binary":
            return "0, 1, false or true"
        if self.schema.target_kind == "regression":
            return "a number"
        return f"one of {', '.join(self.schema.classes)}"

    def _is_label(self, label: Any) -> bool:
        if self.schema.target_kind == "multiclass":
            return isinstance(label, str) and (not self.schema.classes or label in self.schema.classes)
        if isinstance(label, str) or (isinstance(label, bool) and self.schema.target_kind == "regression"):
            return False
        return label in (0, 1) if self.schema.target_kind == "binary" else abs(label) < float("inf")

    def _explain(self, body: bytes, refusal: str) -> Refused:
        try:
            items = list_of(parse(body), "labels", self.max_labels)
        except Refused as refused:
            return refused
        found = (problem for position, item in enumerate(items) if (problem := self._problem(position, item)))
        problems = tuple(islice(found, MAX_PROBLEMS + 1))
        return too_many(problems) if problems else Refused(422, f"the request was refused: {shown_text(refusal)}")

    def _problem(self, position: int, item: Any) -> Problem | None:
        if not isinstance(item, dict) or set(item) != {"id", "label"}:
            found = "an object of " + ", ".join(map(shown_text, item)) if isinstance(item, dict) else shown(item)
            return Problem(position, "", 'an object of "id" and "label"', found)
        if not isinstance(item["id"], str) or not item["id"]:
            return Problem(position, "id", "an id that POST /predict answered with", shown(item["id"]))
        if not isinstance(item["label"], (bool, int, float, str)) or not self._is_label(item["label"]):
            return Problem(position, "label", self.wanted, shown(item["label"]))
        return None
