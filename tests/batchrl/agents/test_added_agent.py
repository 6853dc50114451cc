"""An agent of the user's own: the one of ``docs/agents.md``, as it is written there, and what is refused."""

from __future__ import annotations

import copy
import itertools
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mdp
import numpy as np
import pytest
import torch
from numpy.random import Generator
from torch import Tensor

import presets
from batchrl.agents.agent import Problem
from batchrl.agents.learning import Learner
from batchrl.agents.networks import Network, NetworkShape
from batchrl.agents.registry import agent_class
from batchrl.agents.transitions import Batch, Transitions
from batchrl.agents.values import ValueAgent
from batchrl.contract.errors import InputError
from batchrl.data.split import Split
from batchrl.training.state import RunState, resumed, started

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "agents.md"
NUMBERS = itertools.count()
CommandLine = Callable[[dict[str, str], Path, Path], list[str]]
SETTINGS = {
    "agent.discount": str(mdp.DISCOUNT),
    "agent.embedder": "[32]",
    "agent.middleware": "[32]",
    "agent.learning_rate": "0.003",
    "agent.batch_size": "64",
    "agent.target_update_every": "25",
    "agent.iql_inverse_temperature": "5",
    "agent.updates_per_epoch": "600",
    "reward_model.epochs": "1",
    "bcq.mode": "none",
}
EPISODES = 400


