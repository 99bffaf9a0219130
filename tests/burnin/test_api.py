"""Burn-in over REST: who sees what, what is refused, and that no password ever comes back."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from mes.burnin.bmc import find_address
from mes.burnin.models import BmcEndpoint, BurnInProfile, BurnInRun
from mes.burnin.redfish import BmcAddress
from mes.errors import RuleViolation
from mes.ledger.models import Event, IdempotencyKey
from mes.people.models import User
from mes.quality.services import place_hold
from mes.serials.models import Unit
from tests.builders import TESTER, make_scanner, make_site, make_station, supervisor_client
from tests.burnin.builders import bench, make_profile, make_rack

pytestmark = pytest.mark.django_db


class Api:
    """A scanner at the bench, a browser, and a rack whose BMCs are not yet known."""

    def __init__(self) -> None:
        self.rack, self.trays = make_rack(2)
        self.scanner = make_scanner()
        self.browser = supervisor_client()
        self.profile = make_profile(self.rack.part_revision)

    def start(self, unit: Unit | None = None, profile: BurnInProfile | None = None) -> Any:
        chosen = profile or self.profile
        body = {
            "unit": str((unit or self.rack).uid),
            "profile": chosen.name,
            "profile_version": chosen.version,
        }
        return self.scanner.post("burn-in-runs/", body)

    def set_bmcs(self) -> None:
        for tray in self.trays:
            body = {"url": "http://127.0.0.1:9", "username": "factory", "password": "s3cret-s3cret"}
            answer = self.put_bmc(tray, body)
            assert answer.status_code == 200, answer.json()

    def put_bmc(self, tray: Unit, body: dict[str, Any]) -> Any:
        return self.browser.put(f"/api/v1/units/{tray.uid}/bmc/", body, format="json")

    def started(self) -> BurnInRun:
        self.set_bmcs()
        return BurnInRun.objects.get(uid=self.start().json()["uid"])


@pytest.fixture
def api() -> Api:
    return Api()


def refused(answer: Any, code: str) -> dict[str, Any]:
    body = dict(answer.json())
    assert (answer.status_code, body["code"]) == (422, code), body
    assert body["rule"] and body["next"]
    assert Event.objects.filter(kind="act.refused").latest("id").payload["refusal"]["code"] == code
    return body


def test_a_scanner_starts_a_run(api: Api) -> None:
    api.set_bmcs()
    answer = api.start()
    body = answer.json()
    assert (answer.status_code, body["state"], body["serial"]) == (201, "queued", api.rack.serial)
    assert (body["required_seconds"], body["credited_seconds"]) == (3600, 0)
    assert [(row["slot"], row["serial"], row["state"]) for row in body["attempts"]] == [
        ("C1", api.trays[0].serial, "pending"),
        ("C2", api.trays[1].serial, "pending"),
    ]


def test_trays_without_bmc_are_named(api: Api) -> None:
    body = refused(api.start(), "bmc_unknown")
    assert body["slots"] == ["C1", "C2"] and "C1, C2" in body["detail"]


def test_what_a_run_is_refused_for(api: Api) -> None:
    api.set_bmcs()
    draft = make_profile(api.rack.part_revision, released=False)
    refused(api.start(profile=draft), "profile_not_released")
    other_rack, _ = make_rack(1)
    refused(api.start(unit=other_rack), "wrong_part")
    switches_only = make_profile(api.rack.part_revision, unit_kinds=["switch_tray"])
    refused(api.start(profile=switches_only), "no_tray_installed")
    assert api.start().status_code == 201
    refused(api.start(), "burn_in_running")


def test_a_held_rack_is_not_burned_in(api: Api) -> None:
    api.set_bmcs()
    place_hold(unit=api.rack, reason="leaking hose", by=TESTER)
    refused(api.start(), "unit_held")


def test_without_a_version_the_latest_released_profile_is_taken(api: Api) -> None:
    api.set_bmcs()
    make_profile(api.rack.part_revision, released=False)
    answer = api.scanner.post("burn-in-runs/", {"unit": str(api.rack.uid), "profile": "quick"})
    assert answer.json()["profile_version"] == api.profile.version
    unknown = api.scanner.post("burn-in-runs/", {"unit": str(api.rack.uid), "profile": "slow"})
    assert (unknown.status_code, unknown.json()["code"]) == (400, "invalid_input")


def test_a_device_sees_only_the_runs_of_its_site(api: Api) -> None:
    run = api.started()
    foreign = make_scanner(make_station(site=make_site("S2")))
    assert foreign.get("burn-in-runs/").json()["results"] == []
    assert foreign.get(f"burn-in-runs/{run.uid}/").status_code == 404
    assert foreign.post(f"burn-in-runs/{run.uid}/abort/", {"reason": "mistake"}).status_code == 404
    assert foreign.post("burn-in-runs/", {"unit": str(api.rack.uid), "profile": "quick"}).status_code == 404
    assert [row["uid"] for row in api.scanner.get("burn-in-runs/").json()["results"]] == [str(run.uid)]
    assert api.browser.get(f"/api/v1/burn-in-runs/{run.uid}/").json()["serial"] == api.rack.serial


def test_runs_are_found_by_state_and_rack(api: Api) -> None:
    api.started()
    found = {
        query: len(api.browser.get(f"/api/v1/burn-in-runs/?{query}").json()["results"])
        for query in (
            *("state=queued", "state=queued&state=passed", "state=passed"),
            *(
                f"unit={api.rack.uid}",
                f"serial={api.rack.serial}",
                "serial=nothing",
                "ended=true",
                "ended=false",
            ),
        )
    }
    assert list(found.values()) == [1, 1, 0, 1, 1, 0, 0, 1]


def test_pause_resume_and_abort(api: Api) -> None:
    run = api.started()
    address = f"burn-in-runs/{run.uid}"
    refused(
        api.scanner.post(f"{address}/pause/", {"reason": "x", "keep_stress": True}), "burn_in_not_soaking"
    )
    refused(api.scanner.post(f"{address}/resume/"), "burn_in_not_paused")
    BurnInRun.objects.update(state="soaking")
    assert api.scanner.post(f"{address}/pause/", {"reason": "shift end"}).status_code == 400
    paused = api.scanner.post(f"{address}/pause/", {"reason": "shift end", "keep_stress": False}).json()
    assert (paused["state"], paused["waits_for"]) == ("paused", "paused, stress off: shift end")
    assert api.scanner.post(f"{address}/resume/").json()["state"] == "starting"
    aborted = api.scanner.post(f"{address}/abort/", {"reason": "wrong rack"}).json()
    assert (aborted["state"], aborted["abort_reason"]) == ("stopping", "wrong rack")
    refused(api.scanner.post(f"{address}/abort/", {"reason": "again"}), "burn_in_not_running")


def test_an_abort_needs_a_person_and_a_reason(api: Api) -> None:
    run = api.started()
    nobody = make_scanner(signed_on=False)
    refused(nobody.post(f"burn-in-runs/{run.uid}/abort/", {"reason": "x"}), "device_not_signed_on")
    assert api.scanner.post(f"burn-in-runs/{run.uid}/abort/", {"reason": " "}).status_code == 400


def test_a_repeated_start_starts_once(api: Api) -> None:
    api.set_bmcs()
    body = {"unit": str(api.rack.uid), "profile": "quick"}
    first, second = (api.scanner.post("burn-in-runs/", body, key="once") for _ in range(2))
    assert first.json() == second.json() and second["Idempotent-Replayed"] == "true"
    assert BurnInRun.objects.count() == 1


def test_readings_come_back_as_series_with_points() -> None:
    with bench(trays=1) as rig:
        rig.until_soaking()
        for _ in range(3):
            rig.tick()
    browser = supervisor_client()
    address = f"/api/v1/burn-in-runs/{rig.run.uid}/readings/"
    body = browser.get(address, {"slot": "c1", "series": "HGX_GPU_?_TEMP_0"}).json()
    assert [series["name"] for series in body["series"]] == [f"HGX_GPU_{gpu}_TEMP_0" for gpu in range(4)]
    points = body["series"][0]["points"]
    assert len(points) > 3 and [point["at"] for point in points] == sorted(point["at"] for point in points)
    assert all(20 < point["low"] == point["high"] < 80 for point in points)
    since = browser.get(address, {"slot": "C1", "series": "HGX_GPU_0_TEMP_0", "since": points[2]["at"]})
    assert len(since.json()["series"][0]["points"]) == len(points) - 2
    assert browser.get(address, {"slot": "C9", "series": "*"}).status_code == 404
    assert browser.get(address, {"slot": "C1"}).status_code == 400


def test_a_long_run_is_drawn_together_without_losing_its_peaks(monkeypatch: pytest.MonkeyPatch) -> None:
    with bench(trays=1) as rig:
        rig.until_soaking()
        rig.fault(0, "overheat")
        rig.tick()
        rig.fault(0, "nan")
        rig.tick()
        rig.fault(0, "none")
        rig.tick()
    monkeypatch.setattr("mes.burnin.telemetry.MOST_POINTS", 2)
    address = f"/api/v1/burn-in-runs/{rig.run.uid}/readings/"
    body = supervisor_client().get(address, {"slot": "C1", "series": "HGX_GPU_0_TEMP_0"}).json()
    points = body["series"][0]["points"]
    assert len(points) == 2
    assert max(point["high"] for point in points) >= 93 and min(point["low"] for point in points) < 50


def test_a_password_goes_in_and_never_comes_out(api: Api) -> None:
    tray = api.trays[0]
    body = {"url": "https://10.0.0.7", "username": "factory", "password": " s3cret-s3cret"}
    answer = api.put_bmc(tray, body)
    assert answer.json() == {
        "unit": str(tray.uid),
        "url": "https://10.0.0.7",
        "username": "factory",
        "has_password": True,
    }
    endpoint = BmcEndpoint.objects.get(unit=tray)
    assert find_address(endpoint) == BmcAddress("https://10.0.0.7", "factory", " s3cret-s3cret")
    kept = [
        *Event.objects.values_list("payload_text", flat=True),
        *IdempotencyKey.objects.values_list("body", flat=True),
        endpoint.password_encrypted,
    ]
    assert not any("s3cret" in text for text in kept)
    event = Event.objects.get(kind="unit.bmc_set")
    assert event.payload == {"url": "https://10.0.0.7", "username": "factory"}


def test_a_refused_password_is_not_kept_either(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise RuleViolation("bmc_locked", "Not now.", rule="a test", next_step="Wait.")

    monkeypatch.setattr("mes.burnin.views.set_bmc", refuse)
    body = {"url": "https://10.0.0.7", "username": "factory", "password": "s3cret-s3cret"}
    refused(api.put_bmc(api.trays[0], body), "bmc_locked")
    assert "s3cret" not in Event.objects.get(kind="act.refused").payload_text


@pytest.mark.parametrize("url", ["https://root:s3cret@10.0.0.7", "ftp://10.0.0.7"])
def test_credentials_in_the_address_are_refused_and_not_kept(api: Api, url: str) -> None:
    answer = api.put_bmc(api.trays[0], {"url": url, "username": "", "password": ""})
    assert answer.status_code in {400, 422}
    assert not BmcEndpoint.objects.exists()
    assert not any("s3cret" in text for text in Event.objects.values_list("payload_text", flat=True))


def test_a_foreign_device_sets_no_bmc(api: Api) -> None:
    foreign = make_scanner(make_station(site=make_site("S2")))
    body = {"url": "http://10.0.0.7", "username": "", "password": ""}
    headers = {"Idempotency-Key": "k"}
    answer = foreign.client.put(
        f"/api/v1/units/{api.trays[0].uid}/bmc/", body, format="json", headers=headers
    )
    assert answer.status_code == 404


def test_a_password_under_another_secret_key_is_unreadable_not_wrong(api: Api, settings: Any) -> None:
    api.set_bmcs()
    endpoint = BmcEndpoint.objects.first()
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another-key-of-fifty-characters-or-more-0123456789012"
    assert find_address(endpoint) == "the password cannot be decrypted with this SECRET_KEY"
    settings.SECRET_KEY_FALLBACKS = [old]
    assert isinstance(find_address(endpoint), BmcAddress)


def test_the_admin_watches_runs_and_asks_for_a_reason(api: Api) -> None:
    run = api.started()
    listing = "/admin/burnin/burninrun/"
    assert api.rack.serial in api.browser.get(listing).content.decode()
    assert api.browser.get(f"{listing}{run.pk}/change/").status_code == 200
    admin = Client()
    admin.force_login(User.objects.get(is_superuser=True))
    address = reverse("admin:burnin_burninrun_abort", args=[run.pk])
    asked = admin.get(address).content.decode()
    assert "0.00 of 1 h are lost" in asked
    assert "This field is required." in admin.post(address, {"reason": " "}).content.decode()
    run.refresh_from_db()
    assert run.state == "queued"
    admin.post(address, {"reason": "wrong rack"})
    run.refresh_from_db()
    assert (run.state, run.abort_reason) == ("stopping", "wrong rack")


def test_the_admin_shows_released_profiles_read_only_and_no_passwords(api: Api) -> None:
    api.set_bmcs()
    released = api.browser.get(f"/admin/burnin/burninprofile/{api.profile.pk}/change/").content.decode()
    assert 'name="required_hours"' not in released and "gpu temperature" in released
    draft = make_profile(api.rack.part_revision, released=False)
    shown = api.browser.get(f"/admin/burnin/burninprofile/{draft.pk}/change/").content.decode()
    assert 'name="required_hours"' in shown and 'name="limits-0-group"' in shown
    endpoint = BmcEndpoint.objects.get(unit=api.trays[0])
    page = api.browser.get(f"/admin/burnin/bmcendpoint/{endpoint.pk}/change/").content.decode()
    assert "factory" in page and endpoint.password_encrypted not in page
