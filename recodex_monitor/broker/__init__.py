"""The broker's side: a ZeroMQ ROUTER socket to which the ReCodEx broker connects.

``service`` listens while the monitor runs. ``sockets`` reads a bounded number of messages a turn
and publishes them. ``draining`` reads the rest when the monitor stops. ``peers`` counts who is
connected, ``zap`` decides who may connect.

txZMQ, which imports the global reactor, is imported in ``sockets`` only.
"""