def written() -> str:
    """The only Python of the document."""
    code, *_ = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    return str(code)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a module that holds the document's agent, and some that are none."""
    name = f"my_agent_{next(NUMBERS)}"
    more = "\n\nclass Unfinished(LossAgent):\n    pass\n\n\nNUMBER = 3\n\n\nclass Unrelated:\n    pass\n"
    (tmp_path / f"{name}.py").write_text(written() + more)
    (tmp_path / f"{name}_broken.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def preset_of(algorithm: str, **settings: str) -> presets.TrainPreset:
    return presets.resolve_train("cartpole-ddqn-bcq", {**SETTINGS, "agent.algorithm": algorithm, **settings})


def run_of(preset: presets.TrainPreset) -> RunState:
    episodes = np.arange(EPISODES + 2)
    split = Split(train=episodes[:EPISODES], evaluation=episodes[EPISODES:], test=episodes[:0])
    return started(preset, mdp.log(len(episodes), preset.seed), split, None)


def train(run: RunState) -> None:
    run.agent.train_epoch(run.transitions, run.rng)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_documents_agent_finds_the_best_logged_actions(module: str, seed: int) -> None:
    run = run_of(preset_of(f"{module}:WeightedImitation", seed=str(seed)))
    train(run)
    found = run.policy().action_probabilities(mdp.features(np.arange(mdp.N_STATES))).argmax(axis=1)
    assert found.tolist() == mdp.best_after_one_step().tolist()


def test_it_takes_the_lines_that_the_document_promises() -> None:
    lines = [line for line in written().splitlines() if line.strip()]
    body = [line for line in lines if not line.startswith(("import", "from"))]
    assert len(body) <= 30


@pytest.mark.parametrize("changes", [{}, {"agent.ensemble": "3", "agent.target_update": "soft"}], ids=str)
def test_it_goes_on_to_the_bit_from_what_a_checkpoint_holds(module: str, changes: dict[str, str]) -> None:
    preset = preset_of(f"{module}:WeightedImitation", **{"agent.updates_per_epoch": "20", **changes})
    straight = run_of(preset)
    train(straight)
    state = copy.deepcopy(straight.state_dict())
    train(straight)
    again = resumed(state, preset, mdp.log(EPISODES + 2, preset.seed), None)
    train(again)
    for name in ("v", "policy", "target"):
        mine, its = again.agent.state_dict()[name], straight.agent.state_dict()[name]
        assert all(mine[key].equal(its[key]) for key in its)
    assert again.agent.updates == straight.agent.updates == 40


def test_the_script_trains_it_from_a_file_beside_it(command_line: CommandLine, data_file: Path, tmp_path: Path) -> None:
    (tmp_path / "my_agent.py").write_text(written())

    def script(algorithm: str) -> subprocess.CompletedProcess[str]:
        settings = {"epochs": "2", "agent.algorithm": algorithm, "bcq.mode": "none"}
        arguments = command_line(settings, data_file, tmp_path / "out")
        command = [sys.executable, str(ROOT / "entrypoints" / "train.py"), *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    refused = script("nowhere:AWAC")
    assert refused.returncode == 2
    assert "agent.algorithm nowhere:AWAC: No module named 'nowhere'" in refused.stderr
    assert "--dependency" in refused.stderr
    assert "Traceback" not in refused.stderr
    # It was refused before the data was read.
    assert "data:" not in refused.stdout
    done = script("my_agent:WeightedImitation")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "model" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("name", "message", "remedy"),
    [
        ("{module}:Nobody", "has no attribute 'Nobody'", "module:Name"),
        ("{module}:NUMBER", "it is 3, which is no class of an agent", "subclass of batchrl.agents.agent.Agent"),
        ("{module}:Unrelated", "which is no class of an agent", "subclass of batchrl.agents.agent.Agent"),
        ("{module}:Unfinished", "the class lacks build, losses, preferences, values", "LossAgent"),
        ("{module}_broken:AWAC", "importing {module}_broken fails: ZeroDivisionError", ""),
        ("no_such_module:AWAC", "No module named 'no_such_module'", "--dependency"),
        ("ddqnn", "there is no such algorithm", "Known: bc, dqn"),
    ],
)
def test_what_is_no_agent_is_refused_by_name_and_with_a_remedy(
    module: str, name: str, message: str, remedy: str
) -> None:
    name, message = name.format(module=module), message.format(module=module)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        agent_class(name)
    assert f"agent.algorithm {name}: " in caught.value.message
    assert remedy in (caught.value.hint or "")


@pytest.mark.parametrize(
    "text", ["my_agent:", ":AWAC", "my agent:AWAC", "my_agent:AWAC:x", "my_agent.AWAC", "AWAC", "5"]
)
def test_a_preset_refuses_what_is_neither_an_algorithm_nor_module_and_name(text: str) -> None:
    with pytest.raises(presets.PresetError, match=r"'agent\.algorithm' got .* module:name\.") as caught:
        preset_of(text)
    assert "docs/agents.md" in (caught.value.hint or "")


def test_a_preset_takes_a_name_without_importing_it_or_torch() -> None:
    code = (
        "import sys, presets; "
        "preset = presets.resolve_train('cartpole-ddqn-bcq', {'agent.algorithm': 'no.where:A_1'}); "
        "assert preset.agent.algorithm == 'no.where:A_1'; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


class Careless(ValueAgent):
    """Averages over the ensemble as well."""

    def bootstrap(self, target_next: Tensor, online_next: Tensor | None, batch: Batch, rng: Generator) -> Tensor:
        return target_next.amax(dim=2)

    def loss(self, values: Tensor, targets: Tensor, batch: Batch) -> Tensor:
        return super().loss(values, targets, batch).mean()


class Forgetful(Careless):
    """Makes a network that it gives no loss."""

    def build(self, generator: torch.Generator) -> None:
        super().build(generator)
        self.make_learner("policy", generator)


class Constrained(Careless):
    """Wants to know what the data supports."""

    constrained = True


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Careless, "Careless.losses: the loss of online has shape []; it must be [2]"),
        (Forgetful, "Forgetful.losses gives losses of online; it must give one for each network that build made: "),
    ],
)
def test_losses_that_would_teach_something_else_are_refused(kind: type[ValueAgent], message: str) -> None:
    settings = preset_of("dqn", **{"agent.ensemble": "2"}).agent
    data = Transitions.of(mdp.log(20, 0), settings)
    agent = kind(Problem.of(data, settings, 1), settings, torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=re.escape(message)):
        agent.train_epoch(data, np.random.default_rng(0))


def test_an_agent_that_is_constrained_is_told_what_the_data_supports() -> None:
    masked = {"bcq.mode": "discrete_bcq", "bcq.imitation_epochs": "1"}
    for algorithm, told in (("Constrained", True), ("Careless", False)):
        run = run_of(preset_of(f"{__name__}:{algorithm}", **masked))
        assert (run.transitions.all_allowed is not None) == told


def test_no_loss_is_derived_of_outputs_that_were_never_looked_at() -> None:
    settings = preset_of("dqn").agent
    learner = Learner(Network(NetworkShape(3, 2, (4,)), torch.Generator()), settings)
    with pytest.raises(RuntimeError, match="neither outputs nor outputs_and_others"):
        _ = learner.seen
