"""The settings: from a file to checked, immutable values, or to all mistakes.

``readers`` make a value of a YAML node. ``parsing`` has all sections and keys with their
defaults, and makes settings of a whole file. ``reload`` reads the file again while the monitor
runs.
"""
