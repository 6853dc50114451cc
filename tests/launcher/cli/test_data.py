"""``batchrl data``: what people and programs read, and what a mistake gets."""

from __future__ import annotations

import gzip
import math
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Run

from launcher.local import cloud
from launcher.local.host.address import BUCKET
from launcher.session.session import Session

NARROW = 80


def log(episodes: int = 20, seed: int = 0) -> str:
    """Episodes of two actions and four features, as text."""
    rng = random.Random(seed)
    lines = ["action,all_action_probabilities,episode_id,reward," + ",".join(f"state_feature_{i}" for i in range(4))]
    for episode in range(episodes):
        for _ in range(rng.randint(3, 9)):
            state = ",".join(f"{rng.gauss(0, 1):.6f}" for _ in range(4))
            lines.append(f'{rng.randint(0, 1)},"[0.5, 0.5]",{episode},1.0,{state}')
    return "\n".join(lines) + "\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "log.csv"
    path.write_text(log())
    return path


def test_good_data_is_accepted_with_its_size(run: Run, data: Path) -> None:
    ended = run("data", "check", str(data))
    assert ended.code == 0, ended.err
    steps = len(data.read_text().splitlines()) - 1
    assert f"20 episodes, {steps} transitions, 2 actions, 4 features, schema B" in ended.out
    record = run("data", "check", str(data), "--json").json()
    assert record["train_episodes"] + record["evaluation_episodes"] == 20
    assert run("data", "check", str(data), "-q").out == f"{data}\n"


def test_wrong_data_ends_with_2_and_its_place(run: Run, data: Path) -> None:
    data.write_text(data.read_text().replace('"[0.5, 0.5]",3,', '"[0.5, 0.6]",3,', 1))
    for part in ("check", "describe"):
        ended = run("data", part, str(data))
        assert ended.code == 2 and not ended.out
        assert "episode 3, column 'all_action_probabilities'" in ended.err and "Right is" in ended.err


def test_the_preset_decides_what_is_accepted(run: Run, data: Path) -> None:
    assert (
        run("data", "check", str(data), "--set", 'data.state_columns=["state_feature_1"]', "--json").json()["features"]
        == 1
    )
    ended = run("data", "check", str(data), "--set", 'data.state_columns=["speed"]')
    assert ended.code == 2 and "'speed' is missing" in ended.err
    ended = run("data", "check", str(data), "--set", "data.train_ratio=0.999", "--set", "data.split_by=transitions")
    assert ended.code == 2 and "cannot fill training" in ended.err and "Set data.split_by to episodes" in ended.err
    assert (
        run("data", "check", str(data), "--set", "data.train_ratio=0.999", "--json").json()["evaluation_episodes"] == 1
    )
    assert run("data", "check", str(data), "--preset", "no-such").code == 2


def test_columns_to_score_are_named_and_checked(run: Run, data: Path) -> None:
    header, *rows = data.read_text().splitlines()
    scored = [f"{header},target_action_probabilities", *(f'{row},"[0.9, 0.1]"' for row in rows)]
    data.write_text("\n".join(scored))
    ended = run("data", "check", str(data))
    assert ended.code == 0 and "target_action_probabilities" in ended.out
    data.write_text("\n".join(scored).replace("[0.9, 0.1]", "[0.9, 0.2]", 1))
    ended = run("data", "check", str(data))
    assert ended.code == 2 and "line 2" in ended.err and "does not sum to 1" in ended.err


def test_the_description_fits_a_terminal(run: Run, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(NARROW))
    monkeypatch.chdir(data.parent)
    ended = run("data", "describe", data.name, "--discount", "0.9")
    assert ended.code == 0, ended.err
    assert max(map(len, ended.out.splitlines())) <= NARROW
    for word in ("episode length", "return, discount 0.9", "MEDIAN", "SHARE", "state_feature_3", "0.6931"):
        assert word in ended.out
    record = run("data", "describe", data.name, "--discount", "0.9", "--json").json()
    assert record["discounted_returns"]["max"] == pytest.approx(
        sum(0.9**t for t in range(int(record["lengths"]["max"])))
    )
    assert sum(action["share"] for action in record["support"]) == pytest.approx(1)


