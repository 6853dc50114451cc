"""Who answers for a policy that is deployed: an endpoint, or a batch transform job for every time step.

The model server softens the policy itself (``BATCHRL_TARGET_POLICY``), so that what it answers are the probabilities
that actions are drawn from and that are logged.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchrl.contract import jsontext, variables
from batchrl.contract.errors import BatchRLError, DamagedContent, InputError
from launcher.iterate import attempts
from launcher.library.answering import Answers

if TYPE_CHECKING:
    from launcher.jobs.transform import TransformJob
    from launcher.serving.model import Model
    from launcher.session.session import Session
    from presets.loop import CollectSettings

Rows = Sequence[Sequence[float]]
Say = Callable[[str], None]


def environment(settings: CollectSettings) -> dict[str, str]:
    """How a model server is told to soften its policy."""
    told = {variables.TARGET_POLICY.name: settings.target_policy}
    if settings.target_policy == variables.EPSILON_GREEDY:
        return told | {variables.EPSILON.name: repr(settings.epsilon)}
    return told | {variables.TEMPERATURE.name: repr(settings.temperature)}


@contextmanager
def endpoint(name: str, model: Model, say: Say) -> Iterator[Answers]:
    """A model server of this name, which no other loop gives; one that exists is used.

    It is left running where the block ends well, so that episodes are on disk before it goes (``remove_endpoint``), and
    removed at once where it does not: nobody may come back.
    """
    from launcher.jobs.endpoint import DELETING, Endpoint
    from launcher.serving.predictor import Predictor

    session = model.session
    server = Endpoint(name, session)
    known = server.find()
    try:
        if known is not None and known["EndpointStatus"] == DELETING:
            with contextlib.suppress(InputError):  # it has gone
                server.wait(check=False)
            known = None
        if known is None:
            say(f"endpoint {name}")
            # A run that was killed may have left the half of one.
            remove_endpoint(name, session)
            model.deploy(endpoint_name=name, wait=False)
        server.wait()
        yield _AtEndpoint(Predictor(name, session))
    except BaseException:
        with contextlib.suppress(BatchRLError):
            remove_endpoint(name, session)
        raise


def remove_endpoint(name: str, session: Session) -> None:
    """Delete an endpoint with its configuration and its model, whichever of them are there."""
    from launcher.serving.deployment import remove

    remove(session, name)


class _AtEndpoint:
    """Asks an endpoint, in as many requests as their size demands."""

    def __init__(self, predictor: Any) -> None:
        self._predictor = predictor

    def action_probabilities(self, states: Rows) -> Rows:
        rows: Rows = self._predictor.predict(states).probabilities
        return rows


class ByTransform:
    """Runs a transform job for every question: all live environments at one time step, as in the article.

    The jobs of a name are numbered; a run that was killed finds the answers of its first time steps again, for the same
    seed asks the same questions.

    Args:
        name: what the jobs' names begin with.
        model: the policy.
        say: told of every tenth job.
    """

    EVERY = 10

    def __init__(self, name: str, model: Model, say: Say) -> None:
        self._name = name
        self._model = model
        self._say = say
        self._step = 0

    def action_probabilities(self, states: Rows) -> Rows:
        """The answers of one job.

        Raises:
            JobFailed: it failed.
            DamagedContent: it did not answer these states.
        """
        name = f"{self._name}-{self._step:05d}"
        if self._step % self.EVERY == 0:
            self._say(f"transform job {name}: {len(states)} live environments")
        self._step += 1
        with tempfile.TemporaryDirectory(prefix="batchrl-") as folder:
            lines = Path(folder) / "states.jsonl"
            lines.write_text("".join(f"{json.dumps(list(row))}\n" for row in states))
            job = attempts.run(name, self._find, lambda attempt, _: self._start(attempt, lines), lambda text: None)
            job.pull(Path(folder) / "answers")
            (answers,) = sorted((Path(folder) / "answers").rglob("*.out"))
            return read_answers(answers.read_text(), states, name)

    def _find(self, name: str) -> TransformJob | None:
        from launcher.jobs.transform import TransformJob
        from launcher.serving.transformplan import TRANSFORM_JOB

        session = self._model.session
        with session.reported(f"looking for the transform job {name}", session.sagemaker):
            return None if TRANSFORM_JOB.find(session, name) is None else TransformJob(name, session)

    def _start(self, name: str, lines: Path) -> TransformJob:
        transformer = self._model.transformer(assemble_with="Line", strategy="MultiRecord")
        return transformer.transform(lines, split_type="Line", join_source="Input", job_name=name, wait=False)


def read_answers(text: str, states: Rows, source: str) -> Rows:
    """Probabilities from the output of a transform job that joined its input.

    Raises:
        DamagedContent: it holds other states than those that were asked about, or no probabilities.
    """
    from launcher.serving.prediction import check

    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) != len(states):
        raise DamagedContent(f"{source} answered {len(states)} states with {len(lines)} lines.")
    found: list[Sequence[float]] = []
    for number, (line, state) in enumerate(zip(lines, states, strict=True), start=1):
        try:
            record: Mapping[str, Any] = jsontext.parsed(line)
            asked, output = record["SageMakerInput"], record["SageMakerOutput"]
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedContent(f"{source}, line {number}: no joined record: {line[:80]!r}.") from error
        if list(asked) != list(state):
            raise DamagedContent(f"{source}, line {number}: it answers {asked}, but {list(state)} was asked about.")
        answer = check(output, number, source)
        if answer.probabilities is None:
            raise DamagedContent(f"{source}, line {number}: {answer.error}")
        found.append(answer.probabilities)
    return found
