"""What every test stands on: an environment without real credentials, no network beyond loopback, and honest skips.

``BATCHRL_REQUIRE=engine,rgw`` turns a missing engine, image or RGW from a skip into a failure (CI sets it).
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before any test module imports torch, numpy or boto3: they read these once.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MPLBACKEND"] = "Agg"
os.environ["SDL_VIDEODRIVER"] = "dummy"
os.environ["SDL_AUDIODRIVER"] = "dummy"

# tests/ is no package (importlib mode), so that what tests share is found by its folder.
sys.path.insert(0, str(Path(__file__).parent / "support"))

import loopback
import services

# Whole families, so that no list of names has to be kept in step with botocore or the container contract.
CLEARED_PREFIXES = ("AWS_", "SM_", "SAGEMAKER_", "BATCHRL_", "RLCOACH_")
KEPT = (
    *(services.REQUIRE_VARIABLE, services.RGW_VARIABLE, services.CLIENTS_VARIABLE, services.WHEELS_VARIABLE),
    *services.SDK_VARIABLES.values(),
)


def pytest_configure(config: pytest.Config) -> None:
    """Take the caller's cloud out of the environment, and refuse a requirement that names nothing."""
    unknown = services.required() - set(services.SERVICES)
    if unknown:
        known = ", ".join(sorted(services.SERVICES))
        raise pytest.UsageError(f"{services.REQUIRE_VARIABLE} names {', '.join(sorted(unknown))}; it knows {known}")
    for name in list(os.environ):
        if name.startswith(CLEARED_PREFIXES) and name not in KEPT:
            del os.environ[name]
    # Workers of pytest-xdist have one, by which the command would think that it writes to a narrow terminal.
    os.environ.pop("COLUMNS", None)
    os.environ.update(
        AWS_EC2_METADATA_DISABLED="true",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_DEFAULT_REGION="us-east-1",
        # A test that names no data folder must not find the caller's.
        BATCHRL_HOME=tempfile.mkdtemp(prefix="batchrl-test-"),
    )
    loopback.install()
    # A run in the background of a shell ignores Ctrl-C, and so would the commands whose Ctrl-C is tested.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the data folder that stood in for the caller's."""
    home = Path(os.environ.get("BATCHRL_HOME", ""))
    if home.name.startswith("batchrl-test-"):
        shutil.rmtree(home, ignore_errors=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose service is missing, with the reason; fail it where the service is required."""
    for name in services.SERVICES:
        if item.get_closest_marker(name) is None:
            continue
        lack = services.lack_of(name)
        if lack is None:
            continue
        if name in services.required():
            pytest.fail(f"{services.REQUIRE_VARIABLE} requires {name}: {lack}", pytrace=False)
        pytest.skip(f"{name}: {lack}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which kinds of tests did not run, and what would make them run."""
    skipped = terminalreporter.stats.get("skipped", [])
    for name, service in services.SERVICES.items():
        reasons = [str(report.longrepr[2]) for report in skipped if isinstance(report.longrepr, tuple)]
        count = sum(f"Skipped: {name}: " in reason for reason in reasons)
        if count:
            terminalreporter.section(f"not run: {count} tests that need {service.what}", sep="-")
            terminalreporter.write_line(f"why: {services.lack_of(name)}")
            terminalreporter.write_line(f"how to have it: {service.how}")


@pytest.fixture
def rgw() -> Iterator[services.Store]:
    """The Ceph RGW that listens for the tests, its buckets emptied by nobody: use names of your own."""
    yield services.rgw_store()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 4 MiB of its own."""
    folder = tmp_path / "small-disk"
    folder.mkdir()
    with services.mounted(str(folder)) as lack:
        assert lack is None, lack
        yield folder
