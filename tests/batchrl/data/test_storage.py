"""Arrays in memory and arrays mapped from files hold the same, bit for bit."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from batchrl.contract.errors import InputError
from batchrl.data import storage as storage_module
from batchrl.data.dataset import Dataset
from batchrl.data.loader import LoadedData, load_dataset
from batchrl.data.split import Parts, split_for_run
from batchrl.data.storage import Storage, is_mapped
from presets.dataschema import DataSettings

Frame = Callable[..., pd.DataFrame]
ARRAYS = ("states", "actions", "rewards", "next_states", "terminal", "behavior_policy", "offsets")


def arrays(data: Dataset) -> dict[str, np.ndarray]:
    return {name: getattr(data, name) for name in ARRAYS}


def assert_same(first: Dataset, second: Dataset) -> None:
    for name, values in arrays(first).items():
        other = getattr(second, name)
        assert values.dtype == other.dtype
        np.testing.assert_array_equal(values, other, err_msg=name)
    assert first.episode_ids == second.episode_ids
    assert first.sha256() == second.sha256()


@st.composite
def logs(draw: st.DrawFn) -> pd.DataFrame:
    """Logs of any schema, order of rows, flags and known next states."""
    lengths = draw(st.lists(st.integers(1, 6), min_size=3, max_size=12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    actions = draw(st.integers(2, 3))
    schema_a = draw(st.booleans())
    episode = np.repeat(np.arange(len(lengths)), [length + schema_a for length in lengths])
    n = len(episode)
    is_last = np.append(episode[1:] != episode[:-1], True)
    policy = rng.dirichlet(np.ones(actions), n) * 0.9 + 0.1 / actions
    frame = pd.DataFrame({"episode_id": episode, "reward": rng.normal(size=n), "action": rng.integers(0, actions, n)})
    frame["all_action_probabilities"] = policy.tolist()
    for feature in range(draw(st.integers(1, 3))):
        frame[f"state_feature_{feature}"] = rng.normal(size=n).astype(np.float32)
    if draw(st.booleans()):
        known = rng.random(n) < 0.5
        for name in [name for name in frame if name.startswith("state")]:
            frame[f"next_{name}"] = np.where(known, rng.normal(size=n), np.nan)
    if draw(st.booleans()):
        frame["truncated"] = (is_last & (rng.random(n) < 0.5)).astype(int)
    if schema_a:
        for name in ("action", "reward", "all_action_probabilities"):
            frame[name] = frame[name].astype(object).where(~is_last, None)
    if draw(st.booleans()):
        # Rows of several episodes alternate; within each they keep their order.
        frame = frame.assign(step=frame.groupby("episode_id").cumcount()).sort_values("step", kind="stable")
        frame = frame.drop(columns="step")
    return frame.astype({"action": float, "reward": float})


@given(logs(), st.booleans(), st.sampled_from([3, 1000]))
def test_mapped_data_is_that_of_memory_bit_for_bit(log: pd.DataFrame, as_csv: bool, chunk: int) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / ("log.csv" if as_csv else "log.parquet")
        log.to_csv(path, index=False) if as_csv else log.to_parquet(path, index=False)
        # The next states are drawn apart from the states.
        loaded = load_dataset(path, DataSettings(storage="memory", accept=("next_states",)))
        # Pieces of three rows: episodes reach across them.
        patch.setattr(storage_module, "CHUNK_ROWS", chunk)
        mapped = load_dataset(path, DataSettings(storage="mapped", accept=("next_states",)))
        assert_same(loaded.dataset, mapped.dataset)
        assert (loaded.schema, loaded.unknown_ends, loaded.left_out) == (
            mapped.schema,
            mapped.unknown_ends,
            mapped.left_out,
        )
        assert is_mapped(mapped.dataset.states) and not is_mapped(loaded.dataset.states)


@given(logs())
def test_transitions_are_the_rows_of_their_episodes(log: pd.DataFrame) -> None:
    """Against a loop over the rows of each episode."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.parquet"
        log.to_parquet(path, index=False)
        data = load_dataset(path, DataSettings(storage="mapped", accept=("next_states",))).dataset
    features = [name for name in log if name.startswith("state_feature")]
    rewards, states, following, policies = [], [], [], []
    for _, rows in log.groupby("episode_id", sort=False):
        steps = rows[rows["action"].notna()]
        whole = rows[features].to_numpy(dtype=np.float32)
        after = np.concatenate([whole[1:], whole[-1:]])[: len(steps)]
        if "next_state_feature_0" in log:
            given = steps[[f"next_{name}" for name in features]].to_numpy(dtype=np.float32)
            after = np.where(np.isnan(given), after, given)
        rewards += steps["reward"].tolist()
        states += steps[features].to_numpy(dtype=np.float32).tolist()
        following += after.tolist()
        policies += steps["all_action_probabilities"].tolist()
    assert data.rewards.tolist() == rewards
    assert data.states.tolist() == states
    assert data.behavior_policy.tolist() == [list(policy) for policy in policies]
    inner = ~data.terminal
    np.testing.assert_array_equal(
        data.next_states[inner], np.array(following, np.float32).reshape(-1, len(features))[inner]
    )


