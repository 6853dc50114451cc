"""Prints a log of 300 made-up customers, of the form that README.md asks for: python examples/customers.py > log.csv

Three weeks each, mail or none by the toss of a coin. Mail sells to those above 45, silence to the others.
"""

from __future__ import annotations

import random

CUSTOMERS, WEEKS = 300, 3


def main() -> None:
    """Write the table to stdout."""
    chance = random.Random(1)
    print("episode_id,age,visits,action,all_action_probabilities,reward")
    for customer in range(CUSTOMERS):
        age = chance.randint(18, 80)
        for visits in range(WEEKS):
            mail = chance.randint(0, 1)
            bought = chance.random() < (0.6 if (age > 45) == (mail == 1) else 0.1)
            print(f'u{customer},{age},{visits},{mail},"[0.5, 0.5]",{int(bought)}')


if __name__ == "__main__":
    main()
