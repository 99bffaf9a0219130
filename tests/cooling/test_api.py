"""The liquid cooling record over REST, and its page."""

import csv
import io
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mes.cooling.models import Coupling, LeakTest
from mes.ledger.models import Event
from mes.stations.models import Device
from mes.testing.models import Measurement
from tests.builders import Scanner, make_person, make_scanner, make_site, make_station, make_unit
from tests.cooling.builders import Rack, line, make_type

pytestmark = pytest.mark.django_db
TIMES = list(range(0, 370, 5))


@pytest.fixture
def rack(db: None) -> Rack:
    return Rack()


@pytest.fixture
def scanner(rack: Rack) -> Scanner:
    return make_scanner(make_station("LEAK"))


def body(rack: Rack, decay: float = 0.1, **more: Any) -> dict[str, Any]:
    curve = line(decay)
    return {
        "method": "pressure_decay",
        "medium": "nitrogen",
        "test_pressure_mbar": 3000,
        "stabilise_s": 60,
        "measure_s": 300,
        "ambient_start_cel": 20,
        "ambient_end_cel": 20,
        "instrument": rack.tester.code,
        "said": "PASS",
        "curve": {"t_s": curve.times, "value": curve.values},
        **more,
    }


def path(rack: Rack, rest: str) -> str:
    return f"units/{rack.unit.uid}/{rest}/"


def test_a_leak_test_is_reported_once_and_read_with_its_limit(rack: Rack, scanner: Scanner) -> None:
    answer = scanner.post(path(rack, "leak-tests"), body(rack), key="k1")
    said = answer.json()
    assert answer.status_code == 201, said
    assert scanner.post(path(rack, "leak-tests"), body(rack), key="k1").json() == said
    assert LeakTest.objects.count() == 1
    assert said["result"]["outcome"] == "PASS" and said["value_unit"] == "mbar"
    assert said["limits"] == [
        {
            "measurement": "pressure_decay",
            "low": None,
            "high": 0.5,
            "unit": "mbar",
            "verdict": "PASS",
            "operation": "op80",
            "route": rack.route.name,
            "route_version": "1",
        }
    ]
    assert said["certificate"] == f"CERT-{rack.tester.code}"
    assert scanner.get(f"leak-tests/{said['uid']}/").json() == said
    file = b"".join(scanner.get(f"leak-tests/{said['uid']}/curve/").streaming_content).decode()
    rows = list(csv.reader(io.StringIO(file)))
    assert rows[0] == ["t_s", "value_mbar", "temperature_cel"]
    assert [float(row[1]) for row in rows[1:]] == list(line(0.1).values)


def test_a_curve_comes_as_a_file_too(rack: Rack, scanner: Scanner) -> None:
    def send(text: str, key: str) -> Any:
        fields = {name: value for name, value in body(rack).items() if name != "curve"}
        fields["curve_file"] = SimpleUploadedFile("curve.csv", text.encode(), "text/csv")
        return scanner.client.post(
            f"/api/v1/{path(rack, 'leak-tests')}",
            fields,
            format="multipart",
            headers={"Idempotency-Key": key},
        )

    text = "t_s,value,temperature_cel\n" + "".join(f"{time},3000,20\n" for time in TIMES)
    assert send(text, "f1").status_code == 201
    assert send(text, "f1")["Idempotent-Replayed"] == "true"
    assert send(text + "400,3000,20\n", "f1").json()["code"] == "idempotency_key_reused"
    assert send("t_s,value\n0,x\n", "f2").json()["fields"]["curve"] == ["Line 2 holds what is no number."]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"curve": None}, "curve"),
        ({"curve": {"t_s": [0, 1], "value": [1]}}, "curve"),
        ({"curve": {"t_s": [0, "x"], "value": [1, 2]}}, "curve"),
        ({"instrument": "NOBODY"}, "instrument"),
        ({"method": "bubbles"}, "method"),
        ({"measure_s": 0}, "measure_s"),
    ],
)
def test_bad_input(rack: Rack, scanner: Scanner, more: dict[str, Any], field: str) -> None:
    answer = scanner.post(path(rack, "leak-tests"), body(rack, **more))
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
    assert field in answer.json()["fields"]


def test_a_refusal_is_recorded(rack: Rack, scanner: Scanner) -> None:
    refused = scanner.post(path(rack, "coolant/fill"), fill(rack))
    assert (refused.status_code, refused.json()["code"]) == (422, "leak_test_missing")
    event = Event.objects.filter(kind="act.refused").latest("id")
    assert event.payload["refusal"]["code"] == "leak_test_missing"


def fill(rack: Rack) -> dict[str, Any]:
    return {
        "lot": str(rack.lot.uid),
        "volume_l": 60,
        "conductivity_us_cm": 2100,
        "ph": 8.6,
        "freeze_protection_cel": -9.6,
    }


