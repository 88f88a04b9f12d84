"""Run in a network namespace of its own: connects to all listeners of a monitor with ``*``."""

import socket

from tests.integration.support import free_ports, running_monitor


def main() -> None:
    """Raise an exception if one of the listeners has no IPv4, or no IPv6."""
    ports = free_ports(3)
    uris = dict(zip(("websocket_uri", "zeromq_uri", "status_uri"), ports, strict=True))
    with running_monitor() as monitor:
        settings = {name: ["*", port] for name, port in uris.items()}
        monitor.stop()
        monitor.configure(
            **settings, status_token="0123456789abcdef", logger={"file": str(monitor.log)}
        )
        monitor.start()
        for name, port in uris.items():
            for host in ("127.0.0.1", "::1"):
                try:
                    socket.create_connection((host, port), timeout=5).close()
                except OSError as error:
                    raise SystemExit(f"{name} at {host}: {error}") from None


if __name__ == "__main__":
    main()