def load_mapped(folder: Path, frame: pd.DataFrame, **settings: Any) -> LoadedData:
    frame.to_parquet(folder / "log.parquet")
    return load_dataset(folder / "log.parquet", DataSettings(storage="mapped", **settings))


def test_parts_of_mapped_data_are_mapped_and_those_of_memory(tmp_path: Path, frame: Frame) -> None:
    mapped = load_mapped(tmp_path, frame(), test_ratio=0.2).dataset
    memory = load_dataset(tmp_path / "log.parquet", DataSettings(storage="memory")).dataset
    split = split_for_run(mapped, DataSettings(test_ratio=0.2), seed=1)
    for first, second in zip(
        vars(Parts.of(mapped, split)).values(), vars(Parts.of(memory, split)).values(), strict=True
    ):
        assert_same(first, second)
        assert is_mapped(first.states) and is_mapped(first.behavior_policy)
        assert not is_mapped(second.states)


@pytest.mark.parametrize("kind", ["memory", "mapped"])
def test_arrays_become_tensors_without_a_copy_and_without_a_warning(tmp_path: Path, frame: Frame, kind: str) -> None:
    frame().to_parquet(tmp_path / "log.parquet")
    data = load_dataset(tmp_path / "log.parquet", DataSettings(storage=kind)).dataset
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, values in arrays(data).items():
            tensor = torch.from_numpy(values)
            assert tensor.data_ptr() == values.ctypes.data, name
            assert tensor.index_select(0, torch.tensor([1])).numpy().tolist() == values[[1]].tolist()


def test_auto_maps_what_is_large(tmp_path: Path, frame: Frame, monkeypatch: pytest.MonkeyPatch) -> None:
    logged = frame(episodes=400)
    logged.to_csv(tmp_path / "log.csv", index=False)
    small = load_dataset(tmp_path / "log.csv", DataSettings())
    assert not is_mapped(small.dataset.states)
    monkeypatch.setattr(storage_module, "AUTO_BYTES", 1000)
    large = load_dataset(tmp_path / "log.csv", DataSettings())
    assert is_mapped(large.dataset.states) and is_mapped(large.dataset.next_states)
    assert_same(small.dataset, large.dataset)


def test_blocks_before_and_after_the_move_to_a_file_stay_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_module, "AUTO_BYTES", 500)
    storage = Storage("auto")
    columns = [storage.column(), storage.column()]
    blocks = [np.arange(start, start + 7, dtype=np.int64) for start in range(0, 140, 7)]
    for block in blocks:
        for column in columns:
            column.append(block)
    for column in columns:
        whole = column.finish()
        assert whole.tolist() == list(range(140)) and is_mapped(whole)


def test_mapped_files_have_no_name_and_vanish_with_the_process(tmp_path: Path, frame: Frame) -> None:
    """Also where the process is killed."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    frame().to_parquet(tmp_path / "log.parquet")
    code = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from batchrl.data.loader import load_dataset\nfrom presets.dataschema import DataSettings\n"
        "data = load_dataset(Path(sys.argv[1]), DataSettings(storage='mapped'))\n"
        "held = [os.readlink(f'/proc/self/map_files/{name}') for name in os.listdir('/proc/self/map_files')]\n"
        "assert any('scratch' in path for path in held), held\n"
        "assert not os.listdir(os.environ['TMPDIR'])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environ = os.environ | {"TMPDIR": str(scratch)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "log.parquet")], env=environ, capture_output=True, text=True
    )
    assert done.returncode == -9, done.stderr
    assert not list(scratch.iterdir())


def test_a_full_disk_is_told(tmp_path: Path, frame: Frame, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(InputError, match=r"no room for .* MB of data in .*No space left on device.*\n.*TMPDIR"):
        load_mapped(tmp_path, frame())


def test_a_disk_that_fills_up_while_rows_are_written_is_told(tmp_path: Path, frame: Frame) -> None:
    frame(episodes=400).to_parquet(tmp_path / "log.parquet")
    code = (
        "import resource, signal, sys\nfrom pathlib import Path\n"
        "from batchrl.contract.errors import InputError\nfrom batchrl.data.loader import load_dataset\n"
        "from presets.dataschema import DataSettings\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n    load_dataset(Path(sys.argv[1]), DataSettings(storage='mapped'))\n"
        "except InputError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "log.parquet")], capture_output=True, text=True)
    assert "there is no room" in done.stdout, done.stderr
    assert "TMPDIR" in done.stdout


def test_a_read_only_block_is_copied() -> None:
    column = Storage("memory").column()
    block = np.arange(3.0)
    block.flags.writeable = False
    column.append(block)
    assert column.finish().flags.writeable
