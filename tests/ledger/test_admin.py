"""Events in the admin."""

from django.urls import reverse

from mes.ledger.models import Event
from mes.quality.services import place_hold
from tests.builders import TESTER, make_part, make_unit
from tests.test_admin_pages import superuser_client

EVENTS = reverse("admin:ledger_event_changelist")


def listed(**query: str) -> list[str]:
    response = superuser_client().get(EVENTS, query)
    return [event.kind for event in response.context["cl"].result_list]


def test_events_are_listed_newest_first_and_narrowed_to_a_kind(db: None) -> None:
    place_hold(unit=make_unit(make_part()), reason="scratched", by=TESTER)
    assert listed() == ["unit.held", "unit.received"]
    assert listed(kind="unit.received") == ["unit.received"]


def test_the_kinds_offered_are_those_that_occur(db: None) -> None:
    for _ in range(2):
        place_hold(unit=make_unit(make_part()), reason="scratched", by=TESTER)
    [spec] = superuser_client().get(EVENTS).context["cl"].filter_specs
    assert spec.lookup_choices == [("unit.held", "unit.held"), ("unit.received", "unit.received")]


def test_a_stream_is_searched_by_its_whole_name(db: None) -> None:
    part = make_part()
    unit = make_unit(part)
    make_unit(part)
    assert listed(q=unit.stream) == ["unit.received"]
    assert listed(q=unit.stream[:-1]) == []


def test_the_payload_is_set_out_over_lines(db: None) -> None:
    place_hold(unit=make_unit(make_part()), reason="scratched <b>", by=TESTER)
    event = Event.objects.get(kind="unit.held")
    page = superuser_client().get(reverse("admin:ledger_event_change", args=[event.pk])).content.decode()
    assert "  &quot;reason&quot;: &quot;scratched &lt;b&gt;&quot;\n}" in page
