"""``recodex-monitor doctor``: says what is wrong with an installation, and what to do about it.

``command`` runs the checks and prints their ``findings``. ``installation``, ``units``, ``ports``
and ``machine`` look at this machine; ``state`` asks the status page, also of the other nodes of a
cluster. ``trial`` plays a job of its own into the broker's port, with ``broker_side``, and follows
it by ``following``: straight from the monitor, and through the public address (``ways``), which
``probing`` has looked at before. ``verdicts`` judges what came. ``context`` is what all of them
know.

A running system is changed in nothing: see ``channels.trials`` for what the monitor does with
such a job. May know the settings, the other commands, the checks, and the texts of the status.
"""
