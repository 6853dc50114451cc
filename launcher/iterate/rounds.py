"""The story of a loop, round by round.

1. **Collect** with the incumbent policy (at first the behavior policy, or a file that it logged). It acts by chance and
   its propensities are logged; a part of the episodes is held out of this round's training.
2. **Train** a candidate on all other episodes so far; the training chooses its epoch by off-policy estimates.
3. **Gate**: the candidate against the incumbent policy, both as they act, on the held-out episodes of the incumbent
   policy. Where the log cannot tell and the loop allows it, the candidate plays a canary's worth of episodes, which
   decide, unless it acts as the incumbent policy does. Anything but a promotion leaves the incumbent where it is.
4. **Evaluate** the candidate in the simulator, which decides nothing.

Each step leaves its files before the next one begins. Names follow from the loop and the round alone, and so do seeds,
but for those that stand in the presets of jobs: a loop that was killed goes on with the same episodes and decisions.
"""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from batchrl.contract.divided import Divided
from batchrl.contract.errors import DamagedContent, InputError
from launcher.base.units import with_error
from launcher.iterate import state
from launcher.iterate.gate import Level, concluded, goes_on
from launcher.iterate.settings import LoopSettings
from launcher.iterate.state import LoopFolder, RoundFolder, move
from launcher.iterate.step_files import Collected, Evaluated, Round, RoundDecision, Trained
from launcher.iterate.steps import Actor, Cut, Look, Play, Steps

Say = Callable[[str], None]
WIDTH = 80
# What the ids of episodes begin with, so that those of all rounds and canaries differ whatever stands behind.
ROUND_IDS, CANARY_IDS = "r", "c"


