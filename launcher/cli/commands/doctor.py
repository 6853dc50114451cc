"""``batchrl doctor``: what this computer has of what jobs need."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from batchrl.contract.errors import Unreachable
from launcher.cli.groups import make_command
from launcher.cli.options import output_options
from launcher.cli.output import Output, fields, stdout_width

if TYPE_CHECKING:
    from launcher.local.doctor import Finding


@make_command("doctor", examples=("batchrl doctor", "batchrl doctor --json"))
@output_options
def command(out: Output) -> int | None:
    """Check Python, torch, disk, container engine, image, object store and local cloud.

    Each line says ok, or what is limited or broken and what to do about it. Nothing is started.
    Exit code 3 when something is broken without which no job can run.
    """
    from launcher.local.doctor import Health, examine

    findings = []
    for finding in examine():
        findings.append(finding)
        if out.for_people:
            _tell(finding, out)
    if not out.for_people:
        out.rows([asdict(finding) for finding in findings], (), "")
    return Unreachable.exit_code if any(finding.health is Health.BROKEN for finding in findings) else None


def _tell(finding: Finding, out: Output) -> None:
    for line in fields({finding.name.ljust(6): f"{finding.health.value}: {finding.found}"}, stdout_width()):
        out.text(line)
    if finding.advice:
        for line in fields({"": f"-> {finding.advice}"}, stdout_width() - 6):
            out.text(f"      {line}")
