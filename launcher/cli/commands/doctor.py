"""``batchrl doctor``: what this computer has of what jobs need; of one job, why it failed, hangs or was slow."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from batchrl.contract.errors import InputError, Unreachable
from launcher.base.units import duration
from launcher.cli.finding import find_handle
from launcher.cli.groups import make_command
from launcher.cli.options import aws_option, job_argument, kind_option, output_options
from launcher.cli.output import Output, fields, stdout_width, unbroken

if TYPE_CHECKING:
    from launcher.diagnosis.diagnosis import Diagnosis
    from launcher.diagnosis.report import Report
    from launcher.local.doctor import Finding


@make_command("doctor", examples=("batchrl doctor", "batchrl doctor my-job", "batchrl doctor my-job --aws --json"))
@job_argument()
@kind_option
@aws_option
@output_options
def command(job: str | None, kind: str | None, aws: bool, out: Output) -> int | None:
    """Check Python, torch, disk, container engine, image, object store and local cloud; or look at one job.

    Without JOB each line says ok, or what is limited or broken and what to do about it. Exit code 3 when something is
    broken without which no job can run.

    With JOB, a job or an endpoint: why it failed, hangs or was slow, by which evidence, and what to do. A job of this
    computer is looked at where its files lie, whether or not the local cloud runs. Nothing is started.
    """
    if job is not None:
        _tell_job(job, kind, aws, out)
        return None
    if kind is not None or aws:
        raise InputError("--kind and --aws say which job is meant, and no JOB is named.", "batchrl doctor JOB --aws")
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


def _tell_job(name: str, kind: str | None, aws: bool, out: Output) -> None:
    from launcher.local.records.states import TERMINAL

    report = _report(name, kind, aws)
    lines: dict[str, object] = {
        report.kind: report.name,
        "status": report.status if report.secondary == report.status else f"{report.status} ({report.secondary})",
        "what": report.verdict.said,
    }
    lines |= _beside(report.verdict)
    lines["phases"] = ", ".join(
        unbroken(f"{one.status} {duration(one.ended - one.began) if one.ended else 'until now'}")
        for one in report.phases
        if one.ended is None or one.status not in TERMINAL
    )
    out.record(_plain(report), "code", {label: text for label, text in lines.items() if text})
    for note in report.notes:
        out.text()
        for line in fields({"also": note.said, **_beside(note)}, stdout_width()):
            out.text(line)
    if report.source and "event file" not in report.source.partition(":")[0]:
        out.note(f"Told from {report.source}.")


def _beside(diagnosis: Diagnosis) -> dict[str, object]:
    lines: dict[str, object] = {}
    if diagnosis.evidence:
        lines["evidence"] = [line.strip() for line in diagnosis.evidence]
    if diagnosis.remedy:
        lines["do"] = diagnosis.remedy
    return lines


def _plain(report: Report) -> dict[str, object]:
    return {"code": report.verdict.code, **asdict(report)}


def _report(name: str, kind: str | None, aws: bool) -> Report:
    from launcher.diagnosis.report import diagnose

    if not aws:
        from launcher.diagnosis.local import facts_of, find_record

        return diagnose(facts_of(find_record(name, kind)))
    from launcher.diagnosis.described import facts_of_answer

    found = find_handle(name, aws, kind)
    return diagnose(facts_of_answer(found.kind, found.name, found.describe(), found.status()))
