"""The schema of a loop: collect with the incumbent policy, train, gate, evaluate, and again.

``train`` and ``evaluate`` name another preset; whatever else stands in them are settings of that preset, as
``train.agent.discount``. They are checked with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from presets.kinds import Maybe, Number, Section, Whole
from presets.schema import EnvSettings, EvaluatePreset, Preset, TrainPreset


class CollectSettings(Section):
    """How the incumbent policy acts and is logged: always by chance, so that what it did can be weighed.

    An action that it never takes (a fixed policy's 0, what a trained policy's mask forbids in a state) stays unknown.
    """

    collector: Literal["policy", "endpoint", "transform"] = Field(
        default="policy",
        description="Who answers for a trained policy: policy: the process that plays; endpoint: a model server, some "
        "requests a time step; transform: a batch transform job a time step, over all live environments",
    )
    episodes: Whole = Field(
        default=500, ge=10, le=100_000_000, description="Least episodes of a round; every copy plays the same number"
    )
    num_envs: Whole = Field(
        default=100, ge=1, le=1_000_000, description="Copies of the environment that are stepped together"
    )
    behavior: str = Field(
        default="uniform",
        min_length=1,
        description="Policy of the first round, in place until one is promoted: uniform; probabilities such as "
        "[0.3, 0.7]; module:name; or the path of a trained policy, which is softened as all others",
    )
    target_policy: Literal["epsilon_greedy", "softmax"] = Field(
        default="epsilon_greedy", description="How trained policies are softened to act"
    )
    epsilon: Number = Field(
        default=0.1, gt=0, le=1, description="epsilon_greedy: probability of a random action, of those that are allowed"
    )
    temperature: Number = Field(default=1.0, gt=0, description="softmax: temperature of the values")


class GateSettings(Section):
    """Whether a candidate takes the place of the incumbent policy."""

    alpha: Number = Field(
        default=0.05,
        gt=0,
        lt=0.5,
        description="Probability that any round of the loop promotes a policy that is no better; every look gets an "
        "equal share",
    )
    holdout: Number = Field(
        default=0.3, gt=0, lt=1, description="Share of a round's episodes that judge its candidate and train it not"
    )
    undecided: Literal["keep", "canary"] = Field(
        default="keep",
        description="keep: the incumbent policy stays; canary: the candidate, softened, plays canary_episodes, and its "
        "mean return decides",
    )
    canary_episodes: Whole = Field(
        default=200, ge=50, le=100_000_000, description="canary: least episodes that the candidate plays"
    )
    q_function: Literal["agent", "fqe"] = Field(
        default="agent",
        description="Values inside the estimate: the agent's own, or fitted Q evaluation of the candidate, as it acts, "
        "on the training episodes",
    )
    fqe_updates: Whole = Field(default=20_000, ge=1, description="fqe: gradient steps")


class OpenSection(Section):
    """A section that names another preset; its further keys are settings of that one, by their dotted names."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False, coerce_numbers_to_str=True)

    @property
    def overrides(self) -> Mapping[str, Any]:
        """Settings of the other preset by dotted key."""
        return dict(self.model_extra or {})


class TrainChoice(OpenSection):
    """The training job of a round."""

    preset: str = Field(min_length=1, description="Preset of the training, a name or a YAML file")


class EvaluateChoice(OpenSection):
    """The evaluation job of a round, where there is a simulator; it decides nothing."""

    preset: Maybe[Annotated[str, Field(min_length=1)]] = Field(
        default=None, description="Preset of the evaluation, a name or a YAML file; null evaluates nothing"
    )
    candidates: Literal["all", "promoted"] = Field(
        default="all", description="Which candidates are evaluated: all, or only those that were promoted"
    )


class IteratePreset(Preset):
    """A loop of rounds: collect, train, gate, evaluate."""

    kind: Literal["iterate"] = Field(default="iterate", description="What the preset describes")
    env: EnvSettings = Field(default=EnvSettings(), description="The environment that is acted in")
    collect: CollectSettings = Field(default=CollectSettings(), description="How episodes are collected")
    train: TrainChoice = Field(description="How candidates are trained")
    gate: GateSettings = Field(default=GateSettings(), description="When a candidate is promoted")
    evaluate: EvaluateChoice = Field(default=EvaluateChoice(), description="How candidates are evaluated")

    # What a section's further keys are settings of.
    OPEN: ClassVar[Mapping[str, type[Preset]]] = {"train": TrainPreset, "evaluate": EvaluatePreset}
