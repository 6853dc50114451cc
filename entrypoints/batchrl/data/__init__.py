"""Logged episodes: reading, checking and splitting them.

``tables`` reads files into frames, ``probabilities`` their text column, ``loader`` checks the rows and builds a
``Dataset``, ``split`` divides its episodes.
"""
