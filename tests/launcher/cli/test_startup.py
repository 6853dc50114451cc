"""What a command imports: start-up time is kept by what is left out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    *("boto3", "botocore", "docker", "gymnasium", "matplotlib", "moto", "numpy", "pandas", "pyarrow", "pydantic"),
    *("rich", "torch", "typer", "yaml"),
}
AWS = {"boto3", "botocore"}


def heavy_modules(*arguments: str) -> set[str]:
    """The heavy modules that a command line imports."""
    program = (
        "import sys\n"
        "from launcher.cli import main\n"
        "code = main(sys.argv[1:])\n"
        "assert code == 0, code\n"
        f"print(*({HEAVY!r} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [("--help",), ("train", "--help"), ("metrics", "--help"), ("cloud", "--help")])
def test_a_help_page_imports_nothing_heavy(arguments: tuple[str, ...], home: Path) -> None:
    assert not heavy_modules(*arguments)


def test_ps_imports_boto3_alone(home: Path) -> None:
    try:
        assert heavy_modules("ps") == AWS
    finally:
        heavy_modules("cloud", "down")


def test_the_cloud_goes_down_without_service_models(home: Path) -> None:
    assert heavy_modules("cloud", "down") <= AWS