FLUSH = {
    "medium": "DI water",
    "volume_l": 120,
    "duration_s": 1800,
    "filter_um": 25,
    "particle_class": "18/16/13",
}
BRANCH = {"branch": "U08", "flow_l_min": 6, "supply_bar": 2.4, "return_bar": 1.2, "supply_cel": 30}


def test_the_whole_record_over_rest(rack: Rack, scanner: Scanner) -> None:
    sensors = [{"sensor": "LEAK", "stimulus": "wetted", "tripped_s": 2, "cleared_s": 20}]
    charge = {"pressure_bar": 0.5, "temperature_cel": 20, "valve": "V-1"}
    acts: list[tuple[str, dict[str, Any]]] = [
        ("leak-tests", body(rack)),
        ("leak-sensor-exercises", {"sensors": sensors}),
        ("coolant/flush", FLUSH),
        ("coolant/fill", fill(rack)),
        ("coolant/flow", {"branches": [{**BRANCH, "return_cel": 40}]}),
        ("coolant/drain", {"volume_l": 58}),
        ("coolant/nitrogen-charge", charge),
        ("coolant/nitrogen-charge/readings", {"pressure_bar": 0.49, "temperature_cel": 20}),
    ]
    states = []
    for act, given in acts:
        answer = scanner.post(path(rack, act), given)
        assert answer.status_code == 201, answer.json()
        states.append(scanner.get(path(rack, "coolant")).json()["state"])
    assert states == [*["leak_tested"] * 3, "filled", "filled", "drained", "charged", "charged"]
    loop = scanner.get(path(rack, "coolant")).json()
    assert (loop["open"], loop["filled_l"]) == ([], None)
    kinds = [step["kind"] for step in loop["steps"]]
    assert kinds == ["nitrogen_charge", "drain", "flow", "fill", "flush"]
    assert loop["steps"][2]["branches"][0]["heat_kw"] == pytest.approx(4.016, abs=0.001)
    assert loop["steps"][0]["readings"][0]["outcome"] == "PASS"
    found = scanner.get("coolant-steps/", kind="fill", lot=rack.lot.number, in_loop="false").json()["results"]
    assert [row["lot"] for row in found] == [rack.lot.number]
    assert scanner.get("coolant-steps/", in_loop="true").json()["results"] == []
    assert len(scanner.get("leak-sensor-exercises/", sensor="LEAK", outcome="PASS").json()["results"]) == 1
    assert scanner.get("leak-tests/", method="helium").json()["results"] == []


def test_a_lot_of_another_site_is_not_found(rack: Rack, scanner: Scanner) -> None:
    rack.ready()
    type(rack.lot).objects.filter(pk=rack.lot.pk).update(site=make_site("S2"))
    assert scanner.post(path(rack, "coolant/fill"), fill(rack)).status_code == 404


def test_another_site_sees_nothing(rack: Rack) -> None:
    test = rack.leak_test()
    there = make_scanner(make_station(site=make_site("S2")))
    assert there.get(path(rack, "coolant")).status_code == 404
    assert there.get(f"leak-tests/{test.uid}/curve/").status_code == 404
    assert there.post(path(rack, "leak-tests"), body(rack)).status_code == 404


def test_couplings_over_rest(rack: Rack, scanner: Scanner) -> None:
    kind, manifold = make_type(2), rack.child("SUPPLY")
    fitted = scanner.post(
        f"units/{manifold.uid}/couplings/", {"place": "U08 supply", "serial": "QD-7", "type": kind.code}
    )
    assert fitted.status_code == 201, fitted.json()
    at_place = scanner.post(f"units/{manifold.uid}/coupling-mates/", {"place": "U08 supply"})
    tray = make_unit(rack.tray)
    at_slot = scanner.post(path(rack, "coupling-mates"), {"slot": "U08", "mated_with": str(tray.uid)})
    assert [answer.json()["mates"][0]["number"] for answer in (at_place, at_slot)] == [1, 2]
    worn = scanner.post(path(rack, "coupling-mates"), {"slot": "U08"})
    assert (worn.status_code, worn.json()["code"]) == (422, "coupling_worn_out")
    both = {"slot": "U08", "place": "U08 supply"}
    assert scanner.post(path(rack, "coupling-mates"), both).status_code == 400
    uid = fitted.json()["uid"]
    history = scanner.get(f"couplings/{uid}/mates/").json()
    assert [row["mated_with"] for row in history] == [str(tray.uid), None]
    assert scanner.get("couplings/", mates__gte=2, fitted="true").json()["results"][0]["serial"] == "QD-7"
    assert scanner.get(path(rack, "coolant")).json()["couplings"][0]["mates"] == 2
    removed = scanner.post(f"couplings/{uid}/remove/", {"reason": "worn out"})
    assert removed.json()["removed_at"]


