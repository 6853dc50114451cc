"""Evaluate a trained policy in a simulator: greedy, in whole episodes.

    python evaluate.py --preset cartpole-ddqn-bcq-env --checkpoint checkpoints/ --output DIR [--evaluate_steps 1000 ...]

Inside a job the policy is the channel `checkpoint` and everything is written below /opt/ml: evaluation.json into
output/data, one episode as an animated GIF into output/intermediate/gifs. Every setting of the preset can be given by
its dotted key, such as --env.id or --num_envs.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from batchrl.commandline.arguments import ScriptArguments, run_script
from batchrl.commandline.oldnames import reward_line, say_meanings
from batchrl.contract.errors import InputError
from batchrl.contract.hyperparameters import EVALUATE_STEPS, LEGACY_PRESET, PRESET
from batchrl.contract.paths import (
    CHECKPOINT_CHANNEL,
    EVALUATION_NAME,
    JOB_NAME_VARIABLE,
    RESOLVED_PRESET_NAME,
    JobPaths,
)

CHECKPOINT = "checkpoint"
OUTPUT = "output"
OPTIONS = {
    PRESET: "name of a preset of kind evaluate, or path of a YAML file",
    LEGACY_PRESET: "the same, under Coach's name of it",
    EVALUATE_STEPS: "least number of environment steps to play (default: the preset's)",
    CHECKPOINT: "checkpoints, a .pt file, an exported model or a model.tar.gz; by default the channel 'checkpoint'",
    OUTPUT: "folder that plays /opt/ml, for a run outside of a job",
}


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def main(arguments: ScriptArguments) -> None:
    """Evaluate a checkpoint in the simulator and write what came out."""
    # 1. Settings, before anything heavy is imported.
    preset = arguments.evaluate_preset()
    paths = JobPaths(Path(arguments.options[OUTPUT])) if OUTPUT in arguments.options else JobPaths.from_environment()
    say_meanings(arguments)
    channel = Path(arguments.options.get(CHECKPOINT, paths.channel(CHECKPOINT_CHANNEL)))

    from batchrl.checkpoints.files import publish, publish_json
    from batchrl.checkpoints.finding import find_policy
    from batchrl.checkpoints.policy import load_policy
    from batchrl.collect.environments import EnvId, make_simulator
    from batchrl.collect.evaluation import check_fit, evaluate, record_gif

    # 2. The policy, and the environments that it has to fit.
    env = EnvId(preset.env.id, preset.env.max_episode_steps)
    with tempfile.TemporaryDirectory() as scratch:
        source = find_policy(channel, Path(scratch) / "policy")
        policy = load_policy(source, preset.checkpoint).of_plain_numbers()
    simulator = make_simulator(env, preset.num_envs, preset.env_memory_gib)
    check_fit(policy, simulator, env, channel)
    if notice := simulator.notice():
        say(f"{env.name}: {notice} (env_memory_gib={preset.env_memory_gib:g})")
    facts = policy.describe()
    say(f"policy: {facts['source']} (epoch {facts.get('epoch', 'unknown')})")

    # 3. Episodes.
    result = evaluate(
        policy,
        env,
        evaluate_steps=preset.evaluate_steps,
        min_episodes=preset.min_episodes,
        num_envs=preset.num_envs,
        seed=preset.seed,
        discount=facts.get("discount"),
        simulator=simulator,
    )
    publish(paths.output_data / RESOLVED_PRESET_NAME, preset.to_json().encode())
    job = os.environ.get(JOB_NAME_VARIABLE)
    publish_json(paths.output_data / EVALUATION_NAME, {**result.to_dict(), "job": job, "policy": facts})

    # 4. One episode to look at, once the others' memory is free; an environment without pictures is no failure.
    simulator.vector.close()
    del simulator
    if preset.gif:
        try:
            gif = record_gif(policy, env, preset.seed)
            published = publish(paths.intermediate / "gifs" / "episode.gif", gif)
            say(f"recorded one episode: {published.path.name} ({published.size / 1024:.0f} KiB)")
        except InputError as error:
            say(f"warning: no GIF: {error.message}")
    if line := reward_line(arguments, result.mean_return, result.episodes, result.steps):
        say(line)
    say(str(result))


if __name__ == "__main__":
    sys.exit(run_script(main, sys.argv[1:], __doc__, OPTIONS))
