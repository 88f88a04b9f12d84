"""The clients' side: one public port for WebSocket, event streams, long polls and pages.

``detection`` makes the connections, and finds out by the first bytes what each of them speaks.
``connections`` knows all of them, ``admission`` decides which clients are admitted, and ``access``
which channels they may follow.

WebSocket: ``fast_path`` parses the handshakes and frames of ordinary browsers, ``handshake`` all
other handshakes; ``websocket_base`` leaves all other frames to Autobahn. ``websocket`` is the
connection, ``websocket_client`` what all clients at its other end share: ``subscriber`` follows
one channel, ``jobs_subscriber`` many. ``jobs_requests`` understands what the latter ask for;
``following`` has what they follow, each channel by a ``channel_delivery``. ``keepalive`` sends
pings and heartbeats, and ends connections whose time is up; ``close_codes`` has the codes with
which they end, and ``failing`` what pages get in their place that do not know of them.

Plain HTTP: ``http_connection`` reads a request, ``site`` answers it with a file or a channel, or
finds that it is a handshake. ``origins`` tells browsers what pages of other origins may read, and
``refusals`` are the answers that say what is wrong. ``streams`` sends a channel's messages as
events, ``jobs_stream`` those of many, ``snapshots`` as one JSON object; ``stream_factory`` makes
them and wakes them when their time is up.

``watch_page`` renders the page of a job. The scripts in ``static`` are links to those of the
client's package, the folder ``client`` of the project; the pages around them are here.

``first_bytes`` and ``request_line`` recognise what the port does not speak, and ``proxy_protocol``
reads the header by which load balancers tell their clients' addresses. ``forwarded`` reads what
other proxies tell of them, ``origins`` which pages may connect; ``paths`` knows what is where.

For both, ``delivery`` sends what lies between a client's position and its channel's end,
``encoding`` adds ids to messages, and ``announcements`` are the monitor's own messages.

A slow client delays nobody else, and each connection is bounded in bytes and in time. The package
may know ``channels``, ``network``, ``settings`` and ``timing``.
"""
