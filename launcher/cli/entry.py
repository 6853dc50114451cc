"""The way in and out of ``batchrl``: runs a command and turns whatever ends it into an exit code.

==============================  ====  ===============================================
what ends the command           code  what the user sees on stderr
==============================  ====  ===============================================
it returns                      0     nothing, or what the command itself printed
``BatchRLError``                its   the message, then the hint
bad option, preset or file      2     the message, the nearest valid name
Ctrl-C                          130   one word
the reader of stdout went away  141   nothing
anything else                   70    one line and the path of a report
==============================  ====  ===============================================
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

import click

from batchrl.contract.errors import EXIT_DONE, EXIT_INTERRUPTED, BatchRLError, InputError
from batchrl.contract.pipes import reader_has_gone
from launcher.base.terminal import visible
from launcher.cli.groups import LazyGroup

PROGRAM = "batchrl"
COMPLETION_VARIABLE = "_BATCHRL_COMPLETE"
FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


@click.group(
    PROGRAM,
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    examples=(
        "batchrl demo",
        "batchrl train --training cartpole.csv",
        "batchrl logs -f",
        "# names of jobs and presets complete with Tab, after:",
        'eval "$(_BATCHRL_COMPLETE=bash_source batchrl)"',
    ),
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda context, _, asked: _print_version(context) if asked else None,
    help="Show the version and exit.",
)
def root() -> None:
    """Batch reinforcement learning as jobs, on this computer and on Amazon SageMaker.

    `batchrl COMMAND --help` tells more. Exit codes: 0 done, 1 job failed, 2 wrong input,
    3 cloud or store unreachable, 4 job stopped, 70 a fault of our own, 130 interrupted.
    """


def _print_version(ctx: click.Context) -> None:
    from importlib.metadata import version

    click.echo(f"{PROGRAM} {version(PROGRAM)}")
    ctx.exit()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; never raises, never shows a traceback."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        return reader_has_gone()
    except (KeyboardInterrupt, click.Abort):
        _say("Interrupted.")
        return EXIT_INTERRUPTED
    except SystemExit as request:
        return request.code if isinstance(request.code, int) else EXIT_DONE
    except Exception as error:
        return _report(error, arguments)


def _dispatch(arguments: list[str]) -> int:
    if COMPLETION_VARIABLE in os.environ:
        root.main(arguments, prog_name=PROGRAM)
    try:
        with root.make_context(PROGRAM, arguments) as context:
            code = root.invoke(context)
    except click.exceptions.Exit as request:
        return request.exit_code
    return code if isinstance(code, int) else EXIT_DONE


def _report(error: Exception, arguments: list[str]) -> int:
    """Say what went wrong and give the exit code for it."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        _say(error.format_message())
        return InputError.exit_code
    if isinstance(error, click.ClickException):
        context = error.ctx if isinstance(error, click.UsageError) else None
        _say(f"Error: {error.format_message()}")
        if context is not None:
            _say(f"Try '{context.command_path} --help'.")
        return InputError.exit_code
    known = _as_known(error)
    if known is not None:
        _say(f"Error: {known.message}")
        if known.hint:
            _say(known.hint)
        return known.exit_code
    from launcher.cli.faults import write_report

    report = write_report(error, arguments)
    _say(f"Error: {PROGRAM} itself failed ({type(error).__name__}): this is a fault of ours, not of yours.")
    _say(f"The report is in {report}" if report else "No report could be written.")
    return BatchRLError.exit_code


def _as_known(error: Exception) -> BatchRLError | None:
    """The error as one of the family; None when it is a fault of our own."""
    if isinstance(error, BatchRLError):
        return error
    # A preset error or an AWS error can only come up where its module was imported: no import here for a lookup.
    preset_error = getattr(sys.modules.get("presets"), "PresetError", None)
    if preset_error is not None and isinstance(error, preset_error):
        return InputError(error.message, error.hint)
    if isinstance(error, OSError) and error.errno in FULL_DISK:
        place = f" while writing {error.filename}" if error.filename else ""
        return InputError(f"the disk is full{place}.", "Free some space (`batchrl cloud gc` helps), then try again.")
    if isinstance(error, PermissionError) and error.filename:
        return InputError(f"no permission for {error.filename}.", "Choose another place, or change its permissions.")
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _as_missing_extra(error.name)
    botocore = sys.modules.get("botocore.exceptions")
    if botocore is not None and isinstance(error, botocore.BotoCoreError | botocore.ClientError):
        return _as_aws(error)
    return None


def _as_missing_extra(module: str) -> BatchRLError | None:
    """A package that this installation was made without, with the command that installs it."""
    from launcher.base.extras import of_module, remedy

    extra = of_module(module)
    return None if extra is None else InputError(f"the package of the module {module} is not installed.", remedy(extra))


def _as_aws(error: Exception) -> BatchRLError | None:
    """What ``reported`` makes of an error of botocore's that was not raised inside of it."""
    from batchrl.contract.store import reported

    try:
        with reported("the request"):
            raise error
    except BatchRLError as known:
        return known
    except Exception:
        return None


def _say(text: str) -> None:
    """Write to stderr; a closed stderr is no reason for a second error."""
    try:
        click.echo(visible(text), err=True)
    except OSError:
        return
