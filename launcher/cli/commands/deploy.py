"""``batchrl deploy``: a trained policy at an endpoint."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from batchrl.contract.errors import BatchRLError
from launcher.cli.groups import make_command
from launcher.cli.modeloptions import ServingOptions, serving_options
from launcher.cli.options import complete_jobs, output_options
from launcher.cli.output import Output

if TYPE_CHECKING:
    from launcher.jobs.endpoint import Endpoint

# States of more features are not written on a command line.
FEATURES_SHOWN = 12


@make_command(
    "deploy",
    examples=(
        "batchrl deploy",
        "batchrl deploy my-job --endpoint-name my-endpoint",
        "batchrl deploy model.tar.gz --instance-type local",
        "batchrl deploy my-job --env BATCHRL_TARGET_POLICY=greedy",
    ),
)
@click.argument("model", required=False, metavar="[JOB|S3URL|FILE]", shell_complete=complete_jobs)
@click.option("--endpoint-name", help="Name of the endpoint; by default one is made.")
@serving_options
@click.option("--wait/--no-wait", default=True, help="Come back when it is in service, or at once.")
@output_options
def command(model: str | None, endpoint_name: str | None, serving: ServingOptions, wait: bool, out: Output) -> None:
    """Serve the policy of a training job, by default the newest one, or of a model.tar.gz at an endpoint.

    It serves until it is deleted, on Amazon SageMaker for money: `batchrl rm ENDPOINT` deletes it with its
    configuration and its model.
    """
    from launcher.jobs.endpoint import Endpoint

    predictor = serving.model(model).deploy(
        serving.instance_count,
        serving.instance_type,
        endpoint_name,
        env=serving.env,
        wait=wait,
        tags=serving.tags,
    )
    name = predictor.endpoint_name
    endpoint = Endpoint(name, predictor.session)
    state = endpoint.status()
    if not out.for_people:
        out.record({"name": name, "status": state.status}, "name")
        return
    aws = "" if predictor.session.is_local else " --aws"
    out.text(f"\nEndpoint {name} {'is in service.' if wait else 'is being created.'}\nNext:")
    for follow_up in () if wait else ("wait",):
        out.text(f"  batchrl {follow_up} {name}{aws}")
    out.text(f"  batchrl invoke {name}{aws} {_example(endpoint)}")
    out.text(f"  batchrl logs -f {name}{aws}")
    out.text(f"  batchrl rm {name}{aws}")


def _example(endpoint: Endpoint) -> str:
    """A state that the policy takes, as an argument of ``invoke``; a file where its width is not known, or large."""
    from batchrl.contract.layout import S3Url
    from launcher.reporting.described import model_of
    from launcher.serving.exported import features_of

    with contextlib.suppress(BatchRLError):  # the endpoint stands, whatever may not be looked at
        for name in endpoint.model_names():
            archive = model_of(endpoint.session, name).get("archive")
            width = features_of(endpoint.session, S3Url.parse(archive)) if archive else None
            if width and width <= FEATURES_SHOWN:
                return f"'[{', '.join(['0'] * width)}]'"
    return "--file states.jsonl"
