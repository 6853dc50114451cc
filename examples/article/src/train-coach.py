"""Trains from the log beside this script, by the preset that RLCOACH_PRESET names: where Coach's launcher stood."""

import runpy
import sys

if __name__ == "__main__":
    sys.argv += ["--training", "cartpole_dataset.csv"]
    runpy.run_module("train", run_name="__main__", alter_sys=True)
