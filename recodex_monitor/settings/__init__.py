"""The settings: read from a file and the environment, checked, and immutable.

``schema`` has all sections and keys with their defaults. ``readers`` turn a YAML node into a value,
``endpoints`` are the addresses among those values, ``key_files`` reads one path or two. ``parsing``
makes settings of a whole file, with ``nodes`` for what YAML merges, ``environment`` adds those of
variables, and ``places`` says where each was read. ``export`` turns them back into YAML,
``reload`` reads the file again while the monitor runs.

It promises that all mistakes are reported at once, each with its line or variable, key and remedy.
It imports nothing of ours.
"""
