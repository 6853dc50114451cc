"""The article's notebook as a test: what its cells name. ``test_sagemaker_sdk.py`` runs them all, with SDK v2."""

from __future__ import annotations

import json
import traceback
from pathlib import Path

import pytest
from notebooks import ARTICLE, code_cells, run

# What a cell could only know of where it runs.
OURS = ("batchrl", "launcher", "localhost", "127.0.0.1", "endpoint_url", "dkr.ecr", "presets", ".pt")


def test_no_cell_and_no_helper_of_the_notebook_knows_of_us() -> None:
    cells = code_cells(ARTICLE)
    assert len(cells) == 20
    assert [word for cell in cells for word in OURS if word in cell] == []
    helpers = [*(ARTICLE.parent / "common").glob("*.py"), ARTICLE.parent / "src" / "vectored_gym_environment.py"]
    assert len(helpers) == 2
    assert [word for file in helpers for word in OURS if word in file.read_text()] == []


def test_the_cells_do_what_the_article_does() -> None:
    """Names that its readers know, in their order."""
    text, place = "\n".join(code_cells(ARTICLE)), 0
    for words in (
        *("default_bucket()", "get_execution_role()", "VectoredGymEnvironment(", "to_csv("),
        *("RLEstimator(", '"RLCOACH_PRESET": "preset-cartpole-ddqnbcq", "save_model": 1', "output/intermediate/"),
        *("wait_for_s3_object(", "Weighted Importance Sampling", ".plot(", "output.tar.gz", "/checkpoint"),
        *('"RLCOACH_PRESET": "preset-cartpole-ddqnbcq-env", "evaluate_steps": 1000', 'fit({"checkpoint": '),
        *("Model(", ".transformer(", 'join_source="Input"', "delete_model()"),
    ):
        place = text.find(words, place)
        assert place >= 0, words


def test_the_notebook_is_kept_without_what_it_printed() -> None:
    cells = json.loads(ARTICLE.read_text())["cells"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells if "outputs" in cell)


def test_a_cell_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "some"
    folder.mkdir()
    cells = [{"cell_type": kind, "source": [text]} for kind, text in (("markdown", "#"), ("code", "a = 1"))]
    file = folder / "one.ipynb"
    file.write_text(json.dumps({"cells": cells}))
    assert run(file, tmp_path / "first")["a"] == 1
    file.write_text(json.dumps({"cells": [*cells, {"cell_type": "code", "source": ["b = a\n", "1 / 0"]}]}))
    with pytest.raises(ZeroDivisionError) as caught:
        run(file, tmp_path / "second")
    assert 'File "one.ipynb, code cell 2", line 2' in "".join(traceback.format_exception(caught.value))
