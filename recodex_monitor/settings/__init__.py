"""The settings: from a file and the environment to checked, immutable values, or to all mistakes.

``schema`` has all sections and keys with their defaults. ``readers`` make a value of a YAML node,
``endpoints`` are the addresses among those values, ``key_files`` reads one path or two. ``parsing``
makes settings of a whole file, with ``nodes`` for what YAML merges, ``environment`` adds those of
variables, and ``places`` tells where each was read. ``export`` turns them back into YAML,
``reload`` reads the file again while the monitor runs.

It promises that each mistake is reported with place, key and remedy, and all of them at once.
It imports nothing of ours.
"""
