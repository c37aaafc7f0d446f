"""What is written onto an answer: plain numbers, safe header values, one well-formed member."""

import json
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import estimators
from config.settings import Settings
from config.tables import Tables, load_tables
from estimators.estimate import Estimate
from estimators.usage import Usage
from proxy.policy.candidates import Candidate, candidates_from
from proxy.tag import call_header, deployment_headers, figures_of, footprint_headers, footprint_member, plain

PLAIN = re.compile(r"[0-9]+(\.[0-9]+)?")
CALL_ID = "0190c1d2-0000-7000-8000-000000000000"
SAFE = re.compile(rb"[\x20-\x7e]{0,128}")


@pytest.fixture(scope="module")
def tables() -> Tables:
    return load_tables()


@pytest.fixture(scope="module")
def estimate(tables: Tables) -> Estimate:
    match = tables.catalogue.resolve("gpt-4o-mini")
    prepared = estimators.prepare(match.card, tables.places.resolve("openai"), tables.factors)
    return prepared.estimate(Usage(input_tokens=1000, output_tokens=200))


@pytest.fixture(scope="module")
def candidate(tables: Tables) -> Candidate:
    made = candidates_from(Settings(), tables.places).default
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (1, "1"),
        (0.5, "0.5"),
        (1234, "1234"),
        (12346, "12350"),
        (123456789, "123500000"),
        (0.00001234567, "0.00001235"),
        (1e-9, "0.000000001"),
        (9.9999e-5, "0.0001"),
        (99999, "100000"),
        (0.1 + 0.2, "0.3"),
        (1e15, "1000000000000000"),
        (2.5e-300, None),
    ],
)
def test_numbers_are_plain_decimals_of_four_digits(number: float, text: str | None) -> None:
    assert text is None or plain(number) == text
    assert float(plain(number)) == pytest.approx(number, rel=5e-4)


@given(st.floats(min_value=1e-12, max_value=1e12))
def test_any_figure_is_near_itself_and_never_in_exponent_form(number: float) -> None:
    text = plain(number)
    assert PLAIN.fullmatch(text)
    assert float(text) == pytest.approx(number, rel=5.1e-4)
    assert len(Decimal(text).normalize().as_tuple().digits) <= 4
    assert not (text.endswith("0") and "." in text)


def test_the_member_is_one_member_of_json_with_these_names(estimate: Estimate) -> None:
    (name, found), *rest = json.loads(b"{" + footprint_member(estimate, figures_of(estimate), CALL_ID) + b"}").items()
    assert (name, rest) == ("footprint", [])
    assert list(found) == [
        "gco2e",
        "gco2e_low",
        "gco2e_high",
        "energy_wh",
        "operational_gco2e",
        "embodied_gco2e",
        "water_ml",
        "quality",
        "method",
        "zone",
        "call_id",
    ]
    assert found["gco2e"] == pytest.approx(found["operational_gco2e"] + found["embodied_gco2e"], rel=2e-3)
    assert found["gco2e_low"] < found["gco2e"] < found["gco2e_high"]
    assert found["call_id"] == CALL_ID


def test_the_compatible_shape_holds_the_same_figures_in_kilograms(estimate: Estimate) -> None:
    found = json.loads(b"{" + footprint_member(estimate, figures_of(estimate), CALL_ID, ("opengatellm",)) + b"}")
    assert set(found) == {"footprint", "impacts"}
    assert found["impacts"]["kgCO2eq"] * 1000 == pytest.approx(found["footprint"]["gco2e"], rel=1e-3)
    assert found["impacts"]["kWh"] * 1000 == pytest.approx(found["footprint"]["energy_wh"], rel=1e-3)


@pytest.mark.parametrize("basis", [b"final", b"forecast"])
def test_headers_and_body_show_the_same_figures(estimate: Estimate, basis: bytes) -> None:
    headers = dict(footprint_headers(estimate, figures_of(estimate), basis))
    found = json.loads(b"{" + footprint_member(estimate, figures_of(estimate), CALL_ID) + b"}")["footprint"]
    assert set(headers) == {
        b"x-grammage-gco2e",
        b"x-grammage-gco2e-low",
        b"x-grammage-gco2e-high",
        b"x-grammage-energy-wh",
        b"x-grammage-basis",
        b"x-grammage-quality",
        b"x-grammage-method",
    }
    shown = [float(headers[b"x-grammage-" + name]) for name in (b"gco2e", b"gco2e-low", b"gco2e-high", b"energy-wh")]
    assert shown == [found[name] for name in ("gco2e", "gco2e_low", "gco2e_high", "energy_wh")]
    assert headers[b"x-grammage-basis"] == basis
    assert re.fullmatch(rb"[a-z]+@\d+\.\d+\.\d+", headers[b"x-grammage-method"])
    assert headers[b"x-grammage-quality"] in (b"A", b"B", b"C", b"D", b"E")


@pytest.mark.parametrize(
    "model", ["gpt-4o", "a\r\nx-evil: 1", "caf\u00e9\U0001f411", "\x00\x1b[31m\x7f", "x" * 5000, "\ud83d", "\x85\u2028"]
)
def test_no_name_can_break_out_of_its_header(candidate: Candidate, model: str) -> None:
    for name, value in deployment_headers(candidate, model, True, "none", "max_tokens,concise"):
        assert re.fullmatch(rb"[a-z-]+", name)
        assert SAFE.fullmatch(value)


def test_what_the_provider_does_not_say_is_marked_as_assumed(candidate: Candidate, tables: Tables) -> None:
    headers = dict(deployment_headers(candidate, "gpt-4o", True, "none", ""))
    assert headers[b"x-grammage-model"] == b"assumed:gpt-4o"
    assert headers[b"x-grammage-zone"].startswith(b"assumed:")
    assert headers[b"x-grammage-policy"] == b"none"
    assert b"x-grammage-altered" not in headers
    settings = Settings.model_validate(
        {"models": {"a": {"deployments": [{"provider": "azure", "region": "swedencentral", "api_base": "https://x.example/v1"}]}}}
    )
    (known,) = candidates_from(settings, tables.places).of("a")
    headers = dict(deployment_headers(known, "gpt-4o", False, "none", ""))
    assert headers[b"x-grammage-model"] == b"gpt-4o"
    assert headers[b"x-grammage-region"] == b"swedencentral"
    assert headers[b"x-grammage-zone"] == b"SE-SE3"


def test_the_call_header_is_the_id() -> None:
    assert call_header(CALL_ID) == (b"x-grammage-call-id", CALL_ID.encode())
