"""``batchrl tune``, and what other commands know of a tuning job."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Ended, Run, shell

PRESETS = Path(__file__).parents[3] / "presets"
SCRIPT = """
import sys, time
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
time.sleep(float(given.get("--seconds", 0)))
print(f"score={-(float(given['--rate']) - 3) ** 2}")
"""


@pytest.fixture
def tune(cloud_home: Path, tmp_path: Path) -> Callable[..., Ended]:
    """Run command lines in the module's cloud, with a script ``my.py`` and a file of data."""
    (tmp_path / "my.py").write_text(SCRIPT)
    (tmp_path / "log.csv").write_text("a\n1\n")

    def run(command: str, *arguments: str) -> Ended:
        given = arguments
        if command == "tune":
            script = ("--entry-point", str(tmp_path / "my.py"), "--instance-type", "local_process")
            given = (str(tmp_path / "log.csv"), *script, *arguments)
        return shell(command, *given, environ={"BATCHRL_HOME": str(cloud_home)}, timeout_s=120)

    return run


def test_trainings_are_told_as_they_end_and_the_best_with_the_command_that_repeats_it(
    tune: Callable[..., Ended],
) -> None:
    ended = tune("tune", "--set", "rate=1,3.5,10", "--set", "kind=a", "--parallel", "2", "--job-name", "grid")
    assert ended.code == 0, ended.err
    rows = [line.split() for line in ended.out.splitlines() if line[:3].isdigit()]
    assert sorted((row[0], row[2], row[3]) for row in rows) == [
        ("001", "-4", "rate=1"),
        ("002", "-0.25", "rate=3.5"),
        ("003", "-49", "rate=10"),
    ]
    assert "Best of 3: grid-002-" in ended.out and ", -0.25\n" in ended.out
    assert "too high by chance" in ended.out
    assert "--set kind=a --set rate=3.5\n" in ended.out
    assert "grid" in tune("ps", "--kind", "tuning", "-q").out.split()
    shown = tune("show", "grid")
    assert "maximize score" in shown.out and "grid-002-" in shown.out
    assert tune("show", "grid", "--json").json()["TrainingJobStatusCounters"]["Completed"] == 3
    assert tune("wait", "grid").code == 0
    assert "is a tuning job" in tune("pull", "grid").err
    assert tune("doctor", "grid").code == 0
    assert "Deleted grid" in tune("rm", "grid").out
    assert "no" in tune("show", "grid").err


def test_a_tuning_job_may_be_left_and_stopped(tune: Callable[..., Ended]) -> None:
    left = ("--set", "rate=1,2", "--set", "seconds=60", "--no-wait", "--job-name", "long", "-q")
    assert tune("tune", *left).out == "long\n"
    assert "asked to stop" in tune("stop", "long", "--wait").out
    assert tune("wait", "long").code == 4
    assert tune("tune", *left).code == 2


def test_what_decides_and_the_results_as_json(tune: Callable[..., Ended]) -> None:
    asked = ("--set", "rate=1..9", "--jobs", "3", "--parallel", "3", "--minimize", "--random-seed", "4", "--json")
    found = tune("tune", *asked).json()
    assert found["status"] == "Completed" and len(found["jobs"]) == 3
    assert found["best"]["value"] == min(job["value"] for job in found["jobs"])
    assert all(job["settings"]["rate"] in map(str, range(1, 10)) for job in found["jobs"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("rate=1",), "there is nothing to tune"),
        (("rate=1..2",), "how many training jobs"),
        (("rate=3..2",), "holds nothing to choose from"),
    ],
)
def test_mistakes_are_told_before_anything_starts(
    run: Run, tmp_path: Path, settings: tuple[str, ...], message: str
) -> None:
    (tmp_path / "my.py").write_text(SCRIPT)
    (tmp_path / "log.csv").write_text("a\n1\n")
    given = [part for setting in settings for part in ("--set", setting)]
    ended = run("tune", str(tmp_path / "log.csv"), "--entry-point", str(tmp_path / "my.py"), *given)
    assert (ended.code, message in ended.err) == (2, True), ended.err


@pytest.fixture(scope="module")
def decisions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,000 decisions between two actions, of which the one that the state names pays 1."""
    rng = random.Random(0)
    rows = ["action,all_action_probabilities,episode_id,reward,state_feature_0,state_feature_1"]
    for episode in range(1000):
        state, action = rng.gauss(0, 1), rng.randrange(2)
        rows.append(f'{action},"[0.5, 0.5]",{episode},{int(action == (state > 0))},{state},{rng.gauss(0, 1)}')
    path = tmp_path_factory.mktemp("decisions") / "log.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="module")
def chosen(cloud_home: Path, decisions: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, list[str]]:
    """A tuning job of the product's own script, told to people, and its command line."""
    settings = ("--preset", "decisions-regression", "--set", "seed=0,1", "--set", "epochs=3")
    words = [str(decisions), *settings, "--instance-type", "local_process", "--parallel", "2", "--job-name", "pick"]
    output = tmp_path_factory.mktemp("a result") / "tune.json"
    environ = {"BATCHRL_HOME": str(cloud_home)}
    ended = shell("tune", *words, "--reward-range", "0:1", "--output", str(output), environ=environ, timeout_s=240)
    assert ended.code == 0, ended.err
    return ended, [*words, str(output)]


