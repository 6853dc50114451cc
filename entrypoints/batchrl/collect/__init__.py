"""Data collection: episodes played in vectorised environments, as the table that training reads.

::

    simulator = make_simulator(EnvId("CartPole-v0"), 100)
    rollouts = collect(simulator, UniformPolicy(simulator.n_actions), episodes=5, seed=0)
    write_table(to_frame(rollouts), Path("cartpole.csv"))
"""

from batchrl.collect.environments import EnvId, Simulator, make_simulator
from batchrl.collect.rollouts import Rollouts, collect
from batchrl.collect.table import to_frame, write_table
from batchrl.collect.vectored import VectoredGymEnvironment

__all__ = [
    "EnvId",
    "Rollouts",
    "Simulator",
    "VectoredGymEnvironment",
    "collect",
    "make_simulator",
    "to_frame",
    "write_table",
]
