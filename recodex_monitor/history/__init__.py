"""The history file: channels that outlive the process.

``journal`` saves what the hub publishes, before any client sees it. ``database`` says what a
record is, and opens, locks and checks the SQLite file. ``syncing`` brings records to the disk,
``compaction`` removes those of forgotten channels.
"""
