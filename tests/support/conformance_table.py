"""Writes the table of ``conformance`` into docs/store.md: ``python tests/support/conformance_table.py``."""

from __future__ import annotations

from pathlib import Path

from conformance import CHECKS, CLIENT_DIFFERENCES, CLIENTS, DIFFERENCES, SERVERS, in_words

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "store.md"
BEGIN, END = "<!-- conformance: python tests/support/conformance_table.py -->", "<!-- end of the table -->"
NAMES = {"embedded": "embedded store", "rgw": "Ceph RGW 16.2", "moto": "moto 5.2"}


def table() -> str:
    """The table, in Markdown."""
    lines = [f"| | {' | '.join(NAMES[server] for server in SERVERS)} |", "|---" * (len(SERVERS) + 1) + "|"]
    for name in CHECKS:
        lines.append(_row(in_words(name), [DIFFERENCES[server].get(name, "ok") for server in SERVERS]))
    for name, title in CLIENTS.items():
        known = [CLIENT_DIFFERENCES.get(server, dict.fromkeys(CLIENTS, "not run")) for server in SERVERS]
        cells = [differences.get(name, "ok") for differences in known]
        lines.append(_row(f"client: {title}", cells))
    return "\n".join(lines)


def _row(title: str, cells: list[str]) -> str:
    return f"| {title} | {' | '.join(cells)} |"


def main() -> None:
    """Write it."""
    text = DOCUMENT.read_text()
    lead, _, rest = text.partition(BEGIN)
    DOCUMENT.write_text(f"{lead}{BEGIN}\n\n{table()}\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
