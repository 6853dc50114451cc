"""d3rlpy's files and Minari's datasets, read and written: the layouts are those that the two projects publish."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from batchrl.contract.errors import InputError
from batchrl.data.exchange import Asked, Converted, exchanged
from batchrl.data.loader import LoadedData, load_dataset
from presets.dataschema import DataSettings

h5py = pytest.importorskip("h5py", reason="make setup installs h5py")
minari = pytest.importorskip("minari", reason="make setup installs minari")
pytestmark = pytest.mark.filterwarnings("ignore:.* is set to None:UserWarning", "ignore:env_spec is None:UserWarning")

Episode = dict[str, Any]


def made(n: int = 24, seed: int = 0) -> list[Episode]:
    """Episodes of 2 to 5 steps with three actions; every third was cut short."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(n):
        steps = int(rng.integers(2, 6))
        found.append(
            {
                "observations": rng.normal(size=(steps + 1, 2)).astype(np.float32),
                "actions": rng.integers(0, 3, steps),
                "rewards": rng.normal(size=steps),
                "terminated": bool(number % 3),
            }
        )
    return found


def dump(path: Path, episodes: list[Episode], **changed: Any) -> Path:
    """As ``ReplayBuffer.dump`` of d3rlpy 2.8 lays episodes out."""
    with h5py.File(path, "w") as file:
        file.create_dataset("columns", data=["observations", "actions", "rewards", "terminated"])
        file.create_dataset("num_episodes", data=len(episodes))
        for number, each in enumerate(episodes):
            steps = len(each["actions"])
            file.create_dataset(f"observations_{number}", data=each["observations"][:steps])
            file.create_dataset(f"actions_{number}", data=each["actions"].reshape(steps, -1))
            file.create_dataset(f"rewards_{number}", data=each["rewards"][:, None])
            file.create_dataset(f"terminated_{number}", data=each["terminated"])
        file.create_dataset("version", data="2.1")
        for key, value in changed.items():
            if key in file:
                del file[key]
            if value is not None:
                file.create_dataset(key, data=value)
    return path


def convert(source: Path | str, target: Path | str, **asked: Any) -> Converted:
    return exchanged(str(source), str(target), Asked(**asked))


def load(path: Path) -> LoadedData:
    return load_dataset(path, DataSettings())


def log(path: Path, episodes: list[Episode], closing: bool = True) -> Path:
    """The same episodes as a log with propensities; with the state after the last step as a row of its own."""
    rows = []
    for number, each in enumerate(episodes):
        steps = len(each["actions"])
        for step in range(steps + closing):
            of_step = step < steps
            rows.append(
                {
                    "action": each["actions"][step] if of_step else None,
                    "episode_id": f"user {number}",
                    "reward": each["rewards"][step] if of_step else None,
                    "propensity": 1 / 3 if of_step else None,
                    "state_feature_0": each["observations"][step, 0],
                    "state_feature_1": each["observations"][step, 1],
                    "terminal": int(step == steps - 1 and each["terminated"]),
                    "truncated": int(step == steps - 1 and not each["terminated"]),
                }
            )
    pd.DataFrame(rows).astype({"action": "Int64"}).to_csv(path, index=False)
    return path


def flat(episodes: list[Episode], key: str) -> np.ndarray:
    return np.concatenate([each[key] for each in episodes])


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of Minari's own."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return tmp_path / "minari"


def minari_made(name: str, episodes: list[Episode], states: Any = None, actions: Any = None) -> None:
    """A dataset as others make it."""
    from gymnasium import spaces
    from minari.data_collector import EpisodeBuffer

    buffers = []
    for number, each in enumerate(episodes):
        at_end = np.arange(len(each["actions"])) == len(each["actions"]) - 1
        flags = {"terminations": at_end & each["terminated"], "truncations": at_end & (not each["terminated"])}
        held = {key: each[key] for key in ("observations", "actions", "rewards")}
        buffers.append(EpisodeBuffer(id=number, **held, **flags))
    minari.create_dataset_from_buffers(
        name,
        buffers,
        observation_space=states or spaces.Box(-np.inf, np.inf, (2,), np.float32),
        action_space=actions or spaces.Discrete(3),
    )