def test_probabilities_that_the_actions_contradict_are_told(run: Run, data: Path) -> None:
    assert "chance" not in run("data", "describe", str(data)).err
    for wrong in ("[0.9, 0.1]", "[0.3, 0.3, 0.4]"):
        data.write_text(log(100).replace("[0.5, 0.5]", wrong))
        ended = run("data", "describe", str(data))
        assert ended.code == 0 and "Note: action" in ended.err, ended.err
    assert "action 2 was taken in 0.00% of the rows, but logged as 40.00% likely" in ended.err


def test_a_wrong_discount_is_refused(run: Run, data: Path) -> None:
    assert run("data", "describe", str(data), "--discount", "1.5").code == 2


def test_conversion_keeps_the_data(run: Run, data: Path) -> None:
    packed, parquet = data.with_name("log.csv.gz"), data.with_name("log.parquet")
    assert run("data", "convert", str(data), str(packed)).code == 0
    assert gzip.decompress(packed.read_bytes()) == data.read_bytes()
    assert run("data", "convert", str(packed), str(parquet), "--json").json()["path"] == str(parquet)
    digests = {run("data", "describe", str(path), "--json").json()["sha256"] for path in (data, packed, parquet)}
    assert len(digests) == 1
    ended = run("data", "convert", str(data), str(parquet))
    assert ended.code == 2 and "--force" in ended.err
    assert run("data", "convert", str(data), str(parquet), "--force").code == 0


def test_quantities_become_ranges(run: Run, data: Path) -> None:
    table, ranges = [line.split(",") for line in data.read_text().splitlines()], data.with_name("ranges.csv")
    options = ("--bin", "state_feature_0=4")
    ended = run("data", "convert", str(data), str(ranges), *options)
    assert ended.code == 0, ended.err
    assert "state_feature_0" in ended.out and ended.out.count("[") == 4 and "data.propensities" in ended.err
    record = run("data", "convert", str(data), str(ranges), *options, "--force", "--json").json()
    (bins,) = record["bins"]
    assert len(bins["edges"]) == 5 and bins["asked"] == 4 and sum(bins["counts"]) == record["rows"] == len(table) - 1
    assert all(name in ended.out and f'"{name}"' in ranges.read_text() for name in bins["names"])
    for wrong, said in (("x", "no column and number of bins"), ("state=2", "'state' is missing")):
        ended = run("data", "convert", str(data), str(ranges), "--bin", wrong, "--force")
        assert ended.code == 2 and said in ended.err
    ended = run("data", "convert", str(data), str(ranges), *options, "--to-schema", "A", "--force")
    assert ended.code == 2 and "two conversions" in ended.err


def test_files_of_d3rlpy_are_written_and_read(run: Run, data: Path) -> None:
    pytest.importorskip("h5py", reason="make setup installs h5py")
    buffer, back = data.with_name("buffer.h5"), data.with_name("back.csv")
    ended = run("data", "convert", str(data), str(buffer))
    assert ended.code == 0, ended.err
    assert "no place for all_action_probabilities" in ended.err and "buffer.h5" in ended.out
    ended = run("data", "check", str(buffer))
    assert ended.code == 2 and "an HDF5 file" in ended.err and "batchrl data convert FILE" in ended.err
    record = run("data", "convert", str(buffer), str(back), "--json").json()
    assert record["rows"] == len(data.read_text().splitlines()) - 1 and "propensities" in record["notes"][0]
    assert "20 episodes" in run("data", "check", str(back)).out
    ended = run("data", "convert", "minari:none/such-v0", str(back), "--force")
    assert ended.code == 2 and "inari" in ended.err
    ended = run("data", "convert", str(data), str(data.with_name("x.hdf")))
    assert ended.code == 2 and ".h5, for d3rlpy" in ended.err and "minari:NAME" in ended.err


