"""Every snippet of README and documents runs, in the order of its page, and says what the page shows.

A page runs in a folder of its own, with CartPole logs as ``make demo`` leaves them, against one local cloud, with jobs
as processes and short trainings. What cannot run is marked in the page, and listed here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from snippets import COMMANDS, DATA, NEAR, NOT_RUN, OUTPUT, PYTHON, Snippet, checked, differs, snippets

ROOT = Path(__file__).resolve().parents[2]
# Their commands run whole in tests of their own, for which they are also too long here.
ELSEWHERE = {
    "docs/your-own-log.md": "tests/e2e/test_own_log.py",
    "examples/article/README.md": "tests/e2e/test_article.py",
    "examples/icu-sepsis/README.md": "tests/e2e/test_data_examples.py",
    "examples/open-bandit/README.md": "tests/e2e/test_data_examples.py",
    "examples/mail-campaign/README.md": "tests/e2e/test_examples.py",
}
PAGES = [
    str(page.relative_to(ROOT))
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
    if str(page.relative_to(ROOT)) not in ELSEWHERE
]
# Of the block's first line; each has its reason beside it, in the page.
NOT_RUN_HERE = {
    "README.md": ["make setup"],
    "CONTRIBUTING.md": ["make setup"],
    "docs/agents.md": ["V:"],
    "docs/cartpole-logs.md": ["python bench/logs.py"],
    "docs/choosing.md": ["batchrl compare", "batchrl tune"],
    "docs/closed-loop.md": ["batchrl iterate"],
    "docs/command.md": ["batchrl collect", "batchrl tune"],
    "docs/console.md": ["batchrl console"],
    "docs/estimates.md": ["batchrl ope logs/"],
    "docs/install.md": ["python3 -m venv", "pip install torch==2.13.0"],
    "docs/local-cloud.md": ["(eval", "s3://<bucket>/<job>/output/model.tar.gz"],
    "docs/narrow-logging.md": ["batchrl collect"],
    "docs/reports.md": ["batchrl report"],
    "docs/sagemaker.md": ["batchrl plan"],
}
QUICK = """kind: train
epochs: 2
agent: {algorithm: ddqn-bcq, updates_per_epoch: 50, embedder: [8], middleware: [8]}
reward_model: {epochs: 1}
ope: {bootstrap_resamples: 50}
"""
SHORT = " --set epochs=2 --set agent.updates_per_epoch=50 --set reward_model.epochs=1 --set ope.bootstrap_resamples=50"
AS_PROCESS = " --instance-type local_process"
SECONDS = 280


def page_of(name: str) -> list[Snippet]:
    return list(snippets((ROOT / name).read_text()))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Of the commands: one local cloud for all pages."""
    home = tmp_path_factory.mktemp("snippets") / "home"
    environ = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "BATCHRL_HOME": str(home),
        "OMP_NUM_THREADS": "1",
    }
    yield environ
    subprocess.run(["batchrl", "cloud", "down", "--stop-jobs"], env=environ, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def prepared(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with logged episodes and a short preset, where a first job was trained."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "quick.yaml").write_text(QUICK)
    commands = (
        "batchrl collect --env CartPole-v0 --num-envs 100 --episodes 5 --output cartpole.csv\n"
        "mkdir batchrl-demo && cp cartpole.csv batchrl-demo\n"
        "batchrl train --training cartpole.csv --preset quick.yaml --instance-type local_process --job-name poles-job\n"
    )
    said(["bash", "-e", "-c", commands], folder, environment)
    return folder


def said(command: list[str], folder: Path, environ: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout, done.stdout
    return done.stdout


def short(commands: str) -> str:
    """The same commands with short trainings, as processes."""
    commands = re.sub(r"^(batchrl train [^#\n]*?)(\s*)(#.*)?$", rf"\1{SHORT}\2\3", commands, flags=re.MULTILINE)
    needs = re.compile(r"^(batchrl (?:train|evaluate) (?![^#\n]*--instance-type)[^#\n]*?)(\s*)(#.*)?$", re.MULTILINE)
    return needs.sub(rf"\1{AS_PROCESS}\2\3", commands)


def run(snippet: Snippet, folder: Path, environ: dict[str, str]) -> str:
    """What a snippet says."""
    if snippet.language == PYTHON:
        program = snippet.before + "\n" + checked(snippet.text)
        program = program.replace('instance_type="local"', 'instance_type="local_process"')
        program = re.sub(r'(entry_point="train.py", )preset="[\w-]+"', r'\1preset="quick.yaml"', program)
        (folder / "snippet.py").write_text(program)
        return said([sys.executable, "snippet.py"], folder, environ)
    return said(["bash", "-e", "-c", f"{snippet.before}\n{short(snippet.text)}"], folder, environ)


def runs(snippet: Snippet) -> bool:
    return snippet.language not in DATA and NOT_RUN not in snippet.marks


@pytest.mark.parametrize("name", [name for name in PAGES if any(map(runs, page_of(name)))])
def test_the_snippets_of_a_page_say_what_it_shows(
    name: str, prepared: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "page"
    shutil.copytree(prepared, folder)
    (folder / "examples").symlink_to(ROOT / "examples")
    output = ""
    for snippet in page_of(name):
        where = f"{name}, line {snippet.line}"
        if not runs(snippet):
            continue
        if snippet.language == OUTPUT:
            if snippet.before:
                output = said(["bash", "-e", "-c", snippet.before], folder, environment)
            missing = differs(snippet.text, output, NEAR in snippet.marks)
            assert missing is None, f"{where}: nothing says\n{missing}\nIt says\n{output}"
            continue
        try:
            output += run(snippet, folder, environment)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            raise AssertionError(f"{where}: {error}") from error


def test_what_is_not_run_is_listed() -> None:
    marked: dict[str, list[Snippet]] = {}
    for name in PAGES:
        for snippet in page_of(name):
            if NOT_RUN in snippet.marks:
                marked.setdefault(name, []).append(snippet)
    firsts = {name: [snippet.text.splitlines()[0] for snippet in found] for name, found in marked.items()}
    assert firsts.keys() == NOT_RUN_HERE.keys()
    for name, begins in NOT_RUN_HERE.items():
        assert len(begins) == len(firsts[name]), (name, firsts[name])
        assert all(line.startswith(begin) for line, begin in zip(firsts[name], begins, strict=True)), firsts[name]
    assert all((ROOT / page).exists() and (ROOT / test).exists() for page, test in ELSEWHERE.items())


def test_a_page_that_shows_what_is_not_so_is_found() -> None:
    page = "<!-- near: a made up reason -->\n```text\nvalue 19.5 [17.3, 21.8]\n```\n\n```\necho 1\n```\n"
    shown, commands = snippets(page)
    assert (shown.language, shown.marks, commands.text) == (OUTPUT, {NEAR: "a made up reason"}, "echo 1\n")
    assert differs("a  1\nb 2", "x\na 1\ny\n  b 2", near=False) is None
    assert differs("b 2\na 1", "a 1\nb 2", near=False) == "a 1"
    assert differs("a 1.0", "a 1.1", near=False) == "a 1.0"
    assert differs("a 19.5 x", "a 20.1 x", near=True) is None
    assert differs("a 19.5 x", "a 25.1 x", near=True) == "a 19.5 x"
    assert differs("a 19.5 x", "a 19.5 y", near=True) == "a 19.5 x"
    assert differs("job j-20261130-193429-502c2f", "job j-20251130-193429-502c2a", near=False) is None
    with pytest.raises(ValueError, match="line 1"):
        list(snippets("```brainfuck\n+\n```\n"))
    with pytest.raises(ValueError, match="says why"):
        list(snippets("<!-- not run: no -->\n```\nx\n```\n"))


@pytest.mark.parametrize(
    ("program", "right"),
    [
        ("1 + 1  # 2", True),
        ("1 + 1  # 3", False),
        ("x = 7.2149\nx  # 7.21; the plain return", True),
        ("x = 7.2149\nx  # 7.22", False),
        ("[0][:1]  # [0], one action a state", True),
        ("[0]  # [1]", False),
        ("print('a')  # words of no value", True),
    ],
)
def test_values_in_comments_are_compared(program: str, right: bool) -> None:
    done = subprocess.run([sys.executable, "-c", checked(program)], capture_output=True, text=True, timeout=60)
    assert (done.returncode == 0) == right, done.stderr


def test_trainings_are_short_and_processes() -> None:
    assert short("batchrl train --training x   # 3.\n") == f"batchrl train --training x{SHORT}{AS_PROCESS}   # 3.\n"
    assert AS_PROCESS not in short("batchrl evaluate --instance-type ml.m5.large\n").replace("x", "")
    assert COMMANDS[0] == "" and short("batchrl ps\n") == "batchrl ps\n"
