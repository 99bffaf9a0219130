"""Pareto of failures and retests: largest first, shares add up, causes come from what is on record."""

import pytest

from mes.analysis.services import By, Cause, Of, Scope, pareto
from mes.errors import RuleViolation
from mes.quality.models import Nonconformance, RepairRecord
from mes.serials.models import Supplier
from mes.testing.models import Diagnosis, Measurement
from tests.analysis.histories import Said, make_floor, write
from tests.builders import make_part, make_site, make_unit

pytestmark = pytest.mark.django_db


def counted(of: Of, by: By | Cause) -> list[tuple[str, int]]:
    return [(str(next(iter(bar.key.values()))), bar.count) for bar in pareto(Scope(), of, by)]


def test_largest_first_with_cumulative_shares_and_outcomes_kept_apart() -> None:
    said = [Said(0, 0, "FAIL", station="B"), Said(1, 0, "FAIL", station="A"), Said(2, 0, "FAIL", station="A")]
    write(make_floor(), [*said, Said(0, 0, "RETEST", station="C"), Said(0, 0, "PASS", station="C")])
    first, second = pareto(Scope(), Of.FAILURES, By.STATION)
    assert (first.key, first.count, second.key, second.count) == ({"station": "A"}, 2, {"station": "B"}, 1)
    assert first.share == pytest.approx(2 / 3)
    assert [first.cumulative_share, second.cumulative_share] == pytest.approx([2 / 3, 1.0])
    assert counted(Of.RETESTS, By.STATION) == [("C", 1)]
    assert counted(Of.ERRORS, By.STATION) == []


@pytest.mark.parametrize("of", list(Of))
@pytest.mark.parametrize("by", list(By))
def test_nothing_is_no_bar_whatever_it_is_grouped_by(of: Of, by: By) -> None:
    assert pareto(Scope(), of, by) == []


def test_causes_are_the_measurements_diagnoses_and_components_of_the_failing_runs() -> None:
    one, two, good = write(make_floor(), [Said(0, 0, "FAIL"), Said(1, 0, "FAIL"), Said(2, 0, "PASS")])
    for run, names in ((one, ("temp", "flow")), (two, ("temp",)), (good, ("flow",))):
        for position, name in enumerate(names):
            Measurement.objects.create(
                run=run, position=position, name=name, verdict="FAIL", component="GPU1" if run is two else ""
            )
    Diagnosis.objects.create(run=two, type="FAIL", verdict="gpu-hot", component="GPU1")
    Diagnosis.objects.create(run=two, type="PASS", verdict="fan-ok", component="FAN")
    assert counted(Of.FAILURES, Cause.MEASUREMENT) == [("temp", 2), ("flow", 1)]
    assert counted(Of.FAILURES, Cause.DIAGNOSIS) == [("gpu-hot", 1)]
    assert counted(Of.FAILURES, Cause.COMPONENT) == [("", 1), ("GPU1", 1)]


def test_symptoms_are_those_of_the_nonconformances_that_the_runs_led_to() -> None:
    floor = make_floor()
    one, two, again = write(floor, [Said(0, 0, "FAIL"), Said(1, 0, "FAIL"), Said(2, 0, "RETEST")])
    for number, (run, symptom) in enumerate([(one, "leak"), (two, "leak"), (again, "cable"), (None, "dent")]):
        Nonconformance.objects.create(
            site=make_site(),
            number=f"NC{number}",
            unit=run.unit if run else floor.units[0],
            source="test",
            symptom=symptom,
            test_run=run,
        )
    assert counted(Of.FAILURES, Cause.SYMPTOM) == [("leak", 2)]
    assert counted(Of.RETESTS, Cause.SYMPTOM) == [("cable", 1)]


def test_replaced_parts_are_those_a_repair_took_out_because_of_these_failures() -> None:
    floor = make_floor()
    (failed,) = write(floor, [Said(0, 0, "FAIL")])
    supplier = Supplier.objects.create(code="DEMO", name="Demo supplier")
    bad = make_unit(make_part("gpu"), supplier=supplier)
    opened = Nonconformance.objects.create(
        site=make_site(), number="NC1", unit=floor.units[0], source="test", symptom="hot", test_run=failed
    )
    RepairRecord.objects.create(nonconformance=opened, symptom="hot", action="swapped", removed=bad)
    assert counted(Of.FAILURES, Cause.REPLACED_PART) == [(bad.part_revision.part.number, 1)]
    assert counted(Of.FAILURES, Cause.REPLACED_SUPPLIER) == [("DEMO", 1)]
    assert pareto(Scope(station="OTHER"), Of.FAILURES, Cause.REPLACED_PART) == []
    with pytest.raises(RuleViolation) as refused:
        pareto(Scope(), Of.RETESTS, Cause.REPLACED_PART)
    assert refused.value.code == "no_such_pareto"
