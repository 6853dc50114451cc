"""Texts of the form ``NAME=VALUE``, as options of a command line give them, and the mappings that they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from batchrl.contract.errors import InputError


def parse_pairs(option: str, pairs: Sequence[str]) -> dict[str, str]:
    """Values of a repeated ``NAME=VALUE`` option.

    Raises:
        InputError: a pair has no ``=`` or no name, or a name stands twice.
    """
    values: dict[str, str] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise InputError(f"{option} '{pair}': no name and value.", f"Write {option} NAME=VALUE.")
        if name in values:
            raise InputError(f"{option} {name}: given twice.", "Keep one of them.")
        values[name] = value
    return values


def parse_settings(pairs: Sequence[str]) -> dict[str, str]:
    """Values of ``--set``, by dotted key; the preset's schema types them.

    Raises:
        InputError: a pair has no ``=`` or no key, or a key stands twice.
    """
    settings: dict[str, str] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        key = key.strip()
        if not separator or not key:
            raise InputError(f"--set '{pair}': no key and value.", "Write --set agent.discount=0.98.")
        if key in settings:
            raise InputError(f"--set {key}: given twice ('{settings[key]}' and '{value}').", "Keep one of them.")
        settings[key] = value
    return settings


def as_pairs(values: Mapping[str, object]) -> list[str]:
    """The texts that ``parse_pairs`` makes a mapping of."""
    return [f"{name}={value}" for name, value in values.items()]
