"""Installations in the admin."""

from django.urls import reverse

from mes.racks.services import install_unit
from tests.builders import TESTER, make_assembly, make_part, make_unit
from tests.test_admin_pages import superuser_client


def found(code: str) -> list[str]:
    response = superuser_client().get(reverse("admin:racks_installation_changelist"), {"q": code})
    return sorted(row.child.serial for row in response.context["cl"].result_list)


def test_installations_are_found_by_a_code_of_the_child_or_the_parent(db: None) -> None:
    gpu = make_part()
    tray = make_assembly("tray", level=10, takes={"G1": gpu, "G2": gpu})
    parent = make_unit(tray, "TRAY1")
    children = [make_unit(gpu, "GPU1", identifiers={"uuid": "abc-1"}), make_unit(gpu, "GPU2")]
    for slot, child in zip(tray.slots.all(), children, strict=True):
        install_unit(parent=parent, slot=slot, child=child, by=TESTER)
    assert found("tray1") == ["GPU1", "GPU2"]
    assert found("ABC-1") == ["GPU1"]
    assert found("TRAY") == []