class Loop:
    """A loop that runs.

    Args:
        folder: its folder, which is locked.
        settings: what it is.
        steps: who does the work.
        behavior: the policy of the first round.
        say: takes a line about what happens.
        draw: draws the rounds that are done.
    """

    def __init__(
        self,
        folder: LoopFolder,
        settings: LoopSettings,
        steps: Steps,
        behavior: Actor,
        say: Say,
        draw: Callable[[Sequence[Round]], None],
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._steps = steps
        self._behavior = behavior
        self._say = say
        self._draw = draw

    def run(self, rounds: int) -> list[Round]:
        """Go on until so many rounds are done.

        Raises:
            InputError: more are done already.
            JobFailed, JobStopped, Unreachable: a step could not be done; the loop goes on there the next time.
        """
        done = self._folder.records()
        if rounds < len(done):
            raise InputError(f"{len(done)} rounds are done already: --rounds {rounds}.", f"Give {len(done)} or more.")
        self._folder.plan(rounds)
        self._draw(done)
        for number in range(len(done) + 1, rounds + 1):
            done.append(self._round(number, done, rounds))
            self._draw(done)
        return done

    def _round(self, number: int, done: Sequence[Round], rounds: int) -> Round:
        folder = self._folder.round(number)
        folder.sweep()
        in_place = self._actor(done[-1].in_place_after if done else 0)
        self._say(f"Round {number} of {rounds}: {in_place.label} is the incumbent policy")
        collected = folder.read(state.COLLECTED, Collected) or self._collect(folder, in_place)
        folder.raw.unlink(missing_ok=True)
        self._tell(f"collected {_told(collected)}")
        trained = folder.read(state.TRAINED, Trained) or self._train(folder)
        self._tell(f"trained {trained.job}: epoch {trained.epoch} of {trained.epochs}")
        decision = folder.read(state.DECISION, RoundDecision) or self._decide(folder, in_place, trained, rounds)
        self._tell(decision.reason)
        evaluated = folder.read(state.EVALUATED, Evaluated) or self._evaluate(folder, trained, decision)
        self._tell(_shown(evaluated))
        before = done[-1].in_place_after if done else 0
        record = Round(number, collected, trained, decision, evaluated, number if decision.promoted else before)
        folder.publish(state.ROUND, record)
        return record

    def _collect(self, folder: RoundFolder, in_place: Actor) -> Collected:
        """The episodes of the incumbent policy, divided."""
        number = folder.number
        play = self._play(folder, "collect", in_place, self._settings.preset.collect.episodes)
        from_file = number == 1 and self._settings.data is not None
        source = Path(str(self._settings.data)) if from_file else folder.raw
        if in_place == self._behavior:
            self._settings.check_behavior()
        if from_file:
            self._settings.check_data()
        else:
            self._play_into(folder, play, folder.raw)
        share = self._settings.preset.gate.holdout
        cut = Cut(share, self._seed(number, "hold out"), f"{ROUND_IDS}{number:02d}-", in_place if from_file else None)
        with folder.scratch() as scratch:
            kept, held_out = scratch / folder.episodes.name, scratch / folder.held_out.name
            divided = self._steps.divide(source, kept, held_out, cut)
            move(held_out, folder.held_out)
            move(kept, folder.episodes)
        collected = _collected(in_place, None if from_file else play.seed, self._settings.data, divided)
        folder.publish(state.COLLECTED, collected)
        return collected

    def _train(self, folder: RoundFolder) -> Trained:
        name = self._name(folder, "train")
        with folder.scratch() as scratch:
            model, training = scratch / folder.model.name, scratch / folder.training.name
            trained = self._steps.train(name, self._learnt_from(folder), model, training)
            move(model, folder.model)
            move(training, folder.training)
        folder.publish(state.TRAINED, trained)
        return trained

    def _decide(self, folder: RoundFolder, in_place: Actor, trained: Trained, rounds: int) -> RoundDecision:
        gate = self._settings.preset.gate
        level = folder.read(state.LEVEL, Level)
        if level is None:
            level = Level(gate.alpha, rounds, with_canary=gate.undecided == "canary")
            folder.publish(state.LEVEL, level)
        looks = [self._look(folder, state.GATE_LOG, None, level)]
        canary: Collected | None = None
        if level.with_canary and goes_on(looks[0]):
            canary = folder.read(state.CANARY, Collected) or self._canary(folder, trained)
            folder.raw_canary.unlink(missing_ok=True)
            looks.append(self._look(folder, state.GATE_CANARY, folder.canary, level))
        decision = concluded(looks, level, in_place.label, self._candidate(folder, trained).label, canary)
        folder.publish(state.DECISION, decision)
        return decision

    def _look(self, folder: RoundFolder, name: str, canary: Path | None, level: Level) -> Mapping[str, Any]:
        known = folder.read_json(name)
        if known is not None:
            return known
        seed = self._seed(folder.number, name)
        look = Look(folder.held_out, folder.model, canary, self._learnt_from(folder), level.alpha_of_a_look, seed)
        said = self._steps.judge(look)
        folder.publish(name, said)
        return said

    def _canary(self, folder: RoundFolder, trained: Trained) -> Collected:
        """Episodes of the candidate."""
        candidate = self._candidate(folder, trained)
        play = self._play(folder, "canary", candidate, self._settings.preset.gate.canary_episodes)
        self._tell(f"undecided by the log: {candidate.label} plays a canary")
        self._play_into(folder, play, folder.raw_canary)
        cut = Cut(0.0, self._seed(folder.number, "canary"), f"{CANARY_IDS}{folder.number:02d}-")
        with folder.scratch() as scratch:
            kept = scratch / folder.canary.name
            divided = self._steps.divide(folder.raw_canary, kept, None, cut)
            move(kept, folder.canary)
        collected = _collected(candidate, play.seed, None, divided)
        folder.publish(state.CANARY, collected)
        return collected

    def _play_into(self, folder: RoundFolder, play: Play, target: Path) -> None:
        """Episodes in a file, unless they are there; what was deployed for them is removed in any case."""
        if not target.exists():
            with folder.scratch() as scratch:
                self._steps.collect(play, scratch / target.name)
                move(scratch / target.name, target)
        self._steps.tidy(play)

    def _evaluate(self, folder: RoundFolder, trained: Trained, decision: RoundDecision) -> Evaluated:
        settings = self._settings
        if settings.evaluate is None:
            evaluated = Evaluated(None, "not evaluated: the loop names no simulator")
        elif not decision.promoted and settings.preset.evaluate.candidates == "promoted":
            evaluated = Evaluated(None, "not evaluated: it was not promoted")
        else:
            found = self._steps.evaluate(self._name(folder, "evaluate"), trained)
            note = "" if decision.promoted else "it was not promoted"
            evaluated = replace(found, note=note)
        folder.publish(state.EVALUATED, evaluated)
        return evaluated

    def _learnt_from(self, folder: RoundFolder) -> dict[str, Path]:
        """All episodes so far but those that this round holds out, by names that say whose they are.

        Raises:
            DamagedContent: one of these files was lost.
        """
        files: dict[str, Path] = {}
        for number in range(1, folder.number + 1):
            earlier = self._folder.round(number)
            found = [earlier.episodes]
            if number < folder.number:
                found += [earlier.held_out, *([earlier.canary] if earlier.read_json(state.CANARY) else [])]
            for path in found:
                _check_there(path, number)
            files |= {f"{earlier.root.name}-{path.name}": path for path in found}
        return files

    def _actor(self, number: int) -> Actor:
        """The policy that a round brought forth; 0 is that of the first round."""
        if number == 0:
            return self._behavior
        folder = self._folder.round(number)
        trained = folder.read(state.TRAINED, Trained)
        assert trained is not None
        return self._candidate(folder, trained)

    def _candidate(self, folder: RoundFolder, trained: Trained) -> Actor:
        return Actor(f"round {folder.number}'s policy", str(folder.model.absolute()), True, trained.model_uri)

    def _play(self, folder: RoundFolder, what: str, actor: Actor, episodes: int) -> Play:
        return Play(self._name(folder, what), actor, episodes, self._seed(folder.number, what))

    def _tell(self, text: str) -> None:
        tell(text, self._say)

    def _name(self, folder: RoundFolder, what: str) -> str:
        return f"{self._settings.jobs_name}-r{folder.number:02d}-{what}"

    def _seed(self, number: int, purpose: str) -> int:
        """Seeds of different rounds and purposes have nothing to do with each other."""
        text = f"{self._settings.preset.seed} {number} {purpose}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def tell(text: str, say: Say) -> None:
    """Say a sentence below a round's heading, in lines of at most 80 columns."""
    for line in textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False):
        say(line)


def _collected(actor: Actor, seed: int | None, source: str | None, divided: Divided) -> Collected:
    return Collected(
        policy=actor.label,
        seed=seed,
        source=source if seed is None else None,
        everything=divided.everything,
        held_out=divided.held_out,
        features=divided.features,
        actions=divided.actions,
    )


def _check_there(path: Path, number: int) -> None:
    """Refuse to go on without episodes that a round has left."""
    if not path.is_file():
        raise DamagedContent(
            f"{path} is missing: episodes of round {number}, which every later candidate learns from.",
            "Put it back from a copy, or begin a new loop in another folder.",
        )


def _told(collected: Collected) -> str:
    found, apart = collected.everything, collected.held_out
    held = "" if apart is None else f", {apart.episodes} held out"
    return f"{found.episodes} episodes{held}: mean return {with_error(found.mean_return, found.standard_error)}"


def _shown(evaluated: Evaluated) -> str:
    if evaluated.mean_return is None:
        return evaluated.note
    note = f"; {evaluated.note}" if evaluated.note else ""
    mean = with_error(evaluated.mean_return, evaluated.standard_error)
    return f"evaluated, greedy: mean return {mean}, {evaluated.episodes} episodes{note}"
