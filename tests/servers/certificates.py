"""Certificates of every kind a test needs, made when it runs: no key is kept anywhere."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

__all__ = ["Authority", "Pair"]

_HERE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Pair:
    """Files of a certificate and of its key."""

    certificate: Path
    key: Path


class Authority:
    """An authority with its files below `folder`; `certificate` is its own, to be trusted."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._write(name, self._sign(self._name, self._key, self._key, (), authority=True))

    def issue(self, name: str, *, hosts: tuple[str, ...] = _HERE, first_day: int = -1, last_day: int = 2) -> Pair:
        """A certificate for `hosts` (names and addresses), good from `first_day` to `last_day`, counted from today."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._sign(subject, key, self._key, hosts, first_day=first_day, last_day=last_day)
        return Pair(self._write(name, made), self._write_key(name, key))

    def self_signed(self, name: str) -> Pair:
        """A certificate that nobody but itself vouches for."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._sign(subject, key, key, _HERE, issuer=subject)
        return Pair(self._write(name, made), self._write_key(name, key))

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey,
        hosts: tuple[str, ...], *, issuer: x509.Name | None = None, authority: bool = False, first_day: int = -1,
        last_day: int = 2,
    ) -> x509.Certificate:  # fmt: skip
        today = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer or self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(today + datetime.timedelta(days=first_day))
            .not_valid_after(today + datetime.timedelta(days=last_day))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        )
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([_name_of(host) for host in hosts]), False)
        return builder.sign(signer, hashes.SHA256())

    def _write(self, name: str, certificate: x509.Certificate) -> Path:
        path = self._folder / f"{name}.pem"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def _write_key(self, name: str, key: ec.EllipticCurvePrivateKey) -> Path:
        path = self._folder / f"{name}.key"
        path.write_bytes(_pem(key, serialization.NoEncryption()))
        (self._folder / f"{name}-locked.key").write_bytes(_pem(key, serialization.BestAvailableEncryption(b"secret")))
        return path


def _pem(key: ec.EllipticCurvePrivateKey, lock: serialization.KeySerializationEncryption) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)


def _name_of(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
