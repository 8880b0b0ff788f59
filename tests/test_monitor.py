"""What is made of the metrics' names: the reference, the how-to, the dashboard, the alert rules."""

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.task import Clock

from bayeux import Hub
from bayeux.exposition import Exposition
from bayeux.families import COUNTED, MEASURED
from bayeux.transports.endpoint import Endpoint

ROOT = Path(__file__).parent.parent
MONITOR = ROOT / "demo" / "monitor"
DASHBOARD = json.loads((MONITOR / "grafana.json").read_text())
ALERTS = yaml.safe_load((MONITOR / "alerts.yml").read_text())
PROMETHEUS = yaml.safe_load((MONITOR / "prometheus.yml").read_text())
REFERENCE = (ROOT / "docs" / "reference" / "metrics.rst").read_text()
HOWTO = (ROOT / "docs" / "howto" / "monitor.rst").read_text()
FAMILIES = [*MEASURED.values(), *COUNTED.values()]
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
EVERYWHERE = {"job", "instance", "le"}
"""Labels that Prometheus adds, and that of histograms."""


def samples():
    """Return the names of all samples of a new server, and of those that appear when something happens."""
    hub = Hub(Clock())
    text = Exposition(hub, Endpoint(hub)).render().decode()
    found = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    return found | {family.name for family in FAMILIES if family.kind != "histogram"}


NAMES = samples()
LABELS = {name: {*family.labels, *EVERYWHERE} for family in FAMILIES for name in NAMES
          if name == family.name or (family.kind == "histogram" and name.startswith(family.name + "_"))}


def metrics(text):
    """Return the names of metrics of ours in a text."""
    return re.findall(r"\b(?:bayeux|process)_[a-z_]+", re.sub(r'"[^"]*"', '""', text))


def check(query):
    """Check that everything in a query exists: its metrics, and their labels."""
    named = metrics(query)
    assert set(named) <= NAMES
    for name, matchers in re.findall(r"(\w+)\{([^}]*)\}", query):
        if name != "up":
            assert set(re.findall(r"(\w+) *(?:=~|!~|!=|=)", matchers)) <= LABELS[name], query
    for labels in re.findall(r"by \(([^)]*)\)", query):
        known = set.union(*(LABELS[name] for name in named))
        assert {label.strip() for label in labels.split(",")} <= known, query
    return named


def check_legend(legend, query):
    """Check that what is shown of a sample is a label that is left in the query's result."""
    for label in re.findall(r"\{\{ *(?:\$labels\.)?(\w+) *\}\}", legend):
        left = re.findall(r"by \(([^)]*)\)", query)
        if left:
            assert all(label in [one.strip() for one in labels.split(",")] for labels in left), query
        else:
            assert all(label in LABELS[name] for name in metrics(query)), query


# -- the dashboard --------------------------------------------------------------------------------


@pytest.mark.parametrize("query", sorted(set(QUERIES)))
def test_the_dashboard_shows_what_there_is(query):
    assert check(query)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_can_be_used_with_any_data_source(panel):
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["datasource"] == panel["datasource"]
        assert 'job=~"$job",instance=~"$instance"' in target["expr"]
        check_legend(target["legendFormat"], target["expr"])
        if target["expr"].startswith("rate(") or " rate(" in target["expr"]:
            assert "[$__rate_interval]" in target["expr"]


def test_the_dashboard_asks_for_the_data_source_and_the_servers():
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert list(variables) == ["datasource", "job", "instance"]
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    for name in ("job", "instance"):
        assert metrics(variables[name]["query"]["query"]) == ["bayeux_build_info"]
    assert "id" not in DASHBOARD  # which would replace another one when it is imported


def test_its_panels_do_not_cover_each_other():
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken
        taken |= cells
    identities = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(identities)) == len(identities)


def test_the_dashboard_shows_everything_but_what_is_shown_otherwise():
    """Whoever adds a counter decides whether it is to be seen."""
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for query in QUERIES for name in metrics(query)}
    hidden = {family.name for family in FAMILIES} - shown
    assert hidden == {
        "bayeux_api_errors_total", "bayeux_channels", "bayeux_connects_held_total",
        "bayeux_connects_superseded_total",
        "bayeux_subscriptions_expired_total", "bayeux_reloads_failed_total",
        "bayeux_connections_unannounced_total", "bayeux_gc_put_off_total", "bayeux_gc_collections_total",
        "bayeux_authorize_questions_total", "bayeux_authorize_cached_total", "process_start_time_seconds",
    }


# -- alert rules ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_is_about_what_there_is(rule):
    named = check(rule["expr"])
    assert named or rule["expr"] == 'up{job="bayeux"} == 0'
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in ("page", "ticket")
    for text in (rule["annotations"]["summary"], rule["annotations"]["description"]):
        if named:
            check_legend(text, rule["expr"])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_the_how_to_says_what_to_do_about_it(rule):
    assert f"``{rule['alert']}``" in HOWTO


def test_a_counter_that_an_alert_waits_for_is_there_from_the_start():
    """Prometheus sees no increase when a counter appears with 1."""
    hub = Hub(Clock())
    text = Exposition(hub, Endpoint(hub)).render().decode()
    there = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    assert {name for rule in RULES for name in metrics(rule["expr"])} <= there
    for rule in RULES:
        for label, values in re.findall(r'(\w+)=~"([^"]+)"', rule["expr"]):
            for value in values.split("|"):
                assert f'{{{label}="{value}"}} 0' in text


def test_prometheus_is_told_of_the_rules_and_of_the_api():
    assert PROMETHEUS["rule_files"] == ["alerts.yml"]
    [job] = PROMETHEUS["scrape_configs"]
    assert job["metrics_path"] == "/metrics"
    jobs = {name for rule in RULES for name in re.findall(r'job="(\w+)"', rule["expr"])}
    assert jobs == {job["job_name"]}


# -- the documentation ----------------------------------------------------------------------------


def rows():
    """Return the rows of the reference: name, kind, labels, what it is."""
    found = []
    for table in REFERENCE.split(".. list-table::")[1:]:
        for row in table.split("\n   * - ")[2:]:
            cells = re.split(r"\n     - ?", row.split("\n\n")[0])
            found.append(tuple(" ".join(cell.split()) for cell in cells))
    return found


def test_the_reference_lists_what_there_is():
    assert rows() == [
        (f"``{family.name}``", family.kind, ", ".join(f"``{label}``" for label in family.labels), family.help)
        for family in FAMILIES]


@pytest.mark.parametrize("text", [HOWTO, REFERENCE, (MONITOR / "README.rst").read_text()],
                         ids=["howto", "reference", "readme"])
def test_a_metric_that_is_written_about_is_there(text):
    families = {family.name for family in FAMILIES}
    assert set(metrics(text)) - NAMES - families == set()


def test_the_bounds_in_the_reference_are_those_of_the_histograms():
    metrics = Hub(Clock()).metrics
    for field in ("latency", "lag", "pauses"):
        bounds = ", ".join(f"{1000 * bound:g}" for bound in getattr(metrics, field).bounds)
        assert bounds in " ".join(REFERENCE.split())
