"""The broker's side: a ZeroMQ ROUTER socket to which the ReCodEx broker connects.

``sockets`` binds it and reads a bounded number of messages a turn. ``draining`` reads the
rest when the monitor stops. ``peers`` counts who is connected, ``zap`` decides who may connect.

txZMQ, which imports the global reactor, is imported in ``sockets`` only.
"""
