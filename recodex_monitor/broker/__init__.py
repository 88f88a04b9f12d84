"""The broker's side: a ZeroMQ ROUTER socket to which the ReCodEx broker connects.

``service`` listens while the monitor runs. ``sockets`` reads a bounded number of messages a turn
and publishes them. ``draining`` reads the rest when the monitor stops. ``events`` passes ZeroMQ's
events to ``peers``, which counts the connected brokers. ``liveness`` notices those that vanish.
``zap`` decides which peers may connect.

It promises that a malformed message is dropped and counted, and that a stop loses nothing that the
broker has sent. txZMQ, which imports the global reactor, is imported in ``sockets`` only. It may
know ``channels``, ``network``, ``settings`` and ``timing``.
"""
