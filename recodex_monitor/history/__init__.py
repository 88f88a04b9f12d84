"""The history file: channels that outlive the process.

``journal`` saves what the hub publishes, before any client sees it. ``records`` says what a record
is, ``database`` opens, locks and checks the SQLite file, ``timestamps`` measures ages across
restarts. ``syncing`` brings records to the disk, ``compaction`` removes those of forgotten
channels, ``backup`` copies the file while a monitor runs.

It promises that what a client has seen survives the end of the process. It may know ``channels``
and ``timing``.
"""
