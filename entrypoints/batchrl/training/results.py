"""What a run leaves on disk, for the syncs, the archives and the user."""

from __future__ import annotations

from batchrl.agents.target_policy import TargetPolicy
from batchrl.checkpoints.export import export_model
from batchrl.checkpoints.files import publish, publish_json
from batchrl.checkpoints.folder import CheckpointFolder, PointerDetails
from batchrl.checkpoints.policy import load_policy
from batchrl.contract import columns
from batchrl.contract.paths import RESOLVED_PRESET_NAME, TRAINING_INPUTS_NAME, TRAINING_SUMMARY_NAME, JobPaths
from batchrl.data.loader import LoadedData
from batchrl.training.final import FinalFigures, final_figures
from batchrl.training.inputs import training_inputs
from batchrl.training.selection import choose_best
from batchrl.training.state import RunState
from batchrl.training.table import Row, to_csv
from presets.schema import TrainPreset


def publish_inputs(paths: JobPaths, preset: TrainPreset, loaded: LoadedData, entry_point: str) -> None:
    """Publish settings, log and code of a run before its first epoch: beside the checkpoints, and for the outputs."""
    inputs = training_inputs(loaded, preset, paths, entry_point)
    for folder in (paths.checkpoints, paths.output_data):
        publish(folder / RESOLVED_PRESET_NAME, preset.to_json().encode())
        publish_json(folder / TRAINING_INPUTS_NAME, inputs)


def publish_epoch(paths: JobPaths, folder: CheckpointFolder, state: RunState, row: Row) -> None:
    """Publish the epoch that was just completed: checkpoint, pointers, then the csv that names it.

    In this order the csv never shows an epoch that a restart would have to repeat. The row says which epoch is called
    best with it.
    """
    state.rows.append(row)
    best = choose_best(state.rows, {*folder.epochs(), state.epoch}, state.preset)
    state.rows[-1] = {**row, columns.BEST_EPOCH: str(best.epoch)}
    folder.publish(state.epoch, state.state_dict())
    publish_progress(paths, folder, state)


def publish_progress(paths: JobPaths, folder: CheckpointFolder, state: RunState) -> PointerDetails:
    """Publish pointers and csv of a state whose checkpoint exists.

    Returns:
        The best epoch.
    """
    best = choose_best(state.rows, folder.epochs(), state.preset)
    latest = PointerDetails(state.epoch, columns.EPOCH, state.epoch, "the last complete epoch")
    folder.point(latest, best)
    table = to_csv(state.rows)
    publish(paths.intermediate / columns.INTERMEDIATE_CSV, table)
    publish(paths.checkpoints / columns.INTERMEDIATE_CSV, table)
    return best


def publish_results(
    paths: JobPaths, folder: CheckpointFolder, state: RunState, loaded: LoadedData, save_model: bool, hurry: bool
) -> tuple[PointerDetails, FinalFigures]:
    """Publish the summary and the best policy, scored once more.

    The summary holds data, split, choice, and the chosen policy's figures; without fitted values in a ``hurry``, such
    as that of a job which was told to stop.
    """
    best = publish_progress(paths, folder, state)
    chosen = load_policy(folder.file(best.epoch)).model
    metric = None if best.value is None else best.metric
    figures = final_figures(state, chosen, metric, may_fit=not hurry)
    summary = {
        **state.facts(),
        "schema": loaded.schema,
        "episodes": loaded.dataset.n_episodes,
        "transitions": loaded.dataset.n_transitions,
        "mean_return": float(loaded.dataset.returns.mean()),
        "split": {
            "train_episodes": len(state.split.train),
            "evaluation_episodes": len(state.split.evaluation),
            "test_episodes": len(state.split.test),
            "train_transitions": state.parts.train.n_transitions,
        },
        "epochs": state.epoch,
        "target_policy": str(chosen.target),
        "beside": str(TargetPolicy.beside(state.preset.ope)),
        "best": {"epoch": best.epoch, "metric": best.metric, "value": best.value, "reason": best.reason},
        "estimates": figures.to_json(),
    }
    publish(paths.output_data / columns.INTERMEDIATE_CSV, to_csv(state.rows))
    publish_json(paths.output_data / TRAINING_SUMMARY_NAME, summary)
    if save_model:
        facts = {**state.facts(), "epoch": best.epoch, "selection": best.reason}
        export_model(paths.model, chosen, facts, state.preset.to_json())
    return best, figures