def queries(client: Any, url: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url).status_code == 200
    return len(captured)


def test_constant_queries(rack: Rack, scanner: Scanner, monkeypatch: pytest.MonkeyPatch) -> None:
    office, uid = office_client(), rack.unit.uid
    urls = ("leak-tests/?limit=100", "leak-sensor-exercises/?limit=100", "coolant-steps/?limit=100")
    api = [f"/api/v1/{name}" for name in (*urls, f"units/{uid}/coolant/")]
    counts = []
    rows: list[Any] = [rack.leak_test(), rack.exercise(), rack.flush()]
    monkeypatch.setattr(Device, "SEEN_EVERY", timedelta(days=1))
    queries(scanner.client, api[0])  # notes that the device was seen
    for total in (3, 40):
        for row in rows:
            for _ in range(total - type(row).objects.count()):
                again(row)
        counts.append([queries(scanner.client, url) for url in api] + [queries(office, page(rack))])
    assert counts[0] == counts[1], counts
    assert (max(counts[0][:3]), counts[0][3] <= 13, counts[0][4] <= 18) == (4, True, True), counts


def again(row: Any) -> None:
    """Make one more record like another, with a result and measurements of its own."""
    row.refresh_from_db()
    measurements, run = list(row.test_run.measurements.all()), row.test_run
    for each in (run, row):
        each.pk, each.uid = None, uuid.uuid4()
    run.save()
    row.test_run = run
    row.save()
    for each in measurements:
        each.pk, each.run = None, run
    Measurement.objects.bulk_create(measurements)


def page(rack: Rack) -> str:
    return f"/units/{rack.unit.uid}/coolant/"


def office_client() -> Client:
    person = make_person(is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename="view_unit"))
    client = Client()
    client.force_login(person)
    return client


def test_the_page_says_the_state_first_and_draws_the_curve(rack: Rack) -> None:
    client = office_client()
    said = client.get(page(rack)).content.decode()
    assert "Loop: Dry" in said and "No leak test is recorded." in said and "<svg" not in said
    rack.leak_test(4.0, said="PASS", claimed=0.1)
    said = client.get(page(rack)).content.decode()
    assert "✕ failed" in said and "The tester claims 0.1 mbar; its curve says 4 mbar" in said
    assert "pressure decay ≤ 0.5 mbar (rack route 1, operation 80)" in said
    assert said.index("Loop:") < said.index("<table>") < said.index("<svg")
    assert "measuring begins" in said and "style=" not in said
    rack.filled()
    rack.drain()
    rack.charge()
    said = client.get(page(rack)).content.decode()
    assert "Loop: Charged with nitrogen" in said and "Nothing is open." in said
    assert "4.02 kW" in said and "58 L out, 2 L stay" in said and "ISO 4406 18/16/13" in said


def test_the_page_leads_only_to_curves_that_it_draws(rack: Rack) -> None:
    for _ in range(4):
        rack.leak_test()
    said = office_client().get(page(rack)).content.decode()
    leads, drawn = (set(re.findall(rf'{name}(test-[0-9]+)"', said)) for name in ('href="#', 'id="'))
    assert len(drawn) == 3 and leads == drawn


def test_the_page_names_what_a_wet_break_reopened(rack: Rack, scanner: Scanner) -> None:
    rack.filled()
    scanner.post(path(rack, "breaks"), {"kind": "wet_break", "reason": "hose replaced"})
    said = office_client().get(page(rack)).content.decode()
    assert "Loop: Filled" in said and "wet break: hose replaced" in said and "▶ to be repeated" in said
    assert "Open: rack leak, leak sensors, flush, fill, flow, drain, nitrogen charge." in said


def test_worn_couplings_are_marked(rack: Rack) -> None:
    from tests.cooling.test_couplings import fit, mate

    manifold = rack.child("SUPPLY")
    fit(manifold, make_type(1))
    mate(manifold)
    assert "1 of 1 ✕ worn out" in office_client().get(page(rack)).content.decode()
    assert Coupling.objects.get().mates == 1


@pytest.mark.parametrize("number", ["nan", "inf", 10**400])
def test_what_is_no_finite_number_is_bad_input(rack: Rack, scanner: Scanner, number: Any) -> None:
    asked: list[tuple[str, dict[str, Any]]] = [
        ("leak-tests", body(rack, test_pressure_mbar=number)),
        ("leak-tests", body(rack, claimed=number)),
        ("leak-tests", body(rack, curve={"t_s": TIMES, "value": [1e300] * len(TIMES)})),
        ("coolant/nitrogen-charge", {"pressure_bar": 0.5, "temperature_cel": number, "valve": "V"}),
    ]
    answers = [scanner.post(path(rack, rest), given) for rest, given in asked]
    assert [answer.status_code for answer in answers] == [400] * len(asked)
