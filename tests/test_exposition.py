"""Metrics as Prometheus reads them."""

import os
import time

import pytest
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.task import Clock

from bayeux import Hub, Link
from bayeux._version import __version__
from bayeux.exposition import CONTENT_TYPE, Exposition
from bayeux.families import COUNTED, MEASURED
from bayeux.histograms import Histogram
from bayeux.session import Stream
from bayeux.transports.endpoint import Endpoint
from tests.fakenet import HANDSHAKE, HTTP, Net, WebSocketClient, connect, in_bayeux_site, post, subscribe


class World:
    def __init__(self):
        self.clock = Clock()
        self.hub = Hub(self.clock)
        self.metrics = self.hub.metrics
        self.exposition = Exposition(self.hub, Endpoint(self.hub))

    def samples(self):
        return read(self.exposition)


def read(exposition):
    """Return what Prometheus reads: values by name and labels, as they stand in the text."""
    found = {}
    for family in text_string_to_metric_families(exposition.render().decode()):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            key = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert key not in found
            found[key] = sample.value
    return found


def fill(metrics):
    """Count something everywhere, differently."""
    for number, field in enumerate(COUNTED, start=1):
        value = getattr(metrics, field)
        if isinstance(value, Histogram):
            value.observe(0.003, number)
            value.observe(1_000.0)
        elif isinstance(value, dict):
            value["one"] = number
            value[402] = 1_000_000 + number
        else:
            setattr(metrics, field, value + number + 0.5 * isinstance(value, float))


@pytest.fixture
def world():
    return World()


def test_everything_that_is_counted_is_told(world):
    fill(world.metrics)
    samples = world.samples()
    for number, (field, family) in enumerate(COUNTED.items(), start=1):
        value = getattr(world.metrics, field)
        if isinstance(value, Histogram):
            assert samples[f"{family.name}_count"] == number + 1
        elif isinstance(value, dict):
            (label,) = family.labels
            assert samples[f'{family.name}{{{label}="one"}}'] == number
            assert samples[f'{family.name}{{{label}="402"}}'] == 1_000_000 + number
        else:
            assert samples[family.name] == value >= number


def test_everything_that_is_measured_is_told(world):
    names = {key.partition("{")[0] for key in world.samples()}
    assert set(MEASURED) <= names


def test_it_reads_as_prometheus_own_text(world, monkeypatch):
    """What is written by hand says the same as what ``prometheus_client`` makes of the Collector."""
    monkeypatch.setattr("bayeux.process.time.process_time", lambda: 7.5)
    fill(world.metrics)
    registry = CollectorRegistry(auto_describe=True)
    registry.register(world.exposition)
    monkeypatch.setattr("bayeux.process._memory", lambda: 1 << 30)
    monkeypatch.setattr("bayeux.process._open_files", lambda: 12)
    theirs = list(text_string_to_metric_families(generate_latest(registry).decode()))
    ours = list(text_string_to_metric_families(world.exposition.render().decode()))
    assert ours == theirs
    assert [family.type for family in ours] == [
        family.kind for family in (*MEASURED.values(), *COUNTED.values())]


def test_it_joins_a_registry_that_tells_of_the_process_already(world):
    registry = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=registry)
    registry.register(Exposition(world.hub, Endpoint(world.hub), of_process=False))
    text = generate_latest(registry).decode()
    assert text.count("# TYPE process_open_fds gauge") == 1
    assert text.count("# TYPE bayeux_sessions gauge") == 1


def test_without_the_process_all_else_is_there(world):
    own = Exposition(world.hub, Endpoint(world.hub), of_process=False)
    missing = set(world.samples()) - set(read(own))
    assert missing == {name for name in MEASURED if name.startswith("process_")}


def test_the_text_ends_its_lines(world):
    text = world.exposition.render()
    assert text.endswith(b"\n")
    assert b"\n\n" not in text
    assert text.startswith(b"# HELP bayeux_build_info Which versions")


def test_its_type_is_one_that_every_prometheus_knows():
    assert CONTENT_TYPE == CONTENT_TYPE_PLAIN_0_0_4


def test_a_label_may_have_any_value(world):
    """An application's errors may have codes of its own."""
    world.metrics.limited['a"b\\c\nd'] = 1
    [family] = [family for family in text_string_to_metric_families(world.exposition.render().decode())
                if family.name == "bayeux_limited"]
    assert {"setting": 'a"b\\c\nd'} in [sample.labels for sample in family.samples]


def test_counters_that_can_be_foreseen_are_there_from_the_start(world):
    """Or else Prometheus would see no increase when they come to 1."""
    samples = world.samples()
    assert samples['bayeux_sessions_removed_total{reason="overflow"}'] == 0
    assert samples['bayeux_authentication_failures_total{kind="token_expired"}'] == 0
    assert samples['bayeux_gc_collections_total{generation="2"}'] == 0
    assert samples['bayeux_sessions{transport="websocket"}'] == 0
    assert samples["bayeux_deliveries_dropped_total"] == 0


