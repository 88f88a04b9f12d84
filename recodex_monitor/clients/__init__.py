"""The clients' side: one public port for WebSocket, event streams, long polls and pages.

``detection`` finds out which of these a connection speaks. ``connections`` knows all of them,
``admission`` decides which clients are admitted.

WebSocket: ``fast_path`` answers the handshakes of ordinary browsers, ``websocket_base`` leaves
all others to Autobahn, ``websocket`` is the connection that follows a channel. ``close_codes`` has
the codes with which such connections end.

Plain HTTP: ``site`` answers a request with a file of ``static`` or a channel, which ``streams``
sends as events, as a list, or when there is something new.

For both, ``delivery`` sends what lies between a client's position and its channel's end, and
``encoding`` adds ids to messages.
"""
