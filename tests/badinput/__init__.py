"""Bad input, generated: what strangers, files and stores may send, at every boundary, by the thousand and by a seed.

``spoil`` makes bad bytes and values of good ones, the modules ``kinds_*`` say what is sent where, ``runner`` runs and
judges a case, ``report`` writes the table. Run it: ``make badinput``.
"""
