"""certificates.py: what new TLS connections are shown can be read again, as a server listens."""

import shutil

import pytest
import pytest_twisted
from OpenSSL.SSL import Connection, WantReadError
from twisted.internet import reactor
from twisted.internet.endpoints import SSL4ClientEndpoint, connectProtocol, serverFromString
from twisted.internet.ssl import Certificate as Shown
from twisted.internet.ssl import CertificateOptions, PrivateCertificate, optionsForClientTLS
from twisted.logger import globalLogPublisher

from bayeux import Settings
from bayeux.certificates import (
    BadCertificate,
    Certificate,
    Folder,
    anchored,
    check,
    reason,
    renewable,
    source_of,
)
from bayeux.server import BayeuxServer
from bayeux.settings import SettingsError
from tests.certificate import write_certificate
from tests.test_resource import HANDSHAKE, Wire, post


@pytest.fixture
def pairs(tmp_path):
    """Return two folders, each with a certificate and its key."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        write_certificate(folder)
    return folders


@pytest.fixture
def live(tmp_path, pairs):
    """Return a folder that has the files of the first pair now."""
    folder = tmp_path / "live"
    shutil.copytree(pairs[0], folder)
    return folder


def by_files(folder):
    return f"ssl:0:interface=127.0.0.1:privateKey={folder}/key.pem:certKey={folder}/cert.pem"


def by_folder(folder):
    return f"tls:{folder}:0:interface=127.0.0.1"


@pytest.fixture(params=[by_files, by_folder], ids=["ssl", "tls"])
def text(request, live):
    return request.param(live)


def fingerprint(folder):
    return Shown.loadPEM((folder / "cert.pem").read_bytes()).digest("sha256")


class Listening:
    """A server by TLS, and clients of it."""

    def __init__(self, text, **settings):
        self.server = BayeuxServer(Settings(**{"listen": (text,), **settings}))
        self.server.startService()
        self.port = (self.server._api_ports or self.server._ports)[0].getHost().port
        self.wires = []

    async def open(self):
        """Return a new connection, and what it has been shown."""
        wire = await connectProtocol(
            SSL4ClientEndpoint(reactor, "127.0.0.1", self.port, Options()), Wire())
        self.wires.append(wire)
        assert (await self.ask(wire)).status == 200
        return wire, Shown(wire.transport.getPeerCertificate()).digest("sha256")

    async def ask(self, wire):
        return await wire.ask(post(HANDSHAKE, host=f"127.0.0.1:{self.port}"))

    async def close(self):
        for wire in self.wires:
            wire.transport.loseConnection()
            await wire.end()
        await self.server.stopService()


def Options():
    return CertificateOptions(verify=False)


@pytest_twisted.async_yield_fixture
async def listening(text):
    listening = Listening(text)
    yield listening
    await listening.close()


def put(folder, live):
    for name in ("cert.pem", "key.pem"):
        shutil.copy(folder / name, live / name)


@pytest_twisted.ensureDeferred
async def test_new_connections_are_shown_the_new_certificate_and_old_ones_live_on(listening, pairs, live):
    one, two = map(fingerprint, pairs)
    first, shown = await listening.open()
    assert shown == one
    put(pairs[1], live)
    assert (await listening.open())[1] == one  # nobody has said that it should be read
    assert listening.server.reload() is True
    assert (await listening.open())[1] == two
    assert (await listening.ask(first)).message["successful"] is True
    assert listening.server.hub.metrics.failed_reloads == 0


@pytest_twisted.ensureDeferred
async def test_that_of_the_api_is_read_again_too(tmp_path, pairs, live):
    key = tmp_path / "api.key"
    key.write_text("k" * 43)
    key.chmod(0o600)
    listening = Listening("tcp:0:interface=127.0.0.1", api_listen=by_files(live), api_key_file=str(key))
    try:
        for pair in (pairs[0], pairs[1]):
            put(pair, live)
            assert listening.server.reload() is True
            wire = await connectProtocol(
                SSL4ClientEndpoint(reactor, "127.0.0.1", listening.port, Options()), Wire())
            listening.wires.append(wire)
            assert (await wire.ask(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")).status == 200
            assert Shown(wire.transport.getPeerCertificate()).digest("sha256") == fingerprint(pair)
    finally:
        await listening.close()


@pytest_twisted.ensureDeferred
async def test_a_certificate_that_cannot_be_used_changes_nothing(listening, pairs, live):
    """All or nothing: no other setting either."""
    (live / "cert.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n")
    assert listening.server.reload(Settings(channel=({"pattern": "/a", "publish": "nobody"},))) is False
    assert (await listening.open())[1] == fingerprint(pairs[0])
    assert listening.server.hub.publish("/a", 1) == 0
    assert listening.server.hub.metrics.failed_reloads == 1
    put(pairs[1], live)
    assert listening.server.reload() is True
    assert (await listening.open())[1] == fingerprint(pairs[1])


@pytest_twisted.ensureDeferred
async def test_a_key_of_another_certificate_changes_nothing(pairs, live):
    listening = Listening(by_files(live))
    shutil.copy(pairs[1] / "key.pem", live / "key.pem")
    assert listening.server.reload() is False
    assert (await listening.open())[1] == fingerprint(pairs[0])
    await listening.close()


@pytest_twisted.ensureDeferred
async def test_a_certificate_is_chosen_by_the_name_that_a_client_asks_for(pairs, live):
    """By a tls: endpoint, after a reload too."""
    listening = Listening(by_folder(live))
    put(pairs[1], live)
    assert listening.server.reload() is True
    trusted = Shown.loadPEM((pairs[1] / "cert.pem").read_bytes())
    wire = await connectProtocol(
        SSL4ClientEndpoint(reactor, "127.0.0.1", listening.port,
                           optionsForClientTLS("localhost", trustRoot=trusted)), Wire())
    listening.wires.append(wire)
    assert (await listening.ask(wire)).message["successful"] is True
    await listening.close()


@pytest.mark.parametrize("text", [
    "ssl:0:interface=127.0.0.1:privateKey=live/key.pem:certKey=live/cert.pem",
    "tls:live:0:interface=127.0.0.1",
])
def test_relative_files_are_where_the_server_was_made(text, live, pairs, monkeypatch):
    """twistd goes to its --rundir before it starts, and a reload is after that."""
    monkeypatch.chdir(live.parent)
    server = BayeuxServer(Settings(listen=(text,)))
    monkeypatch.chdir(pairs[0])
    assert server.reload() is True


@pytest.mark.parametrize(("text", "meant"), [
    ("tcp:8080", "tcp:8080"),
    ("tcp:8080:interface=\\:\\:1", "tcp:8080:interface=\\:\\:1"),
    ("ssl:443", "ssl:443:privateKey=/etc/server.pem"),
    ("ssl:443:privateKey=/k.pem", "ssl:443:privateKey=/k.pem"),
    ("ssl:443:certKey=c.pem:privateKey=k.pem:backlog=9",
     "ssl:443:certKey=/etc/c.pem:privateKey=/etc/k.pem:backlog=9"),
    ("ssl:443:extraCertChain=chain.pem:privateKey=/k.pem:dhParameters=dh.pem",
     "ssl:443:extraCertChain=/etc/chain.pem:privateKey=/k.pem:dhParameters=/etc/dh.pem"),
    ("ssl:443:k.pem:c.pem::127.0.0.1:9:chain.pem:dh.pem",
     "ssl:443:/etc/k.pem:/etc/c.pem::127.0.0.1:9:/etc/chain.pem:/etc/dh.pem"),
    ("tls:certs:443", "tls:/etc/certs:443"),
    ("tls:port=443:path=certs", "tls:port=443:path=/etc/certs"),
    ("tls:a\\:b\\\\c\\=d:443", "tls:/etc/a\\:b\\\\c\\=d:443"),
    ("tls:port=443:path=a\\:b=c", "tls:port=443:path=/etc/a\\:b=c"),
])
def test_the_files_of_an_endpoint_are_those_in_a_folder(text, meant):
    """Wherever and however they stand in it."""
    assert anchored(text, "/etc") == meant


# -- the names of a folder -------------------------------------------------------------------------


def show(source, name):
    """Return the host of the certificate that a client is shown who asks for a name."""
    server, client = source.serverConnectionForTLS(None), Connection(Options().getContext())
    server.set_accept_state()
    client.set_connect_state()
    if name is not None:
        client.set_tlsext_host_name(name)
    for one, other in ((client, server), (server, client)):
        with pytest.raises(WantReadError):
            one.do_handshake()
        other.bio_write(one.bio_read(100_000))
    client.do_handshake()
    [host] = client.get_peer_certificate(as_cryptography=True).subject
    return host.value


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(("name", "host"), [
    (b"www.example.org", "www.Example.org"), (b"WWW.example.ORG", "www.Example.org"),
    (b"www.example.com", "*.example.com"), (b"Other.Example.com", "*.example.com"),
])
def test_a_name_has_its_certificate(tmp_path, name, host, order):
    """In letters of any case, whichever is the first; a wildcard is for what is directly below."""
    options = {}
    for each in ("www.Example.org", "*.example.com")[::order]:
        pems = [file.read_bytes() for file in write_certificate(tmp_path, each)]
        options[each] = PrivateCertificate.loadPEM(b"".join(pems)).options()
    assert show(Folder(options), name) == host


@pytest.mark.parametrize("name", [
    None, b"a.b.example.com", b"example.com", b"www.example.net", b"localhost", b".", b"\xff.example.net"])
def test_whatever_has_no_certificate_is_shown_the_first_and_nothing_is_logged(tmp_path, name, monkeypatch):
    """Nor are the files read: any peer could have that done without an end."""
    for prefix, host in (("a", "www.example.org"), ("b", "*.example.com")):
        write_certificate(tmp_path, host, prefix)
    certificate = renewable(serverFromString(reactor, by_folder(tmp_path)))
    first = show(certificate, None)
    seen = []
    monkeypatch.setattr("twisted.protocols._sni.PEMObjects", seen.append)
    globalLogPublisher.addObserver(seen.append)
    host = show(certificate, name)
    globalLogPublisher.removeObserver(seen.append)
    assert host == first
    assert seen == []


def test_a_folder_with_a_certificate_that_cannot_be_used_is_none():
    class Broken:
        def getContext(self):
            raise ValueError("broken")

    with pytest.raises(BadCertificate, match=r"^broken$"):
        Folder({"localhost": Broken()})


# -- what is wrong --------------------------------------------------------------------------------


@pytest.mark.parametrize(("spoil", "complaint"), [
    (lambda folder: (folder / "key.pem").unlink(), "key.pem: No such file or directory"),
    (lambda folder: (folder / "key.pem").write_text("nothing"), "OpenSSL cannot read it"),
])
def test_a_certificate_that_cannot_be_read_is_a_wrong_setting(live, spoil, complaint):
    spoil(live)
    with pytest.raises(SettingsError, match=complaint):
        BayeuxServer(Settings(listen=(by_files(live),)))


def test_a_folder_without_a_certificate_is_a_wrong_setting(tmp_path):
    with pytest.raises(SettingsError, match=r"the certificate of 'tls:.*' cannot be used \(there is no "):
        BayeuxServer(Settings(listen=(by_folder(tmp_path),)))


def test_endpoints_without_tls_have_none(tmp_path):
    for text in ("tcp:0", "tcp6:0", f"unix:{tmp_path}/socket"):
        endpoint = serverFromString(reactor, text)
        assert renewable(endpoint) is None
        assert source_of(endpoint) is None


def test_what_was_read_before_stays_where_the_new_is_of_no_use(text):
    class Broken:
        def getContext(self):
            raise ValueError("broken")

    certificate = renewable(serverFromString(reactor, text))
    source = certificate._source
    with pytest.raises(BadCertificate, match=r"^broken$"):
        certificate.use(Broken())
    assert certificate._source is source
    with pytest.raises(BadCertificate):
        Certificate(Broken())
    check(source)


def test_an_error_without_words_is_told_by_its_name():
    assert reason(KeyError()) == "KeyError"
    assert reason(OSError(13, "Permission denied", "/k.pem")) == "/k.pem: Permission denied"
    assert reason(OSError(13, "Permission denied")) == "[Errno 13] Permission denied"
