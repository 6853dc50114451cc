"""docs/your-own-log.md: its commands run on the log that it names, and the row that it recommends is understood."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import yaml
from pages import BLOCK, quoted, ran, script

from batchrl.data.loader import load_dataset
from batchrl.data.proposing import proposed
from presets.dataschema import DataSettings
from presets.dataspec import changed, overrides_of

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "your-own-log.md").read_text()
# What every customer of examples/customers.py returns at best: 0.4 of 30 a week, less the mail to those above 45.
BEST = (0.4 * 30 - 35 / 63) * (1 + 0.99 + 0.99**2)


def test_a_raw_table_gets_its_verdict(tmp_path: Path) -> None:
    made = [sys.executable, str(ROOT / "examples" / "customers.py"), "raw"]
    log = subprocess.run(made, capture_output=True, text=True, timeout=60, check=True).stdout
    (tmp_path / "log.csv").write_text(log)
    said = ran(script(PAGE), tmp_path, tmp_path / "home")
    header, row, logging, trained, verdict = quoted(PAGE)
    assert log.splitlines()[:2] == [header, row]
    assert logging in said.splitlines()
    # What rests on training may differ in a digit from computer to computer.
    found = re.search(r"Better than the logging policy: \+([\d.]+) \[([\d.]+), ([\d.]+)\]", said)
    assert found is not None, said
    told = re.search(r"\+([\d.]+) \[([\d.]+), ([\d.]+)\]", verdict)
    assert told is not None and all(
        abs(float(one) - float(other)) < 3 for one, other in zip(found.groups(), told.groups(), strict=True)
    )
    value = re.search(r"^  WDR +([\d.]+) +\[([\d.]+), ([\d.]+)\].*yes$", said, re.MULTILINE)
    assert value is not None and trained.startswith("WDR") and trained.endswith("yes")
    assert float(value[2]) < BEST < float(value[3]) and f"best policy returns {BEST:.0f}" in " ".join(PAGE.split())
    assert "The log cannot tell" in said[said.index("always:mail: always action mail") :]


def test_the_row_to_log_is_understood(tmp_path: Path) -> None:
    (shown,) = [json.loads(block) for language, block in BLOCK.findall(PAGE) if language == "json"]
    log = tmp_path / "log.jsonl"
    rows = []
    for number in range(240):
        day, mail = number % 3, number % 5 < 3
        rows.append(
            shown
            | {"decision_id": f"d-{number}", "customer_id": f"c{number // 3}", "step": day, "age": 20 + number % 50}
            | {"decided_at": f"2026-03-{2 + day:02}T08:00:12Z", "reward_until": f"2026-03-{9 + day:02}T08:00:12Z"}
            | {"action": "mail" if mail else "none", "propensity": 0.6 if mail else 0.4, "visits": number % 7}
            | {"reward": 29 if number % 4 == 0 else 0, "plan": "gold" if number % 2 else "basic"}
            | {"policy_version": "rules-2026-02" if number < 120 else "rules-2026-03"}
        )
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = proposed(log)
    assert "\n- reward_until" in text and "left out: decision_id" in text
    corrected = re.sub(r"^- reward_until.*\n", "", text, flags=re.MULTILINE)
    (tmp_path / "data.yaml").write_text(corrected)
    said = yaml.safe_load(corrected)
    assert said["columns"] == {
        "episode": "customer_id",
        "time": "decided_at",
        "action": "action",
        "reward": "reward",
        "propensity": "propensity",
        "eligible": "eligible_actions",
        "logger": "policy_version",
    }
    assert said["state_columns"] == ["step", "age", "plan", "visits"]
    data = load_dataset(log, changed(DataSettings(), overrides_of(tmp_path / "data.yaml", None, None))).dataset
    assert (data.n_episodes, data.action_names) == (80, ("mail", "none"))
