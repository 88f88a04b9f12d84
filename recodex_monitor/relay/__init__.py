"""Several nodes over one engine, a Valkey or Redis server: any of them may die.

The owner, the one node with the lease, faces the broker. What the broker says goes to the owner's
``publisher``, which keeps it until the engine has acknowledged it. Only then does any client see
it: on the owner itself, and on the other nodes, the edges, whose ``follower`` reads from the engine
the channels that somebody follows there. Both hand the messages to the hub by the ``mirror``.

``connection`` speaks the engine's protocol, ``dialing`` finds the server to use and logs in, and
``engine`` keeps two connections to it by an ``endpoint``.
``layout`` names the keys and reads what is in them, ``push.lua`` appends to streams.
``lease`` decides who owns, ``ownership`` carries a change out:
``loading`` reads all channels, ``late`` takes what an earlier owner could no longer push, and
``tops`` says which of that the engine has already. ``evicting`` removes channels to make room for
others. ``takeover`` and ``yielding`` are the steps of a change, ``tasks`` does one after another,
``asking`` tells an engine that is down from a link that is cut. ``subscriptions``, ``queue`` and
``reading`` bring followed channels up to date, ``certainty`` looks for messages that clients got
from other nodes. ``primaries`` leaves a server that another has superseded. ``relay`` puts these
together, ``nodes`` exchanges the nodes' states, ``readiness`` informs balancers and ``report``
administrators. ``making`` makes it all from the settings, ``probing`` checks an engine without it.

It promises that every follower on every node gets each message of a channel once, in order and
under the same id. It may know ``channels``, ``network``, ``settings`` and ``timing``.
"""
