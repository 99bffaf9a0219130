"""A bad pack is refused whole, and every problem is named with file and line."""

from pathlib import Path

import pytest

from mes.definitions.schema import Table
from mes.definitions.services import BadPack, compare_pack, load_pack
from mes.definitions.tables import TABLES
from mes.products.models import Part, PartRevision, Route
from mes.stations.models import Site
from tests.definitions.packs import GOOD, changed, written

pytestmark = pytest.mark.django_db

# A piece of the good pack, what replaces it (the line marked HERE is the one to be named), and the reason.
BAD = {
    "syntax": ("parts:\n", "parts: [\n", "cannot be read: "),
    "unknown section": ("suppliers:", "supliers: # HERE", "there is no section 'supliers'"),
    "unknown key": (
        "kind: chip, level: 2}",
        "kind: chip, level: 2, colour: red} # HERE",
        "a part has no 'colour'",
    ),
    "release of what is never released": (
        "kind: chip, level: 2}",
        "kind: chip, level: 2, release: true} # HERE",
        "a part has no 'release'",
    ),
    "missing key": (
        "name: Chip, kind: chip, level: 2",
        "name: Chip, kind: chip # HERE\n    ",
        "part without 'level'",
    ),
    "limit without unit": (
        "measurement: pressure, unit: bar, low: 0.5",
        "measurement: pressure, low: 0.5 # HERE\n            ",
        "limit without 'unit'",
    ),
    "limit with empty unit": (
        "measurement: pressure, unit: bar, low: 0.5",
        "measurement: pressure, unit: '', low: 0.5 # HERE\n            ",
        "unit is refused: This field cannot be blank.",
    ),
    "text for a number": ("level: 2}", "level: two} # HERE", "level must be a whole number"),
    "fraction for a whole number": ("level: 2}", "level: 2.5} # HERE", "level must be a whole number"),
    "flag for a number": ("level: 2}", "level: yes} # HERE", "level must be a whole number"),
    "number for text": ('version: "1.0"}', "version: 1.0} # HERE", "version must be text (in quotes)"),
    "flag for text": (
        "name: Demo supplier}",
        "name: Demo, country: NO} # HERE",
        "country must be text (in quotes)",
    ),
    "text for a flag": (
        "weight_kg: 900.5\n    release: true",
        "weight_kg: 900.5\n    release: soon # HERE",
        "release must be true or false",
    ),
    "not a finite number": (
        "low: 0.5, high: 3}",
        "low: .nan, high: 3} # HERE",
        "low must be a finite number",
    ),
    "text for a list": (
        "order: 2, accepts: [TRAY]}",
        "order: 2, accepts: TRAY} # HERE",
        "accepts must be a list ([...])",
    ),
    "empty list": ("repeats: [90, 110]}", "repeats: []} # HERE", "repeats must not be empty"),
    "list with a thing twice": (
        "repeats: [90, 110]}",
        "repeats: [90, 90]} # HERE",
        "repeats must not name anything twice",
    ),
    "negative number": ("level: 2}", "level: -2} # HERE", "level is refused: "),
    "no such choice": ("rule: slots_filled", "rule: slots_full # HERE\n            ", "rule is refused: "),
    "too long": ("code: L1", f"code: {'L' * 31} # HERE\n    ", "code is refused: "),
    "unreadable value": ("level: 2}", "level: 2001-99-99} # HERE", "level cannot be read: "),
    "object of a language": ("level: 2}", "level: !!python/none x} # HERE", "level cannot be read: "),
    "NUL in text": (
        "name: Chip,",
        'name: "a\\0b", # HERE\n     ',
        "name holds a character that cannot be stored",
    ),
    "row for a list": ("parts:\n", "parts: {number: X} # HERE\nparts_:\n", "'parts' must be a list of rows"),
    "text for a row": (
        "  - {code: SUP-1, name: Demo supplier}",
        "  - SUP-1 # HERE",
        "must be keys with values",
    ),
    "key twice": (
        "name: Chip,",
        "name: Chip, # one\n     name: Chop, # HERE\n    ",
        "key 'name' is given twice",
    ),
    "part twice": (
        "kind: chip, level: 2}",
        "kind: chip, level: 2}\n  - {number: CHIP, name: Chip, kind: chip, level: 2} # HERE",
        "part CHIP is given twice, first in",
    ),
    "operation code twice": (
        "      - sequence: 110\n        code: flow",
        "      - sequence: 110 # HERE\n        code: install",
        "operation RACK 1 install is given twice",
    ),
    "unknown site": ("site: S1", "site: S9 # HERE\n    ", "unknown site 'S9'"),
    "unknown part in a BOM": (
        "{part: CHIP, quantity: 2}",
        "{part: CHOP, quantity: 2} # HERE",
        "unknown part 'CHOP'",
    ),
    "unknown part in a slot": (
        "order: 2, accepts: [TRAY]}",
        "order: 2, accepts: [TRAY, TRAI]} # HERE",
        "unknown part 'TRAI'",
    ),
    "unknown part of a route": (
        "  - part: RACK\n    version",
        "  - part: ROCK # HERE\n    version",
        "unknown part 'ROCK'",
    ),
    "unknown revision in a BOM": (
        "{part: TRAY, quantity: 2}",
        "{part: TRAY, quantity: 2, revisions: [B]} # HERE",
        "unknown revision 'B' of part TRAY",
    ),
    "BOM quantity differs from slots": (
        "{part: TRAY, quantity: 2}",
        "{part: TRAY, quantity: 3} # HERE",
        "quantity of TRAY is 3, but 2 slots accept it",
    ),
    "BOM quantity of nothing": (
        "{part: CHIP, quantity: 2}",
        "{part: CHIP, quantity: 0} # HERE",
        "quantity must be greater than 0",
    ),
    "slot filled at no operation": (
        "filled_at: 90, order: 2",
        "filled_at: 95, order: 2 # HERE\n        ",
        "filled_at 95 is no operation of a route of RACK",
    ),
    "child not below its parent": (
        "{part: CHIP, quantity: 2}",
        "{part: RACK, quantity: 2} # HERE",
        "RACK of level 11 is not below TRAY of level 10",
    ),
    "alternate not below its parent": (
        "order: 2, accepts: [TRAY]}",
        "order: 2, accepts: [TRAY, RACK]} # HERE",
        "RACK of level 11 is not below RACK of level 11",
    ),
    "cycle in the BOM": (
        "{part: CHIP, quantity: 2}",
        "{part: RACK, quantity: 2} # HERE",
        "cycle in the BOM: TRAY > RACK > TRAY",
    ),
    "limit without a bound": ("low: 0.5, high: 3}", "low: null} # HERE", "limit without a bound"),
    "limit low above high": ("low: 0.5, high: 3}", "low: 5, high: 3} # HERE", "low 5 is greater than high 3"),
    "series limit without a bound": (
        "unit: Cel, high: 87}",
        "unit: Cel} # HERE",
        "series limit without a bound",
    ),
    "test gate without procedure": (
        "          - {rule: slots_filled, moment: complete}",
        "          - {rule: test_passed, moment: complete} # HERE",
        "gate test_passed without 'procedure'",
    ),
    "limit of a test that no gate asks for": (
        "- {procedure: flow, measurement",
        "- {procedure: flaw, # HERE\n             measurement",
        "no gate of the operation asks for the test 'flaw'",
    ),
    "retest of an unknown sequence": (
        "repeats: [90, 110]}",
        "repeats: [90, 120]} # HERE",
        "repeats 120, which is no operation of the route",
    ),
    "retest of an unknown slot type": (
        "slot_type: tray, ",
        "slot_type: trey, # HERE\n         ",
        "no slot of RACK is of type 'trey'",
    ),
    "route without operations": (
        "routes:\n",
        'routes:\n  - {part: TRAY, version: "1", name: Tray route} # HERE\n',
        "route without operations",
    ),
    "slot number twice": (
        "slot_number: 2,",
        "slot_number: 1, # HERE\n         ",
        "slot_number 1 is that of slot U01 too",
    ),
    "soak of no time": (
        "required_hours: 72",
        "required_hours: 0 # HERE",
        "required_hours must be greater than 0",
    ),
    "a least soak after a swap that nothing asks for": (
        "required_hours: 72",
        "required_hours: 72\n    swap_min_hours: 24 # HERE",
        "only soak_clock 'continue' takes swap_min_hours",
    ),
    "a new tray that would soak for no time": (
        "required_hours: 72",
        "required_hours: 72\n    soak_clock: continue # HERE",
        "soak_clock 'continue' needs swap_min_hours",
    ),
    "a gap policy that would never be asked": (
        "required_hours: 72",
        "required_hours: 72\n    max_gap_seconds: 60\n    gap_seconds: 20 # HERE",
        "gap_seconds must be at least max_gap_seconds, 60",
    ),
    "a longer soak after a swap than before": (
        "required_hours: 72",
        "required_hours: 72\n    soak_clock: continue\n    swap_min_hours: 73 # HERE",
        "swap_min_hours must be more than 0, at most 72",
    ),
    "phases that are no soak": (
        "    limits:\n      - {group: temperature,",
        "    phases: [{name: soak, order: 1, kind: steady, hours: 71}] # HERE\n"
        "    limits:\n      - {group: temperature,",
        "the phases last 71 h, but required_hours is 72",
    ),
    "two phases at once": (
        "    limits:\n      - {group: temperature,",
        "    phases: [{name: a, order: 1, kind: steady, hours: 36},"
        " {name: b, order: 1, kind: steady, hours: 36}] # HERE\n    limits:\n      - {group: temperature,",
        "two phases have the same order",
    ),
    "a limit of a phase that is not there": (
        "unit: Cel, high: 87}",
        "unit: Cel, high: 87, phases: [nap]} # HERE",
        "no phase is called 'nap'",
    ),
    "more violations than samples": (
        "unit: Cel, high: 87}",
        "unit: Cel, high: 87, violations: 3, window: 2} # HERE",
        "3 of 2 samples",
    ),
    "headroom with a high": (
        "unit: Cel, high: 87}",
        "unit: Cel, high: 87, basis: headroom} # HERE",
        "a headroom is bad when low",
    ),
    "rack stopped by a rate": (
        "unit: Cel, high: 87}",
        "unit: Cel, high: 87, kind: rate, action: stop_rack} # HERE",
        "a rate needs other samples to be judged by",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_every_fault_is_named_with_its_line(case: str, tmp_path: Path) -> None:
    old, new, reason = BAD[case]
    text = changed(old, new)
    path = written(tmp_path, text)
    line = next((number for number, each in enumerate(text.splitlines(), 1) if "# HERE" in each), None)
    with pytest.raises(BadPack) as refused:
        load_pack(path)
    found = [problem for problem in refused.value.problems if problem.reason.startswith(reason)]
    assert found, refused.value
    assert {problem.file for problem in found} == {str(path)}
    assert line in {None, found[0].line}, refused.value
    assert not Part.objects.exists()


def test_a_syntax_error_names_the_line_where_reading_stopped(tmp_path: Path) -> None:
    path = written(tmp_path, "parts:\n  - number: X\n   name: Y\n")
    with pytest.raises(BadPack) as refused:
        compare_pack(path)
    assert str(refused.value).startswith(f"{path}:3: cannot be read: ")


@pytest.mark.parametrize("text", ["# nothing\n", "[" * 5000, "just words\n"])
def test_a_file_without_rows_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(BadPack) as refused:
        compare_pack(written(tmp_path, text))
    assert refused.value.problems[0].line == 1


def test_a_file_that_is_no_text_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "pack.yaml"
    path.write_bytes(b"sites:\n  - {code: S1, name: \xff}\n")
    with pytest.raises(BadPack) as refused:
        compare_pack(path)
    assert str(refused.value) == f"{path}:2: cannot be read: it is not UTF-8 text"


def test_a_folder_without_packs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadPack, match="there is no pack here"):
        compare_pack(tmp_path)


def test_all_problems_are_listed_in_order_and_nothing_is_written(tmp_path: Path) -> None:
    text = changed("level: 2}", "level: two}")
    text = changed("low: 0.5, high: 3}", "low: 5, high: 3}", text)
    text = changed("quantity: 2}\n    slots", "quantity: 3}\n    slots", text)
    written(tmp_path, text, "b.yaml")
    written(tmp_path, "sites:\n  - {code: S2, name: Site two, town: X}\n", "a.yaml")
    with pytest.raises(BadPack) as refused:
        load_pack(tmp_path)
    places = [(Path(problem.file).name, problem.line) for problem in refused.value.problems]
    assert places == [("a.yaml", 2), ("b.yaml", 12), ("b.yaml", 23), ("b.yaml", 48)]
    assert not Site.objects.exists()
    assert not PartRevision.objects.exists()


def test_rows_missing_because_a_file_is_unreadable_are_not_reported_too(tmp_path: Path) -> None:
    written(tmp_path, "parts: [\n", "a.yaml")
    written(tmp_path, "revisions:\n  - {part: X, revision: A}\n", "b.yaml")
    with pytest.raises(BadPack) as refused:
        load_pack(tmp_path)
    assert {Path(problem.file).name for problem in refused.value.problems} == {"a.yaml"}


def test_a_row_given_in_two_files_is_refused_at_the_second(tmp_path: Path) -> None:
    first = written(tmp_path, "sites:\n  - {code: S1, name: One}\n", "a.yaml")
    second = written(tmp_path, "sites:\n\n  - {code: S1, name: One}\n", "b.yaml")
    with pytest.raises(BadPack) as refused:
        compare_pack(tmp_path)
    assert str(refused.value) == f"{second}:3: site S1 is given twice, first in {first}:2"


def test_what_is_stored_already_may_be_named(tmp_path: Path) -> None:
    load_pack(written(tmp_path))
    more = "revisions:\n  - part: RACK\n    revision: B\n    bom:\n      - {part: TRAY, quantity: 1}\n"
    load_pack(written(tmp_path, more))
    assert PartRevision.objects.get(part__number="RACK", revision="B").bom_lines.get().part.number == "TRAY"


def test_a_stored_bom_is_kept_in_order_when_a_level_changes(tmp_path: Path) -> None:
    load_pack(written(tmp_path))
    path = written(tmp_path, "parts:\n  - {number: TRAY, name: Tray, kind: tray, level: 11}\n")
    with pytest.raises(BadPack) as refused:
        load_pack(path)
    assert str(refused.value) == f"{path}:2: TRAY of level 11 is not below RACK of level 11"


def test_a_part_without_route_arrives_filled(tmp_path: Path) -> None:
    slots = "    slots:\n      - {name: C1, type: chip, filled_at: 0, order: 1, accepts: [CHIP]}\n"
    text = changed("{part: CHIP, quantity: 2}\n", "{part: CHIP, quantity: 1}\n" + slots)
    load_pack(written(tmp_path, text))
    assert PartRevision.objects.get(part__number="TRAY").slots.get().filled_at == 0


def test_json_is_read_as_yaml_is_even_indented_by_tabs(tmp_path: Path) -> None:
    text = '{\n\t"sites": [\n\t\t{"code": "S1", "name": "One"},\n\t\t{"code": "S2"}\n\t]\n}'
    path = written(tmp_path, text, "pack.json")
    with pytest.raises(BadPack) as refused:
        load_pack(path)
    assert str(refused.value) == f"{path}:4: site without 'name'"
    load_pack(written(tmp_path, text.replace('"S2"', '"S2", "name": "Two"'), "pack.json"))
    assert Site.objects.count() == 2


def test_files_are_loaded_by_kind_whatever_their_names(tmp_path: Path) -> None:
    head, tail = GOOD.split("revisions:\n")
    (tmp_path / "deep").mkdir()
    written(tmp_path, "revisions:\n" + tail, "a.yml")
    written(tmp_path / "deep", head, "z.yaml")
    load_pack(tmp_path)
    assert Route.objects.get().operations.count() == 2


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.kind)
def test_packs_can_write_every_field_of_a_definition(table: Table) -> None:
    written_by_us = {"id", "released_at", table.owner_field, "picture"}  # a picture is uploaded
    fields = {field.name for field in (*table.model._meta.fields, *table.model._meta.many_to_many)}
    assert fields - written_by_us == {*table.key, *table.columns}
