"""Writes docs/api-operations.md: which operations of AWS the local cloud answers, who does, and whose client tests it.

Run ``python docs/operations.py`` after an operation or a test of one was added; ``tests/test_operations_doc.py`` fails
until then.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from botocore import xform_name

from launcher.api.elsewhere import KNOWN_SERVICES, ON_AWS, instead_of
from launcher.api.servicemodel import service_model
from launcher.local.server.app import JSON_SERVICES
from launcher.local.server.callers import IDENTITY, SIMULATE, STS
from launcher.local.server.moto_services import ALLOWED

ROOT = Path(__file__).resolve().parent.parent
PAGE = Path(__file__).with_name("api-operations.md")
TESTS = ROOT / "tests"
OWN, MOTO = "the local cloud", "moto"
SDK_SCRIPTS = {"SDK v2": TESTS / "support" / "sdk_v2.py", "SDK v3": TESTS / "support" / "sdk_v3.py"}
BOTO_TESTS = (TESTS / "launcher" / "local", TESTS / "e2e")
CLI_TEST = TESTS / "e2e" / "test_other_clients.py"

INTRODUCTION = """\
# Operations of AWS's API

Made by `python docs/operations.py` from the code; change the code, not this page.

What the local cloud answers, who does, and which unmodified client a test of it uses: boto3, the AWS command line, or
the `sagemaker` SDK of version 2 or 3 (`tests/e2e/test_sagemaker_sdk.py`), each in an environment of its own. S3 is
[the store's](store.md). An operation that is not here is refused as `UnknownOperationException`, in words that say what
to do instead; a member of a request that would not be carried out is refused, or is named in the answer
([`fields.py`](../launcher/api/fields.py)).

The SDK's `get_execution_role()` and `Session.account_id()` ask STS at AWS's own address, whatever the environment says,
so that no local cloud can answer them. Leave the role out, or give its name or ARN: `batchrl cloud env` points the SDK
at a configuration with the local cloud's role and bucket.
"""


def answered() -> dict[str, dict[str, str]]:
    """Of each service the operations that are answered, and by whom."""
    found = {service: dict.fromkeys(operations, OWN) for service, operations in JSON_SERVICES.values()}
    found["sagemaker-runtime"] = {"InvokeEndpoint": OWN}
    for service, operations in ALLOWED.items():
        found[service] = dict.fromkeys(operations, MOTO)
    found["iam"][SIMULATE] = found[STS][IDENTITY] = OWN
    return found


def testers() -> dict[str, list[str]]:
    """``service:Operation`` -> whose clients have a test of it."""
    declared = {client: set(_declared(script)) for client, script in SDK_SCRIPTS.items()}
    python = "\n".join(path.read_text() for folder in BOTO_TESTS for path in sorted(folder.rglob("*.py")))
    called = set(re.findall(r"\.([a-z_0-9]+)\b", python)) | set(re.findall(r"\"([a-z_0-9]+)\"", python))
    typed = CLI_TEST.read_text()
    found: dict[str, list[str]] = {}
    for service in KNOWN_SERVICES:
        for operation in service_model(service).operation_names:
            snake, name = xform_name(operation), f"{service}:{operation}"
            clients = ["boto3"] if snake in called else []
            clients += ["AWS CLI"] if f'"{snake.replace("_", "-")}"' in typed else []
            clients += [client for client, names in declared.items() if name in names]
            found[name] = clients
    return found


def _declared(script: Path) -> Iterator[str]:
    """The operations that the checks of a script name."""
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "check":
            for one in (constant for part in node.args for constant in ast.walk(part)):
                if isinstance(one, ast.Constant):
                    yield str(one.value) if ":" in str(one.value) else f"sagemaker:{one.value}"


def page() -> str:
    """The whole page."""
    tested, by_service = testers(), answered()
    lines = [INTRODUCTION]
    for service, operations in by_service.items():
        lines += [f"## {service}: answered\n", "| operation | answered by | tested by |", "|---|---|---|"]
        lines += [
            f"| {operation} | {by} | {', '.join(tested[f'{service}:{operation}'])} |"
            for operation, by in sorted(operations.items())
        ]
        lines.append("")
    return "\n".join([*lines, *_refused(by_service, tested)])


def _refused(by_service: Mapping[str, Mapping[str, str]], tested: Mapping[str, list[str]]) -> Iterator[str]:
    names = service_model("sagemaker").operation_names
    missing = [name for name in names if name not in by_service["sagemaker"]]
    yield "## sagemaker: refused\n"
    yield f"Of {len(names)} operations {len(missing)} are not here.\n"
    yield "| operations | what to do instead | refusal tested by |"
    yield "|---|---|---|"
    groups: dict[str, list[str]] = {}
    for name in missing:
        groups.setdefault(instead_of("sagemaker", name), []).append(name)
    for instead, members in sorted(groups.items(), key=lambda group: group[0] == ON_AWS):
        clients = sorted({client for name in members for client in tested[f"sagemaker:{name}"]})
        shown = ", ".join(sorted(members)) if instead != ON_AWS else f"{len(members)} others"
        yield f"| {shown} | {instead} | {', '.join(clients)} |"
    yield ""


if __name__ == "__main__":
    PAGE.write_text(page())
