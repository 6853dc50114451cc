"""Plays episodes with the policy of the channel ``checkpoint``: where Coach's launcher stood."""

import runpy

if __name__ == "__main__":
    runpy.run_module("evaluate", run_name="__main__", alter_sys=True)