def test_a_histogram_is_cumulative(world):
    for seconds in (0.0004, 0.003, 0.003, 60.0):
        world.metrics.latency.observe(seconds)
    samples = world.samples()
    name = "bayeux_publish_to_write_seconds"
    assert samples[f'{name}_bucket{{le="0.0005"}}'] == 1
    assert samples[f'{name}_bucket{{le="0.0025"}}'] == 1
    assert samples[f'{name}_bucket{{le="0.005"}}'] == 3
    assert samples[f'{name}_bucket{{le="2.5"}}'] == 3
    assert samples[f'{name}_bucket{{le="+Inf"}}'] == 4
    assert samples[f"{name}_count"] == 4
    assert samples[f"{name}_sum"] == pytest.approx(60.0064)


def test_versions_and_uptime(world):
    world.clock.advance(42)
    samples = world.samples()
    assert samples["bayeux_uptime_seconds"] == 42
    [info] = [key for key in samples if key.startswith("bayeux_build_info")]
    assert f'version="{__version__}"' in info
    assert samples[info] == 1


def test_the_state_of_a_server():
    net = Net(in_bayeux_site)
    exposition = Exposition(net.hub, net.bayeux.resource.endpoint)
    socket = WebSocketClient(net)
    (reply,) = socket.ask(HANDSHAKE)
    socket.ask(connect(reply["clientId"]), subscribe(reply["clientId"], "/news"))
    socket.send(connect(reply["clientId"]))
    http = HTTP(net)
    client = http.ask(post(HANDSHAKE)).messages[0]["clientId"]
    http.ask(post(connect(client), subscribe(client, "/news"), subscribe(client, "/more")))
    net.publish("x" * 1_000)
    samples = read(exposition)
    queued = net.session(client).queue.size
    assert {key: value for key, value in samples.items() if key.partition("{")[0] in MEASURED and value
            and not key.startswith(("process", "bayeux_build"))} == {
        'bayeux_sessions{transport="websocket"}': 1, 'bayeux_sessions{transport="long-polling"}': 1,
        "bayeux_held_connects": 1, "bayeux_channels": 2, "bayeux_connections": 2,
        'bayeux_streams{transport="websocket"}': 1, "bayeux_sessions_behind": 1, "bayeux_queued_events": 1,
        "bayeux_queued_bytes": queued, "bayeux_largest_queue_bytes": queued,
    }
    assert samples["bayeux_publish_to_write_seconds_count"] == 1
    assert samples["bayeux_deliveries_total"] == 2


def test_the_process(world):
    samples = world.samples()
    assert samples["process_open_fds"] < samples["process_max_fds"]
    assert samples["process_resident_memory_bytes"] > 10e6
    assert samples["process_cpu_seconds_total"] > 0
    assert 0 <= time.time() - samples["process_start_time_seconds"] < 86_400


def test_what_the_system_does_not_tell_is_left_out(world, monkeypatch):
    monkeypatch.setattr("bayeux.process._memory", lambda: None)
    monkeypatch.setattr("bayeux.process._open_files", lambda: None)
    text = world.exposition.render()
    assert b"process_resident_memory_bytes" not in text
    assert b"process_open_fds" not in text
    assert b"process_max_fds" in text


# -- what it costs --------------------------------------------------------------------------------


class Parked:
    def release(self, why):
        pass


def crowd(count, behind):
    """Return a server with so many sessions, most with a connect held, some of them with events that wait."""
    world = World()
    sessions, link = world.hub.sessions, Link("long-polling", "192.0.2.7")
    for number in range(count):
        session = sessions.open(link)
        sessions.subscribe(session, ["/all", f"/one/{number % 100}"])
        session.become(session.state.CONNECTED)
        if number % 2:
            sessions.bind(session, Stream("websocket"))
        elif number >= 2 * behind:
            sessions.hold(session, link, Parked(), 30.0)
    for session in list(sessions._by_id.values())[:2 * behind:2]:
        session.deliver("/news", "x" * 100)
    fill(world.metrics)
    return world


def cost(exposition):
    """Return the seconds of CPU that a scrape takes, as far as nothing else comes in between."""
    best = 1.0
    for _ in range(30):
        start = time.process_time()
        exposition.render()
        best = min(best, time.process_time() - start)
    return best


def test_a_scrape_of_15_000_clients_costs_as_much_as_one_of_few():
    """Which is a fraction of a millisecond, unless something watches, as tests are (docs/howto/monitor)."""
    few, many = crowd(150, 100), crowd(15_000, 100)
    samples = many.samples()
    assert samples['bayeux_sessions{transport="long-polling"}'] == 7_500
    assert samples['bayeux_sessions{transport="websocket"}'] == 7_500
    assert samples["bayeux_held_connects"] == 7_400
    assert samples["bayeux_sessions_behind"] == samples["bayeux_queued_events"] == 100
    assert cost(many.exposition) < 2 * cost(few.exposition)


def test_files_are_not_listed_to_be_counted(monkeypatch):
    """With 15,000 open ones that takes 50 milliseconds."""
    def listdir(path):
        raise AssertionError(path)

    if os.stat("/proc/self/fd").st_size:  # the kernel says how many
        monkeypatch.setattr(os, "listdir", listdir)
    assert World().samples()["process_open_fds"] > 0
