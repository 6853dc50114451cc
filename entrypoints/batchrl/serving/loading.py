"""The model that is served, loaded and warm."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from batchrl.checkpoints.policy import load_policy
from batchrl.serving.invocation import Service
from batchrl.serving.parsing import ParsedRecords
from batchrl.serving.predictor import ROWS_MULTIPLE, Predictor
from batchrl.serving.settings import ServingSettings

# What small requests together have: their products are compiled once, before the workers are forked.
WARM_UP_ROWS = (1, 16, *range(ROWS_MULTIPLE, 16 * ROWS_MULTIPLE + 1, ROWS_MULTIPLE))
# As many as make the time of a record, not of the call.
TIMED_ROWS = 256
TIMED_ROUNDS = 3


@dataclass(frozen=True)
class Loaded:
    """A model that is ready to answer.

    Args:
        service: what answers.
        description: what is served, in words.
        record_seconds: how long the networks take for one record.
    """

    service: Service
    description: str
    record_seconds: float


def load_service(folder: Path, settings: ServingSettings) -> Loaded:
    """Load a policy and let it decide once, so that no request waits for what only the first one needs.

    Raises:
        InputError: there is no policy in the folder, or the settings do not fit it.
        DamagedContent: it cannot be read whole.
    """
    torch.set_num_threads(1)
    policy = load_policy(folder)
    target = settings.target.of(policy.model.target)
    predictor = Predictor(policy.model, target, policy.action_names)
    for rows in WARM_UP_ROWS:
        _seconds(predictor, rows)
    seconds = min(_seconds(predictor, TIMED_ROWS) for _ in range(TIMED_ROUNDS))
    facts = policy.describe()
    name = facts.get("job_name") or facts.get("preset") or folder
    encoding = policy.encoding
    taken = f"{policy.n_features} features" if encoding is None else f"raw records of {', '.join(encoding.columns)}"
    description = f"{name} ({target}; {taken}, {policy.n_actions} actions)"
    service = Service(predictor, settings.reject, encoding, policy.needs_eligible, policy.column_names)
    return Loaded(service, description, seconds / TIMED_ROWS)


def _seconds(predictor: Predictor, rows: int) -> float:
    states = np.zeros((rows, predictor.n_features), dtype=np.float32)
    began = time.perf_counter()
    predictor.predict(ParsedRecords(states))
    return time.perf_counter() - began
