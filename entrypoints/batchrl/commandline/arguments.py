"""The command line of a job's script: ``--key value`` pairs, as SageMaker's toolkit passes them (contract 34).

A key is an option of the script itself (``preset``, ``save_model`` ...) or a dotted setting of the preset
(``agent.discount``, or Coach's name of it). ``run_script`` turns a mistake of the user's into a message and exit
code 2.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import presets
from batchrl.contract.errors import EXIT_DONE, EXIT_INTERRUPTED, BatchRLError, InputError
from batchrl.contract.hyperparameters import EVALUATE_STEPS, LEGACY_PRESET, PRESET, SAVE_MODEL, refuse_misplaced
from batchrl.contract.paths import JOB_NAME_VARIABLE, MAX_FAILURE_CHARACTERS, JobPaths
from batchrl.contract.pipes import reader_has_gone
from presets.kinds import FLAGS

Kind = TypeVar("Kind", bound="presets.Preset")

OPTION_HELP: dict[str, str] = {
    PRESET: "name of a preset, or path of a YAML file",
    LEGACY_PRESET: f"the same, under Coach's name of it ({', '.join(presets.ALIASES)})",
    SAVE_MODEL: "1 exports the best policy into the model folder (default), 0 does not",
    "training": "file or folder with the logged data; by default the channel 'training'",
    "output": "folder that plays /opt/ml, for a run outside of a job",
}
OPTION_NAMES = tuple(OPTION_HELP)


@dataclass(frozen=True)
class ScriptArguments:
    """What a script was given.

    Args:
        options: values of the script's own options, by name.
        overrides: everything else: settings of the preset, by dotted key.
        known: names of all options that the script has, for hints.
    """

    options: Mapping[str, str]
    overrides: Mapping[str, str]
    known: tuple[str, ...] = field(default=OPTION_NAMES)

    def flag(self, name: str, default: bool) -> bool:
        """An option that is 0 or 1 (or false, true).

        Raises:
            InputError: it is something else.
        """
        text = self.options.get(name)
        if text is None:
            return default
        if text.lower() not in FLAGS:
            raise InputError(f"--{name} got '{text}'.", "Give 0 or 1.")
        return FLAGS[text.lower()]

    def preset_name(self) -> str:
        """Name or path of the preset, also under Coach's name of the option.

        Raises:
            InputError: none was given, or two.
        """
        given = {self.options[name].strip() for name in (PRESET, LEGACY_PRESET) if name in self.options}
        if len(given) > 1:
            raise InputError(f"--{PRESET} and --{LEGACY_PRESET} name different presets: {', '.join(sorted(given))}.")
        if not given:
            mistyped = difflib.get_close_matches(PRESET, self.overrides, n=1, cutoff=0.8)
            hint = f"Did you mean '{PRESET}' by '{mistyped[0]}'? " if mistyped else ""
            raise InputError(f"--{PRESET} is missing.", f"{hint}Presets: {', '.join(presets.names())}.")
        return given.pop()

    def train_preset(self) -> presets.TrainPreset:
        """The preset of a training job, with its overrides.

        Raises:
            InputError: there is no such preset, an unknown key, or a value that the schema refuses.
        """
        refuse_misplaced(self.overrides, "train")
        return self._resolved(presets.resolve_train, self.overrides)

    def evaluate_preset(self) -> presets.EvaluatePreset:
        """The preset of an evaluation, with its overrides and the option ``evaluate_steps``.

        Raises:
            InputError: as for ``train_preset``.
        """
        refuse_misplaced(self.overrides, "evaluate")
        steps = {EVALUATE_STEPS: self.options[EVALUATE_STEPS]} if EVALUATE_STEPS in self.options else {}
        return self._resolved(presets.resolve_evaluate, {**self.overrides, **steps})

    def _resolved(self, resolve: Callable[[str, Mapping[str, object]], Kind], overrides: Mapping[str, object]) -> Kind:
        name = self.preset_name()
        try:
            return resolve(name, overrides)
        except presets.UnknownKeyError as error:
            near = difflib.get_close_matches(error.key or "", self.known, n=1, cutoff=0.8)
            raise InputError(error.message, f"Did you mean '{near[0]}'?" if near else error.hint) from error
        except presets.PresetError as error:
            raise InputError(error.message, error.hint) from error


def parse_arguments(argv: Sequence[str], options: Collection[str] = OPTION_NAMES) -> ScriptArguments:
    """Read ``--key value`` and ``--key=value``; a one-letter key may have one dash. The last value of a key counts.

    Args:
        argv: the arguments without the script's name.
        options: names that belong to the script itself.

    Raises:
        InputError: a value without a key, or a key without a value.
    """
    values: dict[str, str] = {}
    rest = list(argv)
    while rest:
        token = rest.pop(0)
        key, equals, value = token.lstrip("-").partition("=")
        if not token.startswith("-") or not key:
            raise InputError(f"'{token}' has no key before it.", "Write --key value, such as --epochs 20.")
        if not equals:
            if not rest:
                raise InputError(f"{token} has no value.", f"Write {token} VALUE.")
            value = rest.pop(0)
        values[key] = value
    own = {key: value for key, value in values.items() if key in options}
    overrides = {key: value for key, value in values.items() if key not in options}
    return ScriptArguments(own, overrides, tuple(options))


def run_script(
    main: Callable[[ScriptArguments], None],
    argv: Sequence[str],
    description: str,
    options: Mapping[str, str] = OPTION_HELP,
) -> int:
    """Run a script's story and return its exit code; a user's mistake is a message on stderr, without a traceback.

    Args:
        main: the story; what is wrong with the input is raised as one of ``batchrl.contract.errors``.
        argv: the arguments without the script's name.
        description: what the script does, for ``--help``.
        options: the script's own options with their help.
    """
    if "-h" in argv or "--help" in argv:
        print(help_text(description, options))
        return EXIT_DONE
    return ended(lambda: main(parse_arguments(argv, options)), _full_disk)


def ended(
    story: Callable[[], None], mistake: Callable[[OSError], InputError | None], interrupted: str = "interrupted"
) -> int:
    """Run a script's story and turn whatever ends it into its exit code, and a message on stderr where one is due.

    Args:
        story: what the script does.
        mistake: what an error of the system means to the user; None where it is a fault of ours, and is raised.
        interrupted: what is said after Ctrl-C.
    """
    try:
        story()
    except BatchRLError as error:
        return report(error)
    except BrokenPipeError:
        return reader_has_gone()
    except OSError as error:
        told = mistake(error)
        if told is None:
            raise
        return report(told)
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return EXIT_INTERRUPTED
    return EXIT_DONE


def _full_disk(error: OSError) -> InputError | None:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return None
    return InputError(f"the disk is full while writing {error.filename or 'a file'}.", "Free some space.")


def report(error: BatchRLError) -> int:
    """Print an error with its hint on stderr, and in a job say it in the failure file; returns its exit code."""
    print(f"Error: {error}", file=sys.stderr, flush=True)
    failure = JobPaths.from_environment().failure
    if JOB_NAME_VARIABLE in os.environ and failure.parent.is_dir():
        with contextlib.suppress(OSError):
            failure.write_text(str(error)[:MAX_FAILURE_CHARACTERS], encoding="utf-8")
    return error.exit_code


def help_text(description: str, options: Mapping[str, str]) -> str:
    """What ``--help`` prints."""
    width = max(len(name) for name in options) + 2
    lines = [f"  --{name:<{width}}{text}" for name, text in options.items()]
    tail = "Any other --key value replaces a setting of the preset (--agent.discount 0.98): batchrl presets show NAME"
    return "\n".join([description, "", *lines, "", tail])
