"""The fault harness: real jobs, disturbed at random moments that a seed chose, and judged by what became of them.

``registry`` holds the kinds of faults, the modules ``kinds_*`` define them, ``jobs_under_test`` has the jobs that are
disturbed, ``references`` what undisturbed ones leave, ``oracles`` what must hold afterwards; ``plan`` chooses,
``runner`` runs, ``report`` writes the table of ``docs/faults.md``. Run it: ``make faults``.
"""
