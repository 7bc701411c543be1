"""Keeps the service on the champion and its challenger: looks where the aliases point, swaps only to what is proven.

MLflow takes longer to import than all the rest, so a worker answers with the champion that its cache remembers before
it imports MLflow. Where that one is champion no more, the worker corrects itself at its first look, some seconds later;
until then its answers name the version that they are of, as ever.
"""

import gc
import logging
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.data.privacy import Privacy
from components.errors import EverfitError, ModelRefused
from components.records.models import Challenger, ModelFiles, ModelVersion
from components.registry.opening import last_champion, open_version, remember_champion
from components.serving.challenging import Challenging, check_comparable, refused_facts
from components.serving.counters import Counters
from components.serving.memory import settle_memory
from components.serving.predictor import Live, Predictor
from components.serving.proving import Clock, Opener, Proving
from components.serving.refusals import without_folders
from components.settings.environment import Environment

log = logging.getLogger(__name__)


class Follower:
    """A thread that holds the version that answers in one attribute, `live`, and replaces it as a whole.

    A request reads `live` once, so all of its rows are answered by one version, and the version it names is the one
    that answered. Whatever goes wrong here (registry down, download broken, graph tampered with), the version that
    answers goes on answering; the reason stands in `last_error` until a look succeeds, and on the version in MLflow.
    The same holds for `challenger`, the version that is asked beside it.

    Args:
        name: Name of the registered model.
        cache: Folder where downloaded versions are kept.
        max_rows: Largest number of rows in one request.
        poll_seconds: Seconds between two looks at the aliases.
        counters: Where swaps and failures are counted.
        environment: Where the registry is; None if MLflow was told already.
        clock: Monotonic seconds.
        privacy: Whose columns every version must have.
    """

    def __init__(
        self,
        name: str,
        *,
        cache: Path,
        max_rows: int,
        poll_seconds: float,
        counters: Counters,
        environment: Environment | None = None,
        clock: Clock = time.monotonic,
        privacy: Privacy | None = None,
    ) -> None:
        self.name = name
        self.live: Live | None = None
        self.challenger: Challenging | None = None
        self.last_error = ""
        self.looked_at: datetime | None = None
        self._refused: dict[str, Any] | None = None
        self._cache = cache
        self._poll_seconds = poll_seconds
        self._counters = counters
        self._environment = environment
        self._champions, self._challengers = (
            Proving(max_rows=max_rows, counters=counters, clock=clock, privacy=privacy) for _ in range(2)
        )
        self._told: dict[ModelVersion, str] = {}
        self._known: ModelVersion | None = None
        self._stopped = threading.Event()
        self._looked = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="everfit-follower", daemon=True)

    def start(self, *, wait_seconds: float) -> None:
        """Take the champion of last time, and begin to follow; with none to take, it returns after the first look.

        So a restarted worker answers from its first request on.

        Args:
            wait_seconds: Longest to wait for the first look.
        """
        known = last_champion(self.name, self._cache)
        if known is not None and not self._take(known, self._from_cache):
            self._champions.forget()  # the registry may have what the cache has lost
        self._thread.start()
        if self.live is None:
            self._looked.wait(wait_seconds)

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def look(self) -> None:
        """Look at the aliases once, and swap if one points to another version that proves itself."""
        self.looked_at = datetime.now(UTC)
        try:
            version = self._champion()
        except Exception as err:  # noqa: BLE001 - the registry's client raises much that is not ours, and a thread must not end of it
            self._note(f"the registry cannot be asked: {err}")
            self._fall_back()
            return
        if version is None:
            self._note("" if self.live is None else f"{self.name} has no alias champion any more; the last one answers")
        elif self.live is not None and version == self.live.predictor.version:
            self._champions.forget()
            self._note("")
        elif not self._champions.rests(version) and not self._take(version, self._from_registry):
            self._tell(version, self._champions.reason)
        self._learn()
        self._look_at_challenger()

    def challenger_facts(self) -> dict[str, Any] | None:
        """What GET /model says of the challenger; None if there is none."""
        challenger = self.challenger
        return challenger.facts() if challenger is not None else self._refused

    def _follow(self) -> None:
        self.look()
        # MLflow is there for good now. Only frozen: to collect its heap would hold every request up for 100 ms.
        gc.freeze()
        self._looked.set()
        while not self._stopped.wait(self._poll_seconds):
            self.look()

    def _fall_back(self) -> None:
        """With no registry and nothing loaded, the champion of last time is better than no answer."""
        if self.live is not None:
            return
        known = last_champion(self.name, self._cache)
        if known is None:
            return
        why = self.last_error
        if self._champions.rests(known) or not self._take(known, self._from_cache):
            self.last_error = f"{self._champions.reason}; {why}"
        else:
            self.last_error = why

    def _take(self, version: ModelVersion, opened: Opener) -> bool:
        """Whether the version answers now; it took over in one step, and requests that hold the old one end with it."""
        challenger = self.challenger
        if challenger is not None and challenger.predictor.version == version:
            predictor: Predictor | None = challenger.predictor
        else:
            predictor = self._champions.prove(version, opened)
        if predictor is None:
            self._note(self._champions.reason)
            return False
        if challenger is not None and not challenger.state.challenges(version):
            self.challenger = None
        self.live = Live(predictor, datetime.now(UTC))
        self.last_error = ""
        self._counters.version.set(version.version)
        self._counters.swaps.inc()
        self._remember(version)
        settle_memory()
        log.info("version live model=%s version=%d", self.name, version.version)
        return True

    def _look_at_challenger(self) -> None:
        if self.live is None:
            return
        champion = self.live.predictor
        try:
            state = self._challenger()
        except ModelRefused as err:
            self.challenger, self._refused = None, refused_facts(None, str(err))
            return
        except Exception as err:  # noqa: BLE001 - see look; its step is as it was until the registry says otherwise
            self._note(f"the registry cannot be asked: {err}")
            return
        if state is None or not state.challenges(champion.version):
            self.challenger = self._refused = None
            self._challengers.forget()
        elif self.challenger is None or self.challenger.state != state:
            self._take_challenger(state, champion)

    def _take_challenger(self, state: Challenger, champion: Predictor) -> None:
        version, before = state.version, self.challenger
        if before is not None and before.predictor.version == version:
            predictor: Predictor | None = before.predictor
        else:
            self.challenger = None
            if self._challengers.rests(version):
                return
            predictor = self._challengers.prove(
                version,
                self._from_registry,
                lambda found: check_comparable(found.schema, champion.schema, version.version),
            )
        if predictor is None:
            self._refused = refused_facts(state, self._challengers.reason)
            log.warning("challenger not taken model=%s error=%s", self.name, self._challengers.reason)
            self._tell(version, self._challengers.reason)
            return
        self._refused = None
        self.challenger = Challenging(state, predictor, self._counters.rollout)
        settle_memory()
        log.info(
            "challenger asked model=%s version=%d variant=%s share=%g step=%d",
            *(self.name, version.version, state.variant, state.share, state.step),
        )

    # MLflow is imported below this line only, in the follower's own thread: see the top of the file.

    def _champion(self) -> ModelVersion | None:
        from components.registry.tracking import connect  # noqa: PLC0415
        from components.registry.versions import champion  # noqa: PLC0415

        if self._environment is not None:
            connect(self._environment)
            self._environment = None
        return champion(self.name)

    def _challenger(self) -> Challenger | None:
        from components.registry.challengers import challenger  # noqa: PLC0415

        return challenger(self.name)

    def _from_registry(self, version: ModelVersion) -> ModelFiles:
        from components.registry.fetching import fetch  # noqa: PLC0415

        return fetch(version, self._cache)

    def _from_cache(self, version: ModelVersion) -> ModelFiles:
        """The files of a version that took over before, without the registry."""
        files = open_version(self._cache / version.name / str(version.version), version)
        if files is None:
            raise ModelRefused(
                f"wanted {version.name} version {version.version} in {self._cache}, found another registry's; it is "
                "fetched again once the registry answers"
            )
        return files

    def _tell(self, version: ModelVersion, reason: str) -> None:
        """Note on the version in MLflow why it was not taken, once for each reason; that it cannot be is no matter."""
        from components.registry.refusals import note_refused  # noqa: PLC0415

        sentence = without_folders(reason)
        if self._told.get(version) == sentence:
            return
        try:
            note_refused(version, sentence, datetime.now(UTC))
        except Exception as err:  # noqa: BLE001 - see look
            log.warning("refusal not noted model=%s version=%d error=%s", self.name, version.version, err)
            return
        self._told[version] = sentence

    def _learn(self) -> None:
        """Have verdict and scorecard of the version that answers kept for GET /model, once a take-over."""
        from components.registry.standings import note_standing  # noqa: PLC0415

        version = self.live.predictor.version if self.live is not None else None
        if version is None or version == self._known:
            return
        try:
            note_standing(version, self._cache)
        except Exception as err:  # noqa: BLE001 - see look; it is asked again at the next one
            log.debug("standing not known model=%s version=%d error=%s", self.name, version.version, err)
            return
        self._known = version

    def _remember(self, version: ModelVersion) -> None:
        try:
            remember_champion(version, self._cache)
        except (OSError, EverfitError) as err:
            log.warning(
                "champion not remembered version=%d error=%s; make %s writable", version.version, err, self._cache
            )

    def _note(self, error: str) -> None:
        """Keep the reason for /model; the log hears of it once, not each second."""
        if error:
            self._counters.follow_failures.inc()
        if error and error != self.last_error:
            answering = self.live.predictor.version.version if self.live else "none"
            log.warning("champion not followed model=%s answering=%s error=%s", self.name, answering, error)
        self.last_error = error
