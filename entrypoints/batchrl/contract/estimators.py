"""Names of the off-policy estimators."""

from __future__ import annotations

from batchrl.contract import columns

IS = "Importance Sampling"
PDIS = "Per-Decision Importance Sampling"
WIS = columns.WIS
PDWIS = "Per-Decision Weighted Importance Sampling"
DM_VALUE = "Direct Method Value"
FQE = "Fitted Q Evaluation"
SDR = columns.SDR
WDR = "Weighted Doubly Robust"
MAGIC = "MAGIC"
STATE_MARGINAL = "State Marginal Importance Sampling"
STATE_ACTION_MARGINAL = "State-Action Marginal Importance Sampling"
WEIGHTED_STATE_MARGINAL = f"Weighted {STATE_MARGINAL}"
WEIGHTED_STATE_ACTION_MARGINAL = f"Weighted {STATE_ACTION_MARGINAL}"

# All that estimate the return of an episode.
ALL = (
    IS,
    PDIS,
    WIS,
    PDWIS,
    DM_VALUE,
    FQE,
    SDR,
    WDR,
    MAGIC,
    STATE_MARGINAL,
    WEIGHTED_STATE_MARGINAL,
    STATE_ACTION_MARGINAL,
    WEIGHTED_STATE_ACTION_MARGINAL,
)
# Of logs in which every episode is one decision, beside columns.IPS, columns.DM and columns.DR.
SNIPS = "Self-Normalised Inverse Propensity Score"
SNDR = "Self-Normalised Doubly Robust"
SWITCH_DR = "Switch Doubly Robust"
SHRUNK_DR = "Doubly Robust with Optimistic Shrinkage"
OF_DECISIONS = (columns.IPS, SNIPS, columns.DM, DM_VALUE, columns.DR, SNDR, SWITCH_DR, SHRUNK_DR)
# What those are called that they are where there is one step.
OF_ONE_STEP = {
    IS: columns.IPS,
    PDIS: columns.IPS,
    WIS: SNIPS,
    PDWIS: SNIPS,
    FQE: columns.DM,
    SDR: columns.DR,
    WDR: SNDR,
}
# The figures that are rewards of one step, and so no values of a policy over an episode.
ONE_STEP = (columns.IPS, columns.DM, columns.DR)
# Those whose estimand goes beyond the logged horizon where an episode was cut short.
BOOTSTRAPPED = (DM_VALUE, FQE, SDR, WDR, MAGIC)
