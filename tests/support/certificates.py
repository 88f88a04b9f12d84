"""Certificates of an authority that only the tests trust."""

import ssl
from pathlib import Path

import trustme


class Authority:
    """Issues certificates by way of an intermediate, as real authorities do.

    Attributes:
        root: the file with the root's certificate.
        settings: ``websocket_tls`` for the certificate issued last.
        issued: the certificate issued last, in PEM.
    """

    def __init__(self, folder: Path) -> None:
        self._root = trustme.CA()
        self._intermediate = self._root.create_child_ca()
        self._folder = folder
        self.root = folder / "root.pem"
        self._root.cert_pem.write_to_path(self.root)
        names = {"certificate": "cert.pem", "key": "key.pem"}
        self.settings = {key: str(folder / name) for key, name in names.items()}
        self.issue()

    def issue(self) -> None:
        """Put a new certificate with its chain, and its key, in the place of what is there."""
        leaf = self._intermediate.issue_cert("localhost", "127.0.0.1")
        self.issued = leaf.cert_chain_pems[0].bytes().decode()
        chain = b"".join(part.bytes() for part in leaf.cert_chain_pems)
        self.replace("key.pem", leaf.private_key_pem.bytes())
        self.replace("cert.pem", chain)

    def replace(self, name: str, content: bytes) -> None:
        """Put a file in the place of another at once."""
        fresh = self._folder / f"{name}.new"
        fresh.write_bytes(content)
        fresh.rename(self._folder / name)

    def split(self) -> dict[str, str]:
        """``websocket_tls`` for the certificate with its chain in another file."""
        content = Path(self.settings["certificate"]).read_text()
        mark = "-----BEGIN"
        _, first, *others = content.split(mark)
        self.replace("leaf.pem", (mark + first).encode())
        self.replace("chain.pem", (mark + mark.join(others)).encode())
        files = {"certificate": "leaf.pem", "chain": "chain.pem"}
        return {**self.settings, **{key: str(self._folder / name) for key, name in files.items()}}

    def client(self) -> ssl.SSLContext:
        """What a client needs that trusts the root only."""
        return ssl.create_default_context(cafile=str(self.root))
