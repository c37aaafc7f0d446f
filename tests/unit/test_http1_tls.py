"""TLS: certificates are checked against the host asked for, SSL_CERT_FILE is heard, HTTP/1.1 is what is spoken."""

import datetime
import ipaddress
import ssl
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from proxy.errors import UpstreamUnreachable
from proxy.http_client import tls_context
from tests.unit.http1_harness import Talk, ask, door, on_both_loops, provider, whole

MIB = 1024 * 1024
FROM = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
UNTIL = datetime.datetime(2120, 1, 1, tzinfo=datetime.UTC)


class Certified(NamedTuple):
    """A certificate that vouches for itself, in a file, and a server's context with it."""

    file: Path
    server: ssl.SSLContext


def certified(folder: Path, *names: str, until: datetime.datetime = UNTIL) -> Certified:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a provider")])
    shown = [x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name) for name in names]
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 7, FROM, until)
        .add_extension(x509.SubjectAlternativeName(shown), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file, secret = folder / "certificate.pem", folder / "key.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    secret.write_bytes(key.private_bytes(*plain))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file, secret)
    server.set_alpn_protocols(["h2", "http/1.1"])
    return Certified(file, server)


async def obliging(talk: Talk) -> None:
    spoken = talk.writer.get_extra_info("ssl_object").selected_alpn_protocol()
    while True:
        await talk.send(whole(await talk.request(), b"x-spoken: " + str(spoken).encode()))


@on_both_loops
async def test_a_certificate_of_ssl_cert_file_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = certified(tmp_path, "localhost", "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(mine.file))
    async with provider(obliging, mine.server) as theirs, door(tls_context()) as made:
        for url in (theirs.url, theirs.url, theirs.url.replace("localhost", "127.0.0.1")):
            reply = await ask(made, f"{url}/v1/x")
            assert (b"x-spoken", b"http/1.1") in reply.headers
            assert (await reply.read()).startswith(b"POST /v1/x HTTP/1.1\r\nhost: ")
        assert len(theirs.talks) == 2


@on_both_loops
async def test_large_bodies_go_both_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = certified(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(mine.file))
    async with provider(obliging, mine.server) as theirs, door(tls_context()) as made:
        for size in (200_000, 3 * MIB):
            body = bytes(range(256)) * (size // 256)
            assert (await (await ask(made, theirs.url, body=body)).read()).endswith(body)
        assert len(theirs.talks) == 1


@on_both_loops
async def test_a_certificate_for_another_host_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = certified(tmp_path, "provider.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(mine.file))
    await refused(mine, tls_context())


@on_both_loops
async def test_a_certificate_for_an_address_is_good_for_it_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = certified(tmp_path, "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(mine.file))
    async with provider(obliging, mine.server) as theirs, door(tls_context()) as made:
        assert await (await ask(made, theirs.url.replace("localhost", "127.0.0.1"))).read()
    await refused(mine, tls_context())


@on_both_loops
async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    await refused(certified(tmp_path, "localhost"), tls_context())


@on_both_loops
async def test_a_certificate_that_is_over_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = certified(tmp_path, "localhost", until=FROM + datetime.timedelta(days=1))
    monkeypatch.setenv("SSL_CERT_FILE", str(mine.file))
    await refused(mine, tls_context())


@on_both_loops
async def test_a_body_without_a_length_ends_with_the_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def closes(talk: Talk) -> None:
        await talk.request()
        await talk.send(b"HTTP/1.1 200 OK\r\n\r\nto the ", b"end")

    mine = certified(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(mine.file))
    async with provider(closes, mine.server) as theirs, door(tls_context()) as made:
        for _ in range(2):
            assert await (await ask(made, theirs.url)).read() == b"to the end"


@on_both_loops
async def test_a_break_is_a_break(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaks(talk: Talk) -> None:
        await talk.request()
        await talk.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")

    mine = certified(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(mine.file))
    async with provider(breaks, mine.server) as theirs, door(tls_context()) as made:
        reply = await ask(made, theirs.url)
        with pytest.raises(UpstreamUnreachable) as raised:
            await reply.read()
        assert raised.value.code == "upstream_broke"


async def plain_only(talk: Talk) -> None:
    await talk.reader.read(1)
    await talk.send(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")


@on_both_loops
async def test_a_provider_without_tls_is_unreachable_by_it() -> None:
    async with provider(plain_only) as theirs, door() as made:
        with pytest.raises(UpstreamUnreachable) as raised:
            await ask(made, theirs.url.replace("http:", "https:"))
        assert raised.value.code == "upstream_unreachable"


async def refused(mine: Certified, context: ssl.SSLContext) -> None:
    """No request leaves, and the caller hears why."""
    async with provider(obliging, mine.server) as theirs, door(context) as made:
        with pytest.raises(UpstreamUnreachable) as raised:
            await ask(made, theirs.url)
        assert raised.value.code == "upstream_unreachable"
        assert "SSLCertVerificationError" in raised.value.message
        assert not theirs.requests
        assert not made._pools.opened
