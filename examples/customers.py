"""Prints logs of made-up customers: mail sells to those above 45, silence to the others.

python examples/customers.py > log.csv        300 customers, in the columns that README.md asks for
python examples/customers.py raw > log.csv    4,000 customers, in a shop's own columns (docs/your-own-log.md)
"""

from __future__ import annotations

import random
import sys
from datetime import datetime, timedelta

CUSTOMERS, WEEKS = 300, 3
RAW_CUSTOMERS = 4_000
FIRST = datetime(2026, 3, 2, 8)


def plain(chance: random.Random) -> None:
    """Three weeks each, mail or none by the toss of a coin."""
    print("episode_id,age,visits,action,all_action_probabilities,reward")
    for customer in range(CUSTOMERS):
        age = chance.randint(18, 80)
        for visits in range(WEEKS):
            mail = chance.randint(0, 1)
            bought = chance.random() < (0.6 if (age > 45) == (mail == 1) else 0.1)
            print(f'u{customer},{age},{visits},{mail},"[0.5, 0.5]",{int(bought)}')


def raw(chance: random.Random) -> None:
    """Three weeks each, as they happened; who has plan gold gets mail more often."""
    rows = []
    for customer in range(RAW_CUSTOMERS):
        age, plan = chance.randint(18, 80), chance.choice(["basic", "basic", "gold"])
        for week in range(WEEKS):
            visits = chance.randint(0, 9)
            p_mail = 0.6 if plan == "gold" else 0.4
            mail = chance.random() < p_mail
            at = FIRST + timedelta(weeks=week, minutes=chance.randint(0, 600))
            opened = mail and chance.random() < 0.5
            bought = chance.random() < (0.4 if (age > 45) == mail else 0.05)
            taken, p = ("mail", p_mail) if mail else ("none", round(1 - p_mail, 2))
            rows.append(
                f"{at:%Y-%m-%d %H:%M},c{customer},{age},{plan},{visits},{taken},{p},{int(opened)},{30 * bought - mail}"
            )
    print("sent_at,customer_id,age,plan,visits,treatment,p,opened,margin")
    print("\n".join(sorted(rows)))


def main() -> None:
    """Write the table to stdout."""
    (raw if sys.argv[1:] == ["raw"] else plain)(random.Random(1))


if __name__ == "__main__":
    main()
