"""The settings: from a file to checked, immutable values, or to all mistakes.

``schema`` has all sections and keys with their defaults. ``readers`` make a value of a YAML node,
``endpoints`` are the addresses among those values. ``parsing`` makes settings of a whole file,
``export`` turns them back into YAML, ``reload`` reads the file again while the monitor runs.
"""
