"""The broker's side: a ZeroMQ ROUTER socket to which the ReCodEx broker connects.

``sockets`` binds it and reads a bounded number of messages a turn. ``draining`` finds the
connections behind it, for a stop that loses nothing. ``peers`` counts who is connected, ``zap``
decides who may connect.

txZMQ, which imports the global reactor, is imported in ``sockets`` only.
"""