@pytest.mark.parametrize("name", ["log.parquet", "log.csv", "log.csv.gz"])
def test_a_buffer_of_d3rlpy_is_read(tmp_path: Path, name: str) -> None:
    episodes = made()
    done = convert(dump(tmp_path / "buffer.h5", episodes), tmp_path / name)
    loaded = load(tmp_path / name)
    data = loaded.dataset
    assert done.rows == data.n_transitions and done.bytes == (tmp_path / name).stat().st_size
    assert data.action_names == ("0", "1", "2") and np.array_equal(data.actions, flat(episodes, "actions"))
    assert np.array_equal(data.rewards, flat(episodes, "rewards"))
    assert np.array_equal(data.states, np.concatenate([each["observations"][:-1] for each in episodes]))
    assert loaded.unknown_ends == 8 and data.n_episodes == 24
    table = pd.read_parquet(tmp_path / name) if name.endswith("parquet") else pd.read_csv(tmp_path / name)
    last = table.groupby("episode_id").tail(1)
    assert last["terminal"].tolist() == [int(each["terminated"]) for each in episodes]
    assert last["truncated"].tolist() == [int(not each["terminated"]) for each in episodes]
    assert table["terminal"].sum() + table["truncated"].sum() == 24
    lacks, cut = done.notes
    assert "no propensities" in lacks and "8 episodes were cut" in cut


