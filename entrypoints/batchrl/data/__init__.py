"""Logged episodes: reading, checking, describing, converting and splitting them.

``formats`` tells what a file is, ``tables`` reads files in batches (``csvfiles``, ``jsonlines``), ``cells``,
``vectors`` and ``probabilities`` their columns, into ``rows`` that lie in memory or in mapped files (``storage``).
``layout`` finds the steps among the rows, ``checks`` what is wrong with them, ``doubts`` what is odd, ``locations``
where that stands; ``findings`` says it and ``repairs`` mends. ``loader`` builds a ``Dataset``, ``split`` divides its
episodes. ``convert`` and ``convert_schema`` write data again, ``describe`` tells what it holds.
"""
