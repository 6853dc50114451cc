"""A loop begun, or gone on with: what it is, is settled and checked before anything is started."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from batchrl.contract.errors import BatchRLError, InputError
from launcher.api.joboptions import JobOptions
from launcher.api.names import valid_name
from launcher.base import extras, notices
from launcher.iterate import picture
from launcher.iterate.rounds import Loop, tell
from launcher.iterate.settings import DEFAULT_PRESET, LONGEST_NAME, LoopSettings, check_name
from launcher.iterate.state import COLLECTED, LOOP, LoopFolder, publish_json, publish_text
from launcher.iterate.step_files import Round
from launcher.iterate.work import Work, behavior_of

DIFFERENCES_SHOWN = 5


def go_on(
    folder: LoopFolder,
    jobs: JobOptions,
    data: str | None,
    name: str | None,
    rounds: int | None,
    default_rounds: int,
    given: Collection[str],
    say: Callable[[str], None],
) -> list[Round]:
    """Run a loop until its rounds are done.

    Args:
        folder: of the loop; a new one begins where there is none.
        jobs: the loop as the command line describes it.
        data: episodes of the first round; None plays them.
        name: of a new loop; None for one that is made.
        rounds: how many in all; None for as many as were asked for before.
        default_rounds: of a new loop.
        given: what of ``jobs``, ``data`` and ``name`` was said; a loop that is there is compared with that.
        say: takes a line about what happens.

    Raises:
        InputError: something is wrong, or another run is going on; nothing was started.
        PresetError: a preset or a setting is wrong.
        JobFailed, JobStopped, Unreachable: a step could not be done.
    """
    known = LoopSettings.of_folder(folder) if folder.exists else None
    if known is None:
        settings = LoopSettings.of(name or _made_name(jobs), jobs, data)
        check_name(settings.name)
    else:
        settings = known
        if given:
            _check_same(folder, known, _asked(folder, known, jobs, data, name, given))
    wanted = rounds or folder.planned_rounds() or default_rounds
    done = len(folder.records())
    if wanted < done:
        raise InputError(f"{done} rounds are done already, and --rounds says {wanted}.", f"Give {done} or more.")
    work, behavior = Work(settings, folder.root, lambda text: tell(text, say)), behavior_of(settings)
    extras.require("the picture of a loop", extras.PLOTS)
    if known is None:
        work.check(behavior)
    folder.check_free()
    with folder.locked():
        folder.sweep()
        if known is None:
            _begin(folder, settings, wanted)
        folder.settle(settings.identity)
        _lay_out(folder, settings)

        def draw(records: Sequence[Round]) -> None:
            if records:
                picture.draw(settings.name, records, folder.picture)

        try:
            return Loop(folder, settings, work, behavior, say, draw).run(wanted)
        except (BatchRLError, KeyboardInterrupt):
            notices.say(f"The loop is kept. Go on with: batchrl iterate --output {folder.root}")
            raise


def _begin(folder: LoopFolder, settings: LoopSettings, rounds: int) -> None:
    """Write down what the loop is, the file that says it last: a run that is killed here has begun it or has not.

    The folder is locked.
    """
    if folder.exists:
        raise InputError(f"another run began a loop in {folder.root} meanwhile.", "Give another folder: --output")
    folder.plan(rounds)
    publish_json(folder.root / LOOP, settings.to_json())


def _lay_out(folder: LoopFolder, settings: LoopSettings) -> None:
    """Presets that were a user's own files, as files that jobs are described with."""
    for file, content in settings.preset_files().items():
        if not (folder.root / file).exists():
            publish_text(folder.root / file, content)


def _made_name(jobs: JobOptions) -> str:
    return valid_name(Path(jobs.preset or DEFAULT_PRESET).stem, LONGEST_NAME) or "loop"


def _asked(
    folder: LoopFolder,
    known: LoopSettings,
    jobs: JobOptions,
    data: str | None,
    name: str | None,
    given: Collection[str],
) -> LoopSettings:
    """The loop that is there, with what a command line says in place of what it was; nothing else is looked at."""
    said = {option: getattr(jobs, option) for option in given if option in JobOptions.__dataclass_fields__}
    options = replace(known.jobs, **said)
    asked = known.with_jobs(name or known.name, options)
    if {"preset", "hyperparameters"} & said.keys():
        asked = _resolved(folder, known, asked.name, options)
    divided = folder.round(1).read_json(COLLECTED) is not None
    if data is not None and not (divided and str(Path(data).expanduser().absolute()) == known.data):
        asked = asked.with_data(data)
    return asked


def _resolved(folder: LoopFolder, known: LoopSettings, name: str, options: JobOptions) -> LoopSettings:
    """The loop that is there, with another preset, or with settings on top of its own."""
    with tempfile.TemporaryDirectory(prefix="batchrl-") as scratch:
        if options.preset is None:
            own = Path(scratch) / "loop.yaml"
            own.write_text(known.kept_preset(folder.root))
            options = replace(options, preset=str(own))
        asked = LoopSettings.of(name, options, None)
    asked = replace(asked, data=known.data, data_sha256=known.data_sha256)
    if asked.preset.collect.behavior == known.preset.collect.behavior:
        # Whether it is what it was is asked where it is needed.
        asked = replace(asked, behavior_sha256=known.behavior_sha256)
    return asked


def _check_same(folder: LoopFolder, known: LoopSettings, asked: LoopSettings) -> None:
    """Refuse to go on with a loop that is another one."""
    differing = asked.differences(known)
    if asked.name != known.name:
        differing.append(f"name is {asked.name!r}, there {known.name!r}")
    if differing:
        listed = "".join(f"\n  {each}" for each in differing[:DIFFERENCES_SHOWN])
        more = len(differing) - DIFFERENCES_SHOWN
        raise InputError(
            f"the loop in {folder.root} was made with other settings:{listed}" + (f"\n  and {more} more" * (more > 0)),
            f"Go on with it as it is: batchrl iterate --output {folder.root}; or give another folder: --output",
        )