def test_a_dataset_of_d3rlpy_1_is_read(tmp_path: Path) -> None:
    episodes = made()
    ends = np.cumsum([len(each["actions"]) for each in episodes]) - 1
    ended, terminal = np.zeros(ends[-1] + 1), np.zeros(ends[-1] + 1)
    ended[ends], terminal[ends] = 1, [each["terminated"] for each in episodes]
    with h5py.File(tmp_path / "old.h5", "w") as file:
        states = np.concatenate([each["observations"][:-1] for each in episodes])
        held = {"observations": states, "actions": flat(episodes, "actions"), "rewards": flat(episodes, "rewards")}
        for key, values in (held | {"terminals": terminal, "episode_terminals": ended}).items():
            file.create_dataset(key, data=values)
        file.create_dataset("discrete_action", data=True)
    convert(tmp_path / "old.h5", tmp_path / "old.parquet")
    convert(dump(tmp_path / "new.h5", episodes), tmp_path / "new.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "old.parquet"), pd.read_parquet(tmp_path / "new.parquet"))
    with h5py.File(tmp_path / "old.h5", "a") as file:
        del file["episode_terminals"]
        file["terminals"][-1] = 0
    convert(tmp_path / "old.h5", tmp_path / "old.csv")
    assert load(tmp_path / "old.csv").dataset.n_episodes == 16  # an episode that was cut short runs into the next one
    assert load(tmp_path / "old.csv").unknown_ends == 1


@pytest.mark.parametrize("closing", [True, False])
def test_a_log_is_written_as_d3rlpy_lays_it_out(tmp_path: Path, closing: bool) -> None:
    episodes = made()
    done = convert(log(tmp_path / "log.csv", episodes, closing), tmp_path / "buffer.h5")
    expected = dump(tmp_path / "expected.h5", episodes)
    with h5py.File(tmp_path / "buffer.h5") as file, h5py.File(expected) as other:
        assert set(file) == set(other)
        for key in other:
            assert np.array_equal(file[key][()], other[key][()]), key
            assert file[key].dtype == other[key].dtype and file[key].shape == other[key].shape, key
    assert done.rows == len(flat(episodes, "actions"))
    assert "the format has no place for propensity; episodes are numbered" in done.notes
    assert any("that of 8 episodes cut short teaches it nothing" in note for note in done.notes)


def test_names_of_actions_are_numbered_and_told(tmp_path: Path) -> None:
    path = log(tmp_path / "log.csv", made())
    frame = pd.read_csv(path)
    frame["action"] = frame["action"].map({0: "wait", 1: "call", 2: "mail"})
    frame.to_csv(path, index=False)
    done = convert(path, tmp_path / "buffer.h5")
    assert "actions are numbered: 0 call, 1 mail, 2 wait" in done.notes
    with h5py.File(tmp_path / "buffer.h5") as file:
        assert file["actions_0"][:, 0].tolist() == [[2, 0, 1][action] for action in made()[0]["actions"]]


def test_a_dataset_of_minari_is_read(tmp_path: Path, datasets: Path) -> None:
    episodes = made()
    minari_made("shop/log-v0", episodes)
    done = convert("minari:shop/log-v0", tmp_path / "log.parquet")
    loaded = load(tmp_path / "log.parquet")
    assert loaded.schema == "A" and loaded.unknown_ends == 0 and done.rows == loaded.dataset.n_transitions + 24
    data = loaded.dataset
    assert np.array_equal(data.actions, flat(episodes, "actions"))
    assert np.array_equal(data.rewards, flat(episodes, "rewards"))
    ends = data.offsets[1:] - 1
    assert data.terminal[ends].tolist() == [each["terminated"] for each in episodes]
    after = np.array([each["observations"][-1] for each in episodes])
    assert np.array_equal(data.next_states[ends][~data.terminal[ends]], after[~data.terminal[ends]])
    (note,) = done.notes
    assert "no propensities" in note


@pytest.mark.parametrize("schema", ["A", "B"])
def test_a_log_is_written_as_a_dataset_of_minari(tmp_path: Path, datasets: Path, schema: str) -> None:
    episodes = made()
    path = log(tmp_path / "log.csv", episodes)
    if schema == "B":
        convert(path, tmp_path / "b.parquet", schema="B")
        path = tmp_path / "b.parquet"
    done = convert(path, "minari:shop/log-v0")
    dataset = minari.load_dataset("shop/log-v0")
    assert dataset.total_steps == done.rows == len(flat(episodes, "actions")) and dataset.spec.action_space.n == 3
    for each, written in zip(episodes, dataset.iterate_episodes(), strict=True):
        for key in ("observations", "actions", "rewards"):
            assert np.array_equal(getattr(written, key), each[key]), key
        assert not written.terminations[:-1].any() and not written.truncations[:-1].any()
        assert (written.terminations[-1], written.truncations[-1]) == (each["terminated"], not each["terminated"])
    assert done.bytes > 0
    with pytest.raises(InputError, match="there is such a dataset"):
        convert(path, "minari:shop/log-v0", overwrite=True)


def test_ends_that_nobody_saw_are_not_made_up_for_minari(tmp_path: Path, datasets: Path) -> None:
    path = log(tmp_path / "log.csv", made(), closing=False)
    with pytest.raises(InputError, match="8 episodes were cut short without a known next state"):
        convert(path, "minari:shop/log-v0")
    ended = [each | {"terminated": True} for each in made()]
    done = convert(log(path, ended, closing=False), "minari:shop/log-v0")
    assert any("24 episodes is not known: their last state stands for it" in note for note in done.notes)
    written = next(iter(minari.load_dataset("shop/log-v0").iterate_episodes()))
    assert np.array_equal(written.observations[-1], written.observations[-2])


def test_from_one_program_to_the_other(tmp_path: Path, datasets: Path) -> None:
    episodes = made()
    minari_made("shop/log-v0", episodes)
    convert("minari:shop/log-v0", tmp_path / "buffer.h5")
    with h5py.File(tmp_path / "buffer.h5") as file, h5py.File(dump(tmp_path / "expected.h5", episodes)) as other:
        assert all(np.array_equal(file[key][()], other[key][()]) for key in other)


def test_quantities_are_refused_or_made_ranges(tmp_path: Path, datasets: Path) -> None:
    from gymnasium import spaces

    rng = np.random.default_rng(0)
    dosed = [each | {"actions": rng.random((len(each["actions"]), 1))} for each in made()]
    minari_made("shop/dose-v0", dosed, actions=spaces.Box(0, 1, (1,), np.float64))
    for source in (dump(tmp_path / "dose.h5", dosed), "minari:shop/dose-v0"):
        with pytest.raises(InputError, match="is a quantity") as caught:
            convert(source, tmp_path / "log.parquet")
        assert f"`batchrl data convert {source} {tmp_path / 'log.parquet'} --bin action=5`" in str(caught.value)
        done = convert(source, tmp_path / "log.parquet", bins={"action": 4}, overwrite=True)
        data = load(tmp_path / "log.parquet").dataset
        assert data.action_names == done.bins[0].names and len(data.action_names) == 4
        ranks = np.argsort(np.argsort(flat(dosed, "actions")[:, 0]))
        assert np.all(np.diff(data.actions[np.argsort(ranks)]) >= 0)
        convert(source, tmp_path / "ranges.h5", bins={"action": 4}, overwrite=True)
        with h5py.File(tmp_path / "ranges.h5") as file:
            assert file["actions_0"][:, 0].tolist() == data.actions[: len(dosed[0]["actions"])].tolist()
    floats = [each | {"actions": each["actions"].astype(np.float64)} for each in made()]
    convert(dump(tmp_path / "floats.h5", floats), tmp_path / "floats.csv")
    assert load(tmp_path / "floats.csv").dataset.action_names == ("0", "1", "2")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another layout": ({"version": "2.0"}, "version 2.0 of d3rlpy's layout"),
    "no layout": ({"num_episodes": None}, "which is none of d3rlpy's"),
    "a missing array": ({"actions_3": None}, "episode 3: 'actions_3' is missing"),
    "several arrays": (
        {"observations_3": None, "observations_3_0": np.zeros((2, 2))},
        "episode 3: observations are several arrays",
    ),
    "pictures": ({"observations_3": np.zeros((2, 3, 8, 8))}, r"observations are of shape \(3, 8, 8\)"),
    "many quantities": ({"actions_3": np.zeros((2, 3))}, r"actions are of shape \(3,\), and not one number a step"),
    "no numbers": ({"actions_3": [b"a", b"b"]}, "actions are no numbers"),
    "another length": ({"rewards_3": np.zeros((1, 1))}, r"actions, 1 rewards and"),
    "a group": ({"num_episodes": [1, 2]}, "none of d3rlpy's"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_read_is_named(tmp_path: Path, case: str) -> None:
    changed, said = REFUSED[case]
    path = dump(tmp_path / "buffer.h5", made(), **changed)
    with pytest.raises(InputError, match=said):
        convert(path, tmp_path / "log.parquet")
    assert not (tmp_path / "log.parquet").exists()


@pytest.mark.parametrize("kind", ["a link", "a link within", "another file's bytes", "a view"])
def test_no_other_file_is_read_for_a_file_of_d3rlpy(tmp_path: Path, kind: str) -> None:
    path, secret = dump(tmp_path / "buffer.h5", made(), observations_3=None), tmp_path / "secret"
    secret.write_bytes(bytes(range(64)))
    steps = len(made()[3]["actions"])
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.create_dataset("states", data=np.ones((steps, 2)))
    with h5py.File(path, "a") as file:
        if kind == "a link":
            file["observations_3"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "states")
        elif kind == "a link within":
            file["observations_3"] = h5py.SoftLink("/observations_4")
        elif kind == "a view":
            layout = h5py.VirtualLayout((steps, 2), "f8")
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "states", (steps, 2))
            file.create_virtual_dataset("observations_3", layout)
        else:
            outside = [(str(secret), 0, h5py.h5f.UNLIMITED)]
            file.create_dataset("observations_3", (steps, 2), "u1", external=outside)
    with h5py.File(path) as file:
        assert file["observations_3"][()].any()  # HDF5 itself reads it
    with pytest.raises(InputError, match="'observations_3' is no array of this file itself"):
        convert(path, tmp_path / "log.parquet")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = dump(tmp_path / "buffer.h5", made())
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(InputError, match=r"buffer\.h5: the file (cannot be read|is damaged)"):
        convert(path, tmp_path / "log.parquet")


def test_datasets_of_minari_that_are_not_read_are_named(tmp_path: Path, datasets: Path) -> None:
    from gymnasium import spaces

    with pytest.raises(InputError, match="no such dataset of Minari") as caught:
        convert("minari:shop/log-v0", tmp_path / "log.parquet")
    assert "minari download shop/log-v0" in str(caught.value)
    box = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    several = [each | {"observations": {"now": each["observations"], "goal": each["observations"]}} for each in made()]
    minari_made("shop/goals-v0", several, states=spaces.Dict({"now": box, "goal": box}))
    with pytest.raises(InputError, match=r"episode 0: its observations are several arrays \(goal, now\)"):
        convert("minari:shop/goals-v0", tmp_path / "log.parquet")


def test_a_damaged_dataset_of_minari_is_refused(tmp_path: Path, datasets: Path) -> None:
    minari_made("shop/log-v0", made())
    (file,) = datasets.rglob("*.hdf5")
    with h5py.File(file, "a") as held:
        del held["episode_3/rewards"]
    with pytest.raises(InputError, match=r"minari:shop/log-v0 cannot be read: "):
        convert("minari:shop/log-v0", tmp_path / "log.parquet")
    file.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"minari:shop/log-v0 cannot be read: "):
        convert("minari:shop/log-v0", tmp_path / "log.parquet")