def test_a_schema_that_cannot_be_written_is_told(run: Run, data: Path) -> None:
    ended = run("data", "convert", str(data), str(data.with_name("a.csv")), "--to-schema", "A")
    assert ended.code == 2 and "schema A holds it" in ended.err
    assert run("data", "convert", str(data), str(data.with_name("a.csv")), "--to-schema", "C").code == 2


def test_what_is_not_there_is_told(run: Run, tmp_path: Path) -> None:
    for part in (["check"], ["describe"], ["convert"]):
        target = [str(tmp_path / "x.csv")] if part == ["convert"] else []
        ended = run("data", *part, str(tmp_path / "missing.csv"), *target)
        assert ended.code == 2 and "missing.csv: no such file or folder" in ended.err


@pytest.fixture
def store(home: Path) -> Iterator[Session]:
    """A local cloud with its default bucket."""
    session = Session.local(home)
    try:
        session.provide_bucket(BUCKET)
        yield session
    finally:
        cloud.down(home, stop_jobs=True)


def test_a_prefix_in_s3_is_read_like_a_folder(run: Run, store: Session, tmp_path: Path) -> None:
    first, second = log(10, 1), log(10, 2)
    for number in range(10, 0, -1):
        second = second.replace(f'",{number - 1},1.0', f'",{number + 99},1.0')
    store.s3.put_object(Bucket=BUCKET, Key="logs/day/a.csv", Body=first.encode())
    store.s3.put_object(Bucket=BUCKET, Key="logs/day/b.csv.gz", Body=gzip.compress(second.encode()))
    url = f"s3://{BUCKET}/logs/"
    record = run("data", "check", url, "--json").json()
    assert (record["path"], record["episodes"]) == (url, 20)
    assert run("data", "describe", f"{url}day/a.csv", "--json").json()["episodes"] == 10
    assert run("data", "convert", url, str(tmp_path / "all.parquet")).code == 0
    assert run("data", "check", str(tmp_path / "all.parquet"), "--json").json()["episodes"] == 20

    store.s3.put_object(Bucket=BUCKET, Key="wrong/day/c.csv", Body=log(3, 3).replace(",1.0,", ",one,", 1).encode())
    ended = run("data", "check", f"s3://{BUCKET}/wrong")
    assert ended.code == 2 and f"s3://{BUCKET}/wrong/day/c.csv, line 2" in ended.err
    ended = run("data", "check", f"s3://{BUCKET}/nothing/")
    assert ended.code == 2 and f"s3://{BUCKET}/nothing/: nothing lies there" in ended.err


def test_what_is_odd_is_a_warning_of_both_commands(run: Run, data: Path) -> None:
    data.write_text(log() + log(seed=1).split("\n", 1)[1])
    for part in ("check", "describe"):
        ended = run("data", part, str(data))
        assert ended.code == 0 and "Warning: " in ended.err
        assert "20 of 20 ids come back after other ids" in " ".join(ended.err.split())
        record = run("data", part, str(data), "--json").json()
        assert [(doubt["kind"], doubt["rows"]) for doubt in record["doubts"]] == [("reused_ids", 20)]
        accepted = run("data", part, str(data), "--set", "data.accept=[reused_ids]")
        assert accepted.code == 0 and "come back" not in accepted.err


def test_everything_that_is_wrong_is_one_message(run: Run, data: Path) -> None:
    lines = data.read_text().splitlines()
    lines[3] = lines[3].replace(",1.0,", ",inf,")
    lines[9:9] = [lines[8]]
    data.write_text("\n".join(lines))
    ended = run("data", "check", str(data))
    assert ended.code == 2
    for words in ("line 4,", "the value is inf", "Also wrong:", "1 of", "are exact copies", "line 10, episode"):
        assert words in " ".join(ended.err.split())


