"""Setting where meters answer, over REST: what is refused, and what never comes back."""

from typing import Any

import pytest

from mes.burnin.meter_models import MeterEndpoint
from mes.burnin.models import BurnInBay
from mes.ledger.models import IdempotencyKey
from mes.serials.models import Unit
from tests.builders import make_part, make_site, make_unit, supervisor_client
from tests.burnin.test_api import refused

pytestmark = pytest.mark.django_db
LOGIN = {"url": "http://127.0.0.1:9", "username": "factory", "password": "s3cret-s3cret"}


def put_meter(unit: Unit, **login: str) -> Any:
    address = f"/api/v1/units/{unit.uid}/meter/"
    return supervisor_client().put(address, {**LOGIN, **login}, format="json")


def put_bay_meter(bay: BurnInBay) -> Any:
    body = {**LOGIN, "coolant": "pg25", "connector": "1"}
    return supervisor_client().put(f"/api/v1/burn-in-bays/{bay.code}/meter/", body, format="json")


def make_bay(positions: int = 1) -> BurnInBay:
    return BurnInBay.objects.create(site=make_site(), code="BAY-1", power_kw=120, positions=positions)


def test_the_meter_of_a_shelf_is_set_and_its_password_never_comes_back() -> None:
    shelf = make_unit(make_part("power_shelf", level=10))
    answer = put_meter(shelf)
    assert answer.status_code == 200 and answer.json()["url"] == LOGIN["url"]
    endpoint = MeterEndpoint.objects.get(unit=shelf)
    kept = [answer.content.decode(), endpoint.password_encrypted, str(IdempotencyKey.objects.values())]
    assert not any(LOGIN["password"] in text for text in kept)


def test_only_a_power_shelf_has_a_meter_of_power() -> None:
    refused(put_meter(make_unit(make_part("compute_tray", level=10))), "not_a_power_shelf")
    assert not MeterEndpoint.objects.exists()


def test_a_meter_answers_at_an_address_without_credentials() -> None:
    shelf = make_unit(make_part("power_shelf", level=10))
    answer = put_meter(shelf, url="http://factory:s3cret@127.0.0.1:9")
    assert (answer.status_code, answer.json()["code"]) == (422, "bmc_url_invalid")
    assert not MeterEndpoint.objects.exists()


def test_the_coolant_of_a_bay_for_one_rack_is_metered() -> None:
    bay = make_bay()
    answer = put_bay_meter(bay)
    assert answer.status_code == 200, answer.json()
    assert (bay.meter.coolant, bay.meter.connector) == ("pg25", "1")


def test_the_coolant_of_a_bay_for_several_racks_says_nothing_of_one() -> None:
    refused(put_bay_meter(make_bay(positions=2)), "bay_takes_several")
