"""The flags that say how a server is reached: a Unix socket, and whom TLS trusts."""

from __future__ import annotations

from tokenclock.cli.arguments import CommandParser

__all__ = ["add_transport"]


def add_transport(parser: CommandParser) -> None:
    """Add the group to a command's parser."""
    group = parser.add_argument_group("Unix socket and TLS", "Files are PEM; https:// needs OpenSSL on this machine.")
    add = group.add_argument
    add(
        "--unix-socket",
        metavar="PATH",
        help="connect there; the base URL then fills the Host header only (no kernel receive stamps on Unix sockets)",
    )
    add("--insecure", action="store_true", help="with https: take any certificate, of anybody")
    add(
        "--cacert",
        metavar="FILE",
        help="with https: the authorities to trust (default: the system's, or SSL_CERT_FILE)",
    )
    add("--cert", metavar="FILE", help="with https: a certificate of ours, for servers that ask for one")
    add("--key", metavar="FILE", help="with https: its private key (default: it is in --cert)")