def test_a_table_of_excel_is_converted(run: Run, data: Path, tmp_path: Path) -> None:
    rows = [line.split('"') for line in data.read_text().splitlines()[1:]]
    header = data.read_text().splitlines()[0].replace(",", "~")
    cells = [
        "~".join([a.replace(",", ""), vector, b.strip(",").replace(",", "~").replace(".", ",")])
        for a, vector, b in rows
    ]
    excel = tmp_path / "excel.csv"
    excel.write_bytes("\n".join([header + "~shop", *(cell + "~Zürich" for cell in cells)]).encode("cp1252"))
    options = ("--separator", "~", "--decimal", "comma", "--encoding", "cp1252")
    for more in ((), ("--to-schema", "B")):
        target = tmp_path / "log.parquet"
        ended = run("data", "convert", str(excel), str(target), *options, *more, "--force")
        assert ended.code == 0, ended.err
        ours, theirs = (run("data", "describe", str(path), "--json").json() for path in (data, target))
        assert ours["sha256"] == theirs["sha256"]
    ended = run("data", "convert", str(excel), str(tmp_path / "b.parquet"), "--encoding", "klingon")
    assert ended.code == 2 and "'data.encoding' got 'klingon'" in ended.err


def test_a_companys_log_is_described_checked_and_scored_without_a_line_of_python(run: Run, tmp_path: Path) -> None:
    rng = random.Random(3)
    lines = ["user_id,sent_at,treatment,p,age,margin"]
    for user in range(60):
        for day in range(1, 5):
            treatment = rng.choice(["none", "coupon"])
            margin = round(rng.gauss(1.0 if treatment == "coupon" else 0.0, 0.5), 2)
            lines.append(f"u{user},2026-03-{day:02d}T08:00:00Z,{treatment},0.5,{rng.randint(18, 80)},{margin}")
    raw, spec = tmp_path / "raw log.csv", tmp_path / "data.yaml"
    raw.write_text("\n".join([lines[0], *rng.sample(lines[1:], len(lines) - 1)]) + "\n")
    described = run("data", "init", str(raw))
    assert described.code == 0, described.err
    spec.write_text(described.out)
    checked = run("data", "check", str(raw), "--data-spec", str(spec))
    assert "60 episodes, 240 transitions, 2 actions, 1 feature," in checked.out
    words = (
        "--map",
        "episode=user_id,time=sent_at,action=treatment,reward=margin,propensity=p",
        "--state-columns",
        "age",
    )
    assert run("data", "check", str(raw), *words).out == checked.out
    shown = run("data", "describe", str(raw), *words)
    assert "coupon" in shown.out and "only the taken actions' probabilities" in " ".join(shown.out.split())
    scored = run("ope", str(raw), "--policy", "always:0", "--data-spec", str(spec), "--estimators", "wis", "--json")
    assert scored.code == 0, scored.err
    (policy,) = scored.json()["policies"]
    (figure,) = policy["estimates"].values()
    assert figure["value"] > 2
    planned = run("plan", "--training", str(raw), *words, "--preset", "cartpole-ddqn")
    assert planned.json()["request"]["HyperParameters"]["data.columns.episode"] == "user_id"
    wrong = run("data", "check", str(raw), "--map", "episod=user_id")
    assert wrong.code == 2 and "Did you mean episode" in wrong.err


def test_each_logger_is_told_by_itself(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(NARROW))
    rng = random.Random(5)
    chance = {"old": 0.9, "new": 0.2}
    lines = ["visit,offer,click,p,age,variant"]
    for visit in range(500):
        variant = "old" if visit < 300 else "new"
        offer = "a" if rng.random() < chance[variant] else "b"
        p = chance[variant] if offer == "a" else round(1 - chance[variant], 1)
        lines.append(f"{visit},{offer},{int(offer == 'b')},{p},{rng.randint(18, 80)},{variant}")
    path = tmp_path / "log.csv"
    path.write_text("\n".join(lines))
    words = ("--map", "episode=visit,action=offer,reward=click,propensity=p,logger=variant", "--state-columns", "age")
    for part in ("check", "describe"):
        ended = run("data", part, str(path), *words)
        assert ended.code == 0, ended.err
        for word in ("LOGGER", "MEAN PROPENSITY", "SHARE BY old", "SHARE BY new"):
            assert word in ended.out
        assert max(map(len, ended.out.splitlines()[1:])) <= NARROW
        new, old = run("data", part, str(path), *words, "--json").json()["loggers"]
        assert (new["logger"], new["episodes"], old["logger"], old["episodes"]) == ("new", 200, "old", 300)
        assert old["shares"]["a"] == pytest.approx(0.9, abs=0.06) and new["mean_return"] == new["shares"]["b"]
    # Most of what the new policy did is said to have been unlikely: of it alone.
    path.write_text(path.read_text().replace(",0.8,", ",0.1,"))
    told = run("data", "check", str(path), *words).err
    assert "Note: logger new: action b" in told and "logger old" not in told