def test_targets_are_as_careful_as_files(tmp_path: Path, datasets: Path) -> None:
    path = log(tmp_path / "log.csv", made())
    (tmp_path / "there.h5").write_text("precious")
    with pytest.raises(InputError, match="exists"):
        convert(path, tmp_path / "there.h5")
    with pytest.raises(InputError, match="Minari has no such names"):
        convert(path, "minari:log")
    with pytest.raises(InputError, match="have no schema"):
        convert(path, tmp_path / "new.h5", schema="B")
    categories = pd.read_csv(path).assign(state_feature_0="gold")
    categories.to_csv(path, index=False)
    with pytest.raises(InputError, match="states of plain numbers"):
        convert(path, tmp_path / "there.h5", overwrite=True)
    assert (tmp_path / "there.h5").read_text() == "precious" and not (tmp_path / "new.h5").exists()
    assert not os.path.lexists(datasets / "log")


@pytest.mark.parametrize(("package", "source"), [("h5py", "buffer.h5"), ("minari", "minari:shop/log-v0")])
def test_a_package_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, source: str
) -> None:
    if package == "h5py":
        source = str(dump(tmp_path / source, made()))
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(InputError, match=f"the package {package}, which is not installed.\nInstall it: pip install"):
        convert(source, tmp_path / "log.parquet")
