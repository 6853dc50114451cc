"""Algorithms by their names in presets; those of the user's own by ``module:name``."""

from __future__ import annotations

import torch

from batchrl.agents.agent import Agent, Problem
from batchrl.agents.cloning import BehaviorCloning
from batchrl.agents.cql import CQL
from batchrl.agents.decisions import CostSensitive, DoublyRobustPolicy, IPSPolicy
from batchrl.agents.dqn import DQN, BatchConstrainedDQN, DoubleDQN
from batchrl.agents.iql import IQL
from batchrl.agents.onestep import OneStep
from batchrl.contract.errors import InputError
from batchrl.naming import is_named, named_object
from presets.schema import AgentSettings

ALGORITHMS: dict[str, type[Agent]] = {
    "bc": BehaviorCloning,
    "dqn": DQN,
    "ddqn": DoubleDQN,
    "ddqn-bcq": BatchConstrainedDQN,
    "cql": CQL,
    "iql": IQL,
    "one-step": OneStep,
    "ips-policy": IPSPolicy,
    "dr-policy": DoublyRobustPolicy,
    "cost-sensitive": CostSensitive,
}


def agent_class(algorithm: str) -> type[Agent]:
    """The class of an algorithm.

    Args:
        algorithm: one of ``ALGORITHMS``, or ``module:name`` of a class that is not of this package.

    Raises:
        InputError: there is no such module or name, or it is no class of an agent that could be made.
    """
    if algorithm in ALGORITHMS:
        return ALGORITHMS[algorithm]
    what = "agent.algorithm"
    hint = "Write module:Name, with the name of a subclass of batchrl.agents.agent.Agent; see docs/agents.md."
    if not is_named(algorithm):
        raise InputError(f"{what} {algorithm}: there is no such algorithm.", f"Known: {', '.join(ALGORITHMS)}. {hint}")
    missing = "Run from the module's folder, or add it to PYTHONPATH; --dependency FILE sends it with a job."
    found = named_object(algorithm, what, hint, missing)
    if not (isinstance(found, type) and issubclass(found, Agent)):
        raise InputError(f"{what} {algorithm}: it is {found!r}, which is no class of an agent.", hint)
    if lacking := sorted(getattr(found, "__abstractmethods__", ())):
        raise InputError(
            f"{what} {algorithm}: the class lacks {', '.join(lacking)}.",
            "Write them, or derive from batchrl.agents.learning.LossAgent or batchrl.agents.values.ValueAgent, "
            "which have most of them.",
        )
    return found


def make_agent(problem: Problem, settings: AgentSettings, generator: torch.Generator) -> Agent:
    """A new agent of the algorithm that the settings name.

    Args:
        problem: sizes, scaling and bounds.
        settings: the preset's section ``agent``.
        generator: the source of the initial weights.

    Raises:
        InputError: see ``agent_class``.
    """
    return agent_class(settings.algorithm)(problem, settings, generator)