def test_an_action_that_one_plan_never_gets_is_shown_with_its_slice(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(NARROW))
    rng = random.Random(7)
    lines = ["visit,offer,click,p,age,plan"]
    for visit in range(400):
        plan = rng.choice(["basic", "gold"])
        offer = rng.choice(["coupon", "mail"]) if plan == "basic" else "mail"
        lines.append(
            f"{visit},{offer},{rng.randint(0, 1)},{1.0 if plan == 'gold' else 0.5},{rng.randint(18, 80)},{plan}"
        )
    path = tmp_path / "log.csv"
    path.write_text("\n".join(lines))
    words = ("--map", "episode=visit,action=offer,reward=click,propensity=p", "--state-columns", "age,plan")
    ended = run("data", "describe", str(path), *words)
    assert ended.code == 0, ended.err
    assert "plan = gold" in ended.out and "plan = basic" not in ended.out and "SHARE OF ALL" in ended.out
    assert max(map(len, ended.out.splitlines()[1:])) <= NARROW
    assert "Warning: actions that are taken elsewhere are missing" in ended.err
    assert "coupon never where plan = gold." in ended.err and "data.columns.eligible" in ended.err
    everything = run("data", "describe", str(path), *words, "--slices")
    assert "plan = basic" in everything.out and "age = 18 to " in everything.out
    assert max(map(len, everything.out.splitlines()[1:])) <= NARROW
    record = run("data", "describe", str(path), *words, "--json").json()["slices"]
    gold = next(part for part in record["found"] if part["values"] == "gold")
    assert [(action["action"], action["taken"], action["thin"]) for action in gold["support"]] == [
        ("coupon", 0, "never"),
        ("mail", gold["rows"], None),
    ]
    path.write_text("\n".join([lines[0], *(line for line in lines if line.endswith("basic"))]))
    fair = run("data", "describe", str(path), *words)
    assert "Warning" not in fair.err and "SHARE OF ALL" not in fair.out


def test_the_calibration_of_an_estimated_logging_policy_is_shown_before_and_after(run: Run, tmp_path: Path) -> None:
    rng = random.Random(6)
    lines = [",".join(["action", "episode_id", "reward", *(f"state_feature_{number}" for number in range(25))])]
    for episode in range(150):
        state = [rng.gauss(0, 1) for _ in range(25)]
        action = int(rng.random() < 1 / (1 + math.exp(-state[0])))
        lines.append(",".join([str(action), str(episode), "1.0", *(f"{value:.6f}" for value in state)]))
    path = tmp_path / "log.csv"
    path.write_text("\n".join(lines) + "\n")
    shown = run("data", "describe", str(path))
    assert shown.code == 0, shown.err
    assert "BEFORE CALIBRATION" in shown.out and "ESTIMATED PROBABILITY" in shown.out
    assert "calibrated by temperature" in " ".join(shown.err.split())
    estimated = run("data", "describe", str(path), "--json").json()["estimated_behavior"]
    (fit,) = estimated["loggers"]
    assert fit["temperature"] > 1 and fit["calibrated"]["after"] < fit["calibrated"]["before"]
    assert estimated["calibration_before"] != estimated["calibration"]
    compared = run("data", "describe", str(path), "--set", "data.behavior_model=auto", "--json").json()
    (fit,) = compared["estimated_behavior"]["loggers"]
    assert fit["model"] == "logistic" and fit["network"]["standard_error"] > 0
    wrong = run("data", "describe", str(path), "--set", "data.behavior_model=forest")
    assert wrong.code == 2 and "network" in wrong.err
