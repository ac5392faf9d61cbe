"""The part of a serving plan that says how the server is reached: TCP or a Unix socket, and whom TLS trusts."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tokenclock.plan_checks import require

__all__ = ["TransportPlan"]

_LONGEST_PATH_BYTES = 107  # of a Unix socket, by the kernel's word


@dataclass(frozen=True)
class TransportPlan:
    """Files are PEM. Certificates need an https:// base URL."""

    unix_socket: str | None = None  # path to connect to, in place of the base URL's host and port
    insecure: bool = False  # take any certificate, of anybody
    cacert: str | None = None  # authorities to trust; None: the system's, or SSL_CERT_FILE
    cert: str | None = None  # a certificate of ours, for servers that ask for one
    key: str | None = None  # its private key; None: it is in `cert`

    def __post_init__(self) -> None:
        for flag, path in {"--unix-socket": self.unix_socket, **self.files}.items():
            require(path is None or bool(path), flag, "the path of a file", path)
        if self.unix_socket is not None:
            path = os.path.abspath(self.unix_socket)
            size = len(os.fsencode(path))
            require(path.isprintable(), "--unix-socket", "a path of printable characters", path)
            require(
                size <= _LONGEST_PATH_BYTES,
                "--unix-socket",
                f"a path of at most {_LONGEST_PATH_BYTES} bytes",
                f"one of {size}",
                "the system allows no more: use a shorter folder",
            )
        require(self.key is None or self.cert is not None, "--key", "given together with --cert", self.key)
        require(
            not self.insecure or self.cacert is None,
            "--cacert",
            "left out with --insecure",
            self.cacert,
            "which checks nothing",
        )

    @property
    def files(self) -> dict[str, str | None]:
        """The certificate files by the flag that names them."""
        return {"--cacert": self.cacert, "--cert": self.cert, "--key": self.key}

    def check_against(self, base_url: str) -> None:
        """Raise UsageError for certificates meant for a server that is not spoken to by TLS."""
        for flag, path in self.files.items():
            require(
                path is None or base_url.startswith("https:"),
                "--base-url",
                f"https://... with {flag}",
                base_url,
                f"or leave {flag} out",
            )
