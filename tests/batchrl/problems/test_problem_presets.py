"""Every agent has a preset for every problem; each resolves, says what it is for, and fits its problem."""

from __future__ import annotations

import pytest

import presets
from batchrl.collect import EnvId, make_simulator
from presets.schema import EvaluatePreset

PROBLEMS = ("cartpole", "acrobot", "mail")
AGENTS = {
    "bc": ("bc", None),
    "dqn": ("dqn", None),
    "ddqn": ("ddqn", None),
    "bcq": ("ddqn-bcq", "discrete_bcq"),
    "bcq-nn": ("ddqn-bcq", "coach_nn"),
    "bcq-knn": ("ddqn-bcq", "coach_knn"),
    "cql": ("cql", None),
    "iql": ("iql", None),
    "one-step": ("one-step", None),
}
ACTIONS = {"cartpole": 2, "acrobot": 3, "mail": 4}


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("agent", AGENTS)
def test_an_agents_preset_is_about_that_agent(problem: str, agent: str) -> None:
    preset = presets.resolve_train(f"{problem}-{agent}", {})
    algorithm, mask = AGENTS[agent]
    assert preset.agent.algorithm == algorithm
    assert mask is None or (preset.bcq.mode == mask and preset.bcq.mask_at_action_time)
    assert preset.data.test_ratio > 0
    # An absolute threshold above 1 / A would forbid every action of a uniformly random log.
    assert mask != "coach_nn" or preset.bcq.mask_out_threshold < 1 / ACTIONS[problem]


@pytest.mark.parametrize("problem", PROBLEMS)
def test_agents_of_a_problem_differ_in_nothing_but_the_agent(problem: str) -> None:
    own = {"algorithm", "cql_alpha", "iql_expectile", "iql_inverse_temperature"}
    shared = set()
    for agent in AGENTS:
        preset = presets.resolve_train(f"{problem}-{agent}", {})
        shared.add(
            (preset.agent.model_dump_json(exclude=own), preset.data, preset.ope, preset.selection, preset.epochs)
        )
    assert len(shared) == 1


@pytest.mark.parametrize("name", presets.names())
def test_every_preset_says_in_its_first_line_what_it_is_for(name: str) -> None:
    first = (presets.FOLDER / f"{name}{presets.SUFFIX}").read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# ") and len(first.split()) >= 6


@pytest.mark.parametrize("name", [name for name in presets.names() if isinstance(presets.load(name), EvaluatePreset)])
def test_evaluation_presets_name_an_environment_that_can_be_made(name: str) -> None:
    env = presets.resolve_evaluate(name, {}).env
    assert make_simulator(EnvId(env.id, env.max_episode_steps), 1).n_actions == ACTIONS[name.partition("-")[0]]
