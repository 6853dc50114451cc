"""What a shell offers at a Tab, and how it comes to ask."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from jobs import run_command

PLACES = {
    "bash": ".local/share/bash-completion/completions/batchrl",
    "zsh": ".local/share/zsh/site-functions/_batchrl",
    "fish": ".config/fish/completions/batchrl.fish",
}


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of its own, with a space in its path."""
    home = tmp_path / "a user"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "BASH_COMPLETION_USER_DIR"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.mark.parametrize("shell", PLACES)
def test_the_script_is_written_to_where_the_shell_looks(user: Path, tmp_path: Path, shell: str) -> None:
    for _ in range(2):
        done = run_command(tmp_path / "cloud", "completion", shell, "--install")
        assert done.returncode == 0, done.stderr
    assert str(user / PLACES[shell]) in done.stdout
    assert "_BATCHRL_COMPLETE" in (user / PLACES[shell]).read_text()


def test_the_shell_of_the_terminal_is_meant_where_none_is_named(
    user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert "function _batchrl_completion" in run_command(tmp_path / "cloud", "completion").stdout
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    refused = run_command(tmp_path / "cloud", "completion", check=False)
    assert refused.returncode == 2 and "completion is for bash, zsh, fish" in refused.stderr


def test_a_file_of_somebody_elses_stays(user: Path, tmp_path: Path) -> None:
    place = user / PLACES["bash"]
    place.parent.mkdir(parents=True)
    place.write_text("# mine\n")
    refused = run_command(tmp_path / "cloud", "completion", "bash", "--install", check=False)
    assert refused.returncode == 2 and "is not batchrl's" in refused.stderr
    assert place.read_text() == "# mine\n"


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("batchrl trai", "train"),
        ("batchrl train --preset generic-disc", "generic-discrete"),
        ("batchrl train --set agent.disc", "agent.discount="),
        ("batchrl evaluate --set evaluate_st", "evaluate_steps="),
        ("batchrl train --instance-type local_p", "local_process"),
        ("batchrl train --instance-type ml.m5.12", "ml.m5.12xlarge"),
    ],
)
def test_bash_completes(user: Path, tmp_path: Path, words: str, offered: str) -> None:
    run_command(tmp_path / "cloud", "completion", "bash", "--install")
    given = words.split()
    typed = " ".join(given)
    script = (
        f". '{user / PLACES['bash']}'; COMP_WORDS=({typed}); COMP_CWORD={len(given) - 1}; "
        '_batchrl_completion batchrl; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split() == [offered], done.stderr


def test_the_values_of_a_choice_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_BATCHRL_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "batchrl train --set data.propensities=")
    monkeypatch.setenv("COMP_CWORD", "3")
    done = run_command(tmp_path / "cloud")
    assert done.stdout.split() == [f"plain,data.propensities={choice}" for choice in ("auto", "logged", "estimated")]
