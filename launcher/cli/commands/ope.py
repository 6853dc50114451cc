"""``batchrl ope``: policies scored on logged data, without training and without a simulator."""

from __future__ import annotations

from typing import Any

import click

from launcher.cli.groups import make_command
from launcher.cli.options import aws_option
from launcher.cli.scoring import score, scoring_options


@make_command(
    "ope",
    examples=(
        "batchrl ope cartpole.csv --model my-job",
        "batchrl ope logs/ --model checkpoints/ --policy softmax",
        "batchrl ope s3://bucket/logs/ --model model.tar.gz --fqe",
        "batchrl ope scored.csv --json --plot ope.png",
    ),
)
@click.argument("data", metavar="DATA")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="MODEL",
    help="A trained policy: checkpoints, a .pt file, an exported model, a model.tar.gz, an S3 URL, "
    "or the name of a training job; module:name of a policy in Python.",
)
@click.option("--estimators", metavar="LIST", help="Some of them, as wis,wdr.")
@scoring_options
@aws_option
def command(data: str, models: tuple[str, ...], estimators: str | None, scoring: dict[str, Any], aws: bool) -> int:
    """Estimate from logged episodes what a policy would earn: off-policy evaluation.

    DATA is a file, a folder or an S3 URL of logged episodes. Without --model, the policy is what
    DATA itself says in its column target_action_probabilities (and its values are
    target_q_values), whoever computed them.

    Each figure comes with its interval, with the difference to the logging policy on the same
    episodes, and with whether it may be relied on.
    """
    more = ("--estimators", estimators) if estimators is not None else ()
    return score(data, models, scoring, aws, *more)
