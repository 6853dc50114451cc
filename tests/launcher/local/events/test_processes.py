"""Processes of a program, from the kernel's own files."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from launcher.local.events.eventfile import EventFile, read
from launcher.local.events.kinds import DiskLow, Usage
from launcher.local.events.processes import (
    available_memory,
    command_of,
    oom_kills,
    processes_of,
    total_memory,
)
from launcher.local.events.sampler import Sampler
from launcher.local.events.spacing import Spacing

TREE = """
import subprocess, sys, time
block = bytearray(60_000_000)
child = subprocess.Popen([sys.executable, "-c", "print('up', flush=True); import time; time.sleep(100)"])
time.sleep(100)
"""


def tree():
    process = subprocess.Popen([sys.executable, "-c", TREE], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"up\n"
    return process


def end(process):
    for one in processes_of(str(process.pid)):
        os.kill(one.pid, 9)
    process.wait()
    process.stdout.close()


def test_a_process_is_found_with_its_descendants_and_their_memory():
    process = tree()
    try:
        found = processes_of(str(process.pid))
        assert len(found) == 2 and {one.parent for one in found} == {os.getpid(), process.pid}
        assert sum(one.rss for one in found) > 60_000_000
        assert all(one.state in "SRD" for one in found)
        assert sum(one.cpu_seconds for one in found) >= 0
        assert command_of(process.pid).startswith(sys.executable)
    finally:
        end(process)
    assert processes_of(str(process.pid)) == []


def test_the_processes_of_a_container_are_those_of_its_group(tmp_path):
    for pid, group in ((7, "0::/docker/abc123"), (8, "0::/docker/other"), (9, "0::/docker/abc123")):
        folder = tmp_path / str(pid)
        folder.mkdir()
        (folder / "cgroup").write_text(group + "\n")
        numbers = ["1"] * 9 + ["100", "100", "0", "0"] + ["1"] * 6 + ["10"] + ["0"] * 20
        (folder / "stat").write_text(f"{pid} (a) b) S 1 {' '.join(numbers)}")
    assert [one.pid for one in sorted(processes_of("abc123", tmp_path), key=lambda one: one.pid)] == [7, 9]
    assert processes_of("", tmp_path) == []


def test_figures_of_this_computer(tmp_path):
    assert 0 < available_memory() <= total_memory()
    assert oom_kills() >= 0
    assert available_memory(tmp_path) == total_memory(tmp_path) == oom_kills(tmp_path) == 0


def test_a_look_becomes_an_event_when_it_is_new_or_memory_has_grown(tmp_path, monkeypatch):
    process = tree()
    path = tmp_path / "events.jsonl"
    monkeypatch.setattr(threading.Thread, "start", lambda self: None)
    try:
        sampler = Sampler(EventFile(path), str(process.pid), 1, tmp_path)
        sampler.wrote(10)
        sampler.look()
        sampler.look()
        (usage,) = [one.event for one in read(path) if isinstance(one.event, Usage)]
        assert (usage.instance, usage.processes, usage.output_bytes) == (1, 2, 10)
        assert sampler.highest_rss == usage.highest_rss > 60_000_000
    finally:
        end(process)
    sampler.look()  # nobody is there
    assert len(read(path)) == 1


def test_little_disk_is_told_once_each_time_that_it_halves(tmp_path, monkeypatch):
    path = tmp_path / "events.jsonl"
    monkeypatch.setattr(threading.Thread, "start", lambda self: None)
    sampler = Sampler(EventFile(path), str(os.getpid()), 1, tmp_path)
    for free in (2e9, 9e8, 8e8, 4e8, 3e8, 2e8):
        monkeypatch.setattr(
            "launcher.local.events.sampler.shutil.disk_usage", lambda _, free=free: type("D", (), {"free": int(free)})
        )
        sampler.look()
    assert [one.event.free_disk for one in read(path) if isinstance(one.event, DiskLow)] == [9e8, 4e8]


def test_distances_grow_so_that_a_long_job_has_few():
    spacing = Spacing(60)
    count = sum(spacing.due(float(now)) for now in range(0, 10 * 86_400, 5))
    assert 100 < count < 500
