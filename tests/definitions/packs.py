"""A small good pack, and the writing of packs to files."""

from pathlib import Path

GOOD = """\
sites:
  - {code: S1, name: Site one}
lines:
  - {code: L1, site: S1, name: Line one}
stations:
  - {code: ST-1, line: L1, name: Station one, work_center: BUILD}
suppliers:
  - {code: SUP-1, name: Demo supplier}
parts:
  - {number: RACK, name: Rack, kind: rack, level: 11}
  - {number: TRAY, name: Tray, kind: tray, level: 10}
  - {number: CHIP, name: Chip, kind: chip, level: 2}
revisions:
  - part: TRAY
    revision: A
    bom:
      - {part: CHIP, quantity: 2}
  - part: RACK
    revision: A
    weight_kg: 900.5
    release: true
    bom:
      - {part: TRAY, quantity: 2}
    slots:
      - {name: U01, type: tray, face: front, position: 2, height: 2, slot_number: 1,
         filled_at: 90, order: 1, accepts: [TRAY]}
      - {name: U02, type: tray, face: front, position: 4, height: 2, slot_number: 2,
         filled_at: 90, order: 2, accepts: [TRAY]}
routes:
  - part: RACK
    version: "1"
    name: Rack route
    release: true
    operations:
      - sequence: 90
        code: install
        name: Tray install
        work_center: BUILD
        gates:
          - {rule: slots_filled, moment: complete}
      - sequence: 110
        code: flow
        name: Flow
        work_center: BUILD
        gates:
          - {rule: test_passed, moment: complete, procedure: flow}
        limits:
          - {procedure: flow, measurement: pressure, unit: bar, low: 0.5, high: 3}
    retest_rules:
      - {name: tray changed, slot_type: tray, repeats: [90, 110]}
firmware_baselines:
  - name: Baseline 1
    release: true
    versions:
      - {unit_kind: tray, component: BMC, version: "1.0"}
burn_in_profiles:
  - name: soak
    version: "1"
    part: RACK
    procedure: burn_in
    stressor: demo
    unit_kinds: [tray]
    required_hours: 72
    release: true
    limits:
      - {group: temperature, unit_kind: tray, pattern: "T_*", unit: Cel, high: 87}
"""


def changed(old: str, new: str, text: str = GOOD) -> str:
    """Return the good pack with one piece of it replaced; the piece must be there once."""
    assert text.count(old) == 1, f"{old!r} is in the pack {text.count(old)} times"
    return text.replace(old, new)


def written(folder: Path, text: str = GOOD, name: str = "pack.yaml") -> Path:
    """Write a pack file and return its path."""
    path = folder / name
    path.write_text(text)
    return path
