"""Algorithms by their names in presets."""

from __future__ import annotations

import torch

from batchrl.agents.agent import Agent, Problem
from batchrl.agents.cloning import BehaviorCloning
from batchrl.agents.cql import CQL
from batchrl.agents.dqn import DQN, DoubleDQN
from batchrl.agents.iql import IQL
from batchrl.agents.onestep import OneStep
from presets.schema import AgentSettings

ALGORITHMS: dict[str, type[Agent]] = {
    "bc": BehaviorCloning,
    "dqn": DQN,
    "ddqn": DoubleDQN,
    "ddqn-bcq": DoubleDQN,
    "cql": CQL,
    "iql": IQL,
    "one-step": OneStep,
}


def make_agent(problem: Problem, settings: AgentSettings, generator: torch.Generator) -> Agent:
    """A new agent of the algorithm that the settings name.

    Args:
        problem: sizes, scaling and bounds.
        settings: the preset's section ``agent``.
        generator: the source of the initial weights.
    """
    return ALGORITHMS[settings.algorithm](problem, settings, generator)