def test_the_best_ranked_policy_is_promoted_where_episodes_that_nobody_saw_show_its_gain(
    chosen: tuple[Ended, list[str]],
) -> None:
    ended, (*_, output) = chosen
    found = json.loads(Path(output).read_text())
    best = found["choice"]["ranking"]["policies"][0]["source"]
    assert found["promoted"] == found["choice"]["pick"] == best
    assert found["choice"]["episodes"] == {"all": 1000, "ranked_on": 800, "unseen": 200}
    look = found["choice"]["look"]
    # The right action pays 1, a random one 0.5.
    assert 0 < look["difference"]["lower"] < 0.5 < look["difference"]["upper"]
    assert found["choice"]["betting_bound"] > 0 and found["would_decide"] == []
    assert [one["settings"]["seed"] for one in found["candidates"]] == ["0", "1"]
    assert sorted(one["rank"] for one in found["candidates"])[0] == 1
    words = " ".join(ended.out.split())
    assert "Ranked by fitted values, on the 800 decisions" in words
    assert f"Promote {best}." in words and f"batchrl deploy {best}" in words
    assert "Result: s3://" in words


def test_the_same_command_again_or_attach_takes_the_trainings_and_ranks_alone(
    chosen: tuple[Ended, list[str]], cloud_home: Path
) -> None:
    _, (*words, output) = chosen
    environ = {"BATCHRL_HOME": str(cloud_home)}
    first = json.loads(Path(output).read_text())
    again = shell("tune", *words, "--reward-range", "0:1", "--json", environ=environ, timeout_s=120)
    attached = shell("tune", "--attach", "pick", "--reward-range", "0:1", "--json", environ=environ, timeout_s=120)
    assert "is there with these settings" in again.err
    for ended in (again, attached):
        assert ended.code == 0, ended.err
        found = ended.json()["tune"]
        assert found["choice"] == first["choice"]
        assert [one["name"] for one in found["candidates"]] == [one["name"] for one in first["candidates"]]
    other = shell("tune", *words, "--set", "agent.batch_size=32", environ=environ, timeout_s=120)
    assert other.code == 2 and "exists already" in other.err


def test_a_script_of_ones_own_leaves_no_policies_to_rank(tune: Callable[..., Ended], tmp_path: Path) -> None:
    ended = tune("tune", "--set", "rate=1,2", "--output", str(tmp_path / "tune.json"))
    assert ended.code == 2 and "only what train.py trains is known to be a policy" in ended.err
    assert not (tmp_path / "tune.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--attach", "nowhere"), "no tuning job named 'nowhere'"),
        (("log.csv", "--attach", "pick"), "leave out data"),
        ((), "Missing argument 'DATA'"),
        (("log.csv", "--set", "seed=0,1", "--reward-range", "1"), "--reward-range got '1'"),
        (("log.csv", "--set", "seed=0,1", "--no-wait", "--output", "a.json"), "leave out --no-choose"),
    ],
)
def test_mistakes_about_the_choice_are_told_before_anything_starts(
    cloud_home: Path, words: tuple[str, ...], message: str
) -> None:
    ended = shell("tune", *words, environ={"BATCHRL_HOME": str(cloud_home)}, timeout_s=60)
    assert (ended.code, message in ended.err) == (2, True), ended.err


def test_presets_settings_and_seeds_are_one_space_and_a_preset_file_travels(
    cloud_home: Path, decisions: Path, tmp_path: Path
) -> None:
    own = tmp_path / "my own.yaml"
    own.write_text((PRESETS / "decisions-ips.yaml").read_text())
    named = ("--preset", "decisions-regression", "--preset", str(own), "--set", "epochs=1,2", "--seeds", "2")
    words = (str(decisions), *named, "--instance-type", "local_process", "--parallel", "2")
    environ = {"BATCHRL_HOME": str(cloud_home)}

    planned = shell("tune", *words, "--job-name", "space", "--dry-run", environ=environ, timeout_s=60)
    assert planned.code == 0 and "Nothing was sent. 8 trainings" in planned.err
    config = planned.json()["request"]["HyperParameterTuningJobConfig"]
    ranges = {one["Name"]: one["Values"] for one in config["ParameterRanges"]["CategoricalParameterRanges"]}
    assert ranges == {
        "preset": ["decisions-regression", "user_presets/my own.yaml"],
        "epochs": ["1", "2"],
        "seed": ["0", "1"],
    }
    assert (config["Strategy"], config["ResourceLimits"]["MaxNumberOfTrainingJobs"]) == ("Grid", 8)

    ended = shell(
        "tune", *words, "--jobs", "3", "--strategy", "random", "--random-seed", "1", "--json", environ=environ
    )
    assert ended.code == 0, ended.err
    found = ended.json()
    assert [job["status"] for job in found["jobs"]] == ["Completed"] * 3
    assert len({job["settings"]["preset"] for job in found["jobs"]}) == 2
    assert found["tune"]["choice"]["episodes"]["unseen"] == 200
    assert len(found["tune"]["choice"]["ranking"]["policies"]) == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--preset", "decisions-ips", "--preset", "nothing"), "with the preset nothing: there is no preset 'nothing'"),
        (("--preset", "decisions-ips", "--preset", "decisions-dr", "--set", "preset=a,b"), "Name all of them by"),
        (("--preset", "decisions-ips", "--seeds", "2", "--set", "seed=4"), "--seeds and --set seed=... mean the same"),
        (("--preset", "decisions-ips", "--seeds", "101"), "the grid has 101 combinations; more than 100"),
        (("--preset", "decisions-ips", "--seeds", "751", "--jobs", "751"), "a tuning job takes 750 trainings"),
        (("--preset", "decisions-ips"), "several presets, or --seeds"),
    ],
)
def test_a_search_space_that_is_none_is_refused_in_words(
    decisions: Path, run: Run, words: tuple[str, ...], message: str
) -> None:
    ended = run("tune", str(decisions), *words, "--instance-type", "local_process")
    assert (ended.code, message in ended.err) == (2, True), ended.err
