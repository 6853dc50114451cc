"""The closed loop: collect with the incumbent policy, train, gate, evaluate, and again (``batchrl iterate``).

``settings`` says what a loop is, ``state`` where it lies, ``rounds`` tells its story; ``steps`` is what a round needs
done by others, ``work`` does it with processes and jobs, ``collectors`` answers for a policy that is deployed;
``report`` and ``picture`` show what came of it.
"""
