"""What scanners send, and what the parser makes of it."""

import json
import string
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mes.serials.barcodes import Label, MalformedBarcode, Syntax, parse
from tests.samples import SAMPLES

GS, RS, EOT = "\x1d", "\x1e", "\x04"
GTIN = "09521234543213"
FIXTURES = SAMPLES / "barcodes" / "scan_fixtures.json"


def envelope(*elements: str, number: str = "06") -> str:
    return f"[)>{RS}{number}{GS}{GS.join(elements)}{RS}{EOT}"


def scan_fixtures() -> list[Any]:
    rows = json.loads(FIXTURES.read_text()) if FIXTURES.exists() else []
    return [pytest.param(row, id=f"{number}-{row['note'][:40]}") for number, row in enumerate(rows)]


FIXTURE_SYNTAX = {"LCSC": Syntax.BRACE, "TME-QR": Syntax.TME_QR, "TME-DM": Syntax.SPACED}


def check_fixture(label: Label, expect: dict[str, Any]) -> None:
    identifiers = {key: value for key, value in expect.items() if key not in ("format", "UII", "construct")}
    assert {key: label.fields.get(key) for key in identifiers} == identifiers
    if "format" in expect:
        assert label.syntax is FIXTURE_SYNTAX[expect["format"]]
    assert label.uii == expect.get("UII")
    assert not label.ambiguous_tail


@pytest.mark.skipif(not FIXTURES.exists(), reason="shared barcode samples are not on this machine")
@pytest.mark.parametrize("row", scan_fixtures())
def test_sample_scan_reads_as_expected(row: dict[str, Any]) -> None:
    expect = row["expect"]
    if expect.get("type") == "plain serial":
        assert (parse(row["raw"]).syntax, parse(row["raw"]).value) == (Syntax.PLAIN, row["raw"])
    elif "check digit" in expect.get("error", ""):
        with pytest.raises(MalformedBarcode, match="check digit"):
            parse(row["raw"])
    elif "error" in expect:
        assert parse(row["raw"]).ambiguous_tail
    else:
        check_fixture(parse(row["raw"]), expect)


@pytest.mark.skipif(not FIXTURES.exists(), reason="shared barcode samples are not on this machine")
def test_all_twenty_samples_are_there() -> None:
    assert len(scan_fixtures()) == 20


@pytest.mark.parametrize(
    "raw",
    ["12345670", "2112345678", "SN-2026/0042", "00A1", "01234567", "PSU SHELF", "PSU Q1",
     "{hello}", '{"P": 1}', "https://example.org/unit/7", "a^]b", "PN:7", "ABC<GS>D", "see PN:7 QTY:1"],
)  # fmt: skip
def test_code_without_structure_is_plain(raw: str) -> None:
    label = parse(raw)
    assert (label.syntax, label.value, dict(label.fields), label.serial) == (Syntax.PLAIN, raw, {}, None)


def test_plain_code_loses_the_scanner_suffix_but_raw_keeps_it() -> None:
    label = parse("  SN0042 \t\r\n")
    assert (label.value, label.raw) == ("SN0042", "  SN0042 \t\r\n")


@pytest.mark.parametrize("raw", ["]C0SN0042", "]Q1SN0042", "]d1SN0042"])
def test_symbology_prefix_of_a_plain_code_is_removed(raw: str) -> None:
    assert (parse(raw).syntax, parse(raw).value) == (Syntax.PLAIN, "SN0042")


@pytest.mark.parametrize(
    ("raw", "syntax", "value"),
    [
        ("CMD:DONE", Syntax.COMMAND, "DONE"),
        ("cmd: pass\r", Syntax.COMMAND, "PASS"),
        ("]Q1CMD:UNDO", Syntax.COMMAND, "UNDO"),
        ("SLOT:U17", Syntax.SLOT, "U17"),
        ("SLOT:tray 3/gpu b", Syntax.SLOT, "tray 3/gpu b"),
    ],
)
def test_control_code_gives_its_word(raw: str, syntax: Syntax, value: str) -> None:
    assert (parse(raw).syntax, parse(raw).value) == (syntax, value)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "empty"),
        (" \r\n", "empty"),
        ("]d2", "empty"),
        ("x" * 4097, "4097"),
        ("SN\x0042", r"U\+0000"),
        ("SN\t42", r"U\+0009"),
        ("SN\u200b42", r"U\+200B"),
        ("CMD:", "CMD"),
        ("SLOT: ", "SLOT"),
        (f"SN42{EOT}", "beginning"),
        (f"P42{RS}Q1", "beginning"),
        ("[)>", "format"),
        (f"[)>{RS}07{GS}free text{RS}{EOT}", "format '07'"),
        (f"[)>{RS}06{GS}{RS}{EOT}", "no data"),
        (f"[)>{RS}06{GS}-P42{RS}{EOT}", "'-P42'"),
        (envelope("S42")[:-1] + envelope("S43"), "two labels"),
        (envelope("1TA", "1TB"), "1T stands on this label twice"),
        (f"]d201{GTIN[:-1]}421SN1", "check digit"),
        ("]C100095212345000000019", "check digit"),
        (f"]d201{GTIN}4149521234543214", "check digit"),
        (f"]d201{GTIN}21", "damaged"),
        ("]d2SN0042", "damaged"),
        (f"SN{GS}42", "damaged"),
        (f"{GS}", "no data"),
        (f"]d2{GTIN}", "damaged"),
        (f"]d201{GTIN}1126139921SN1", "damaged"),
        (f"]d210A{GS}10B", "10 stands on this label twice"),
        ("]d201٠٩٥٢١٢٣٤٥٤٣٢١٣21A", "characters"),
        ("{pm:X-1,qty:2", "closing brace"),
        (f"https://id.example.org/01/{GTIN[:-1]}4/21/SN1", "check digit"),
    ],
)
def test_damaged_scan_is_refused_with_its_reason(raw: str, reason: str) -> None:
    with pytest.raises(MalformedBarcode, match=reason):
        parse(raw)


def test_4096_characters_still_read() -> None:
    assert parse("x" * 4096).value == "x" * 4096


def test_envelope_fills_every_named_attribute() -> None:
    label = parse(
        envelope(
            "PC-77", "1PM-77", "SSN42", "Q12.5", "1TLOT9", "9D2614", "4LTW", "1VDemo Maker", "K", "20Z000"
        )
    )
    assert label.syntax is Syntax.ISO15434
    assert (label.value, label.serial, label.part_number) == ("SN42", "SN42", "M-77")
    assert (label.lot, label.date_code, label.maker) == ("LOT9", "2614", "Demo Maker")
    assert (label.origin, label.origin_mixed, label.quantity) == ("TW", False, Decimal("12.5"))
    assert (label.gtin, label.uii, label.ambiguous_tail) == (None, None, False)
    assert label.fields["K"] == "" and label.fields["20Z"] == "000"


@pytest.mark.parametrize(
    "raw",
    [
        envelope("PM-77", "K", "SSN42"),
        envelope("PM-77", "K", "SSN42").removesuffix(RS + EOT),
        envelope("PM-77", "K", "SSN42").removesuffix(EOT) + "\r\n",
        ">" + envelope("PM-77", "K", "SSN42"),
        envelope("PM-77", "K", "SSN42").replace(RS, ""),
        "]d1" + envelope("PM-77", "K", "SSN42"),
        "]d2" + envelope("PM-77", "K", "SSN42"),
        envelope("PM-77", "K", "", "SSN42", ""),
        envelope("PM-77", "K", "SSN42", "SSN42"),
        "[)>^^06^]PM-77^]K^]SSN42^^^D",
        "[)><RS>06<GS>PM-77<GS>K<GS>SSN42<RS><EOT>",
        r"[)>\x1e06\x1dPM-77\x1DK\x1dSSN42\x1E\x04",
        "[)>␞06␝PM-77␝K␝SSN42␞␄",
        "[)> 06 PM-77 K SSN42",
        f"[)>{RS}06{GS}PM-77{GS}K{RS}06{GS}SSN42{RS}{EOT}",
    ],
)
def test_envelope_survives_what_printers_and_scanners_do_to_it(raw: str) -> None:
    label = parse(raw)
    assert label.syntax is Syntax.ISO15434
    assert dict(label.fields) == {"P": "M-77", "K": "", "S": "SN42"}


def test_caret_in_a_field_stays_where_real_separators_came_through() -> None:
    assert parse(envelope("1PA^]B^DC", "SSN42")).part_number == "A^]B^DC"


def test_blank_in_a_field_stays_where_gs_came_through() -> None:
    assert parse(envelope("K12 Demo Order P", "SSN 42 ")).fields == {"K": "12 Demo Order P", "S": "SN 42 "}
    assert parse(envelope("SSN 42 ")).serial == "SN 42"


@pytest.mark.parametrize(
    ("elements", "part_number"),
    [
        (("30PC-9", "1PM-9", "PC-8"), "M-9"),
        (("30PC-9", "PC-8"), "C-8"),
        (("30PC-9",), "C-9"),
        (("1P", "PC-8"), "C-8"),
    ],
)
def test_part_number_prefers_the_maker(elements: tuple[str, ...], part_number: str) -> None:
    assert parse(envelope(*elements, "SSN42")).part_number == part_number


@pytest.mark.parametrize(
    ("element", "origin", "mixed"),
    [
        ("4LMX", "MX", False),
        ("4LAA", "AA", True),
        ("4Lde", "DE", False),
        ("4L", None, False),
        ("4LTaiwan", None, False),
    ],
)
def test_origin_of_an_envelope(element: str, origin: str | None, mixed: bool) -> None:
    label = parse(envelope(element, "SSN42"))
    assert (label.origin, label.origin_mixed) == (origin, mixed)


@pytest.mark.parametrize("stated", ["", "ten", "1,000", "-4", "NaN", "1E9", "٣"])
def test_quantity_that_is_no_number_is_left_to_the_operator(stated: str) -> None:
    assert parse(envelope(f"Q{stated}", "SSN42")).quantity is None


@pytest.mark.parametrize(
    ("element", "maker"),
    [("1VDemo", "Demo"), ("18VD9ZZZ9", "D9ZZZ9"), ("21VD9ZZZ9A", "D9ZZZ9A"), ("17V9ZZZ9", "9ZZZ9")],
)
def test_maker_is_found_under_each_identifier(element: str, maker: str) -> None:
    assert parse(envelope(element, "SSN42")).maker == maker


@pytest.mark.parametrize(
    ("raw", "uii"),
    [
        (envelope("18S9ZZZ9SN42"), "D9ZZZ9SN42"),
        (envelope("25SUN123456789SN42"), "UN123456789SN42"),
        (envelope("17V9ZZZ9", "1PM-77", "SSN42"), "D9ZZZ9M-77SN42"),
        (envelope("17V9ZZZ9", "1TLOT9", "30PM-78", "SSN42"), "D9ZZZ9LOT9SN42"),
        (envelope("12V123456789", "1PM-77", "SSN42"), "UN123456789M-77SN42"),
        (envelope("3V0952123", "1PM-77", "SSN42"), "0952123M-77SN42"),
        (envelope("7LN00383", "1PM-77", "SSN42"), "LDN00383M-77SN42"),
        (envelope("18VLHD123", "1PM-77", "SSN42"), "LHD123M-77SN42"),
        (envelope("CAG 9ZZZ9", "SER SN42", number="12"), "D9ZZZ9SN42"),
        ("[)> 12 CAG 9ZZZ9 SER SN42", "D9ZZZ9SN42"),
        (envelope("MFR 9ZZZ9", "PNO M-77", "SEQ SN42", "PNR M-78", number="12"), "D9ZZZ9M-77SN42"),
        (envelope("DUN 123456789", "LOT LOT9", "SEQ SN42", number="12"), "UN123456789LOT9SN42"),
        (envelope("UID D9ZZZ9SN42", number="12"), "D9ZZZ9SN42"),
        (envelope("17V9ZZZ9", "1PM-77", "1TLOT9", "SSN42"), None),
        (envelope("17V9ZZZ9", "SSN42"), None),
        (envelope("17V9ZZZ9", "1PM 77", "SSN42"), None),
        (envelope("17V9ZZZ9", "1PM-77", "S" + "9" * 60), None),
        (envelope("1VDemo", "1PM-77", "SSN42"), None),
    ],
)
def test_unique_item_identifier_is_derived_where_the_standard_derives_one(raw: str, uii: str | None) -> None:
    assert parse(raw).uii == uii


def test_unique_item_identifier_comes_from_envelopes_only() -> None:
    assert parse("{UID:D9ZZZ9SN42}").uii is None


def test_18s_gives_maker_and_serial() -> None:
    label = parse(envelope("18S9ZZZ9SN42"))
    assert (label.maker, label.serial, label.value) == ("9ZZZ9", "SN42", "SN42")


def test_format_12_gives_serial_part_and_maker() -> None:
    label = parse(envelope("CAG 9ZZZ9", "PNO M-77", "SEQ SN42", number="12"))
    assert (label.serial, label.part_number, label.maker) == ("SN42", "M-77", "9ZZZ9")


def test_label_of_several_fields_without_serial_has_no_value() -> None:
    assert parse(envelope("1PM-77", "Q10")).value == ""
    assert parse(envelope("1PM-77")).value == "M-77"


def test_gs1_label_fills_the_named_attributes() -> None:
    label = parse(f"]d201{GTIN}21SN42{GS}10LOT9{GS}11261105422276{GS}30250{GS}240M-77")
    assert label.syntax is Syntax.GS1
    assert (label.gtin, label.serial, label.lot) == (GTIN, "SN42", "LOT9")
    assert (label.date_code, label.origin, label.origin_mixed) == ("261105", "DE", False)
    assert (label.quantity, label.part_number, label.uii) == (Decimal(250), "M-77", None)
    assert (label.value, label.ambiguous_tail) == ("SN42", False)


@pytest.mark.parametrize("symbology", ["]C1", "]d2", "]e0", "]Q3", "]J1"])
def test_gs1_symbology_makes_gs1_of_what_else_is_plain(symbology: str) -> None:
    for label in (parse("2112345678", symbology), parse(f"{symbology}2112345678")):
        assert (label.syntax, label.serial) == (Syntax.GS1, "12345678")


def test_prefix_in_the_scan_outranks_the_symbology_given_apart() -> None:
    assert parse("]C02112345678", "]C1").syntax is Syntax.PLAIN


@pytest.mark.parametrize(
    "raw",
    [f"01{GTIN}21SN42{GS}10LOT9", f"{GS}01{GTIN}21SN42{GS}10LOT9", f"01{GTIN}21SN42^]10LOT9",
     f"]d201{GTIN}21SN42<GS>10LOT9", f"01{GTIN}{GS}21SN42{GS}10LOT9{GS}\r\n"],
)  # fmt: skip
def test_gs1_label_survives_what_scanners_do_to_it(raw: str) -> None:
    label = parse(raw)
    assert dict(label.fields) == {"01": GTIN, "21": "SN42", "10": "LOT9"}
    assert not label.ambiguous_tail


def test_spelled_separator_is_read_where_the_symbology_says_gs1() -> None:
    assert parse("]C110LOT9^]21SN42").fields == {"10": "LOT9", "21": "SN42"}


def test_sscc_is_the_value_of_its_label() -> None:
    assert parse("]C100095212345000000018").value == "095212345000000018"


@pytest.mark.parametrize(("number", "origin"), [("840", "US"), ("158", "TW"), ("004", "AF"), ("999", None)])
def test_numeric_origin_becomes_alpha_2(number: str, origin: str | None) -> None:
    assert parse(f"]d201{GTIN}422{number}").origin == origin


@pytest.mark.parametrize(
    ("elements", "ambiguous"),
    [
        ("21SN42ABC10LOT9", True),
        ("21SN4217260131", True),
        ("21SN42422840", True),
        ("10LOT921SN42", True),
        ("10LOT930250", True),
        ("21SN4230250", False),
        ("21SN4221AB", False),
        ("21SN42ABC", False),
        ("21SN42ABC10", False),
        ("21SN42ABC17269999", False),
        ("21" + "S" * 20 + "10LOT9", True),
        ("1126110521SN42", False),
        (f"21SN42ABC10LOT9{GS}422840", False),
        (f"21SN42ABC10LOT9{GS}", False),
    ],
)
def test_lost_separator_is_pointed_out(elements: str, ambiguous: bool) -> None:
    assert parse(f"]d201{GTIN}{elements}").ambiguous_tail is ambiguous


def test_swallowed_tail_is_left_in_the_serial() -> None:
    assert parse(f"01{GTIN}21SN42ABC10LOT9").serial == "SN42ABC10LOT9"


@pytest.mark.parametrize("rest", ["", "77SN42", "21", "SN42"])
def test_leading_gtin_alone_does_not_make_gs1(rest: str) -> None:
    assert parse(f"01{GTIN}{rest}").syntax is Syntax.PLAIN


def test_wrong_check_digit_without_a_gs1_sign_is_a_plain_code() -> None:
    assert parse(f"01{GTIN[:-1]}421SN42").syntax is Syntax.PLAIN


def test_digital_link_is_gs1() -> None:
    label = parse(f"https://id.example.org/01/{GTIN}/10/LOT9/21/SN%2F42?11=261105")
    assert (label.syntax, label.gtin, label.lot, label.serial) == (Syntax.GS1, GTIN, "LOT9", "SN/42")
    assert (label.date_code, label.ambiguous_tail) == ("261105", False)


def test_address_that_is_no_digital_link_is_plain() -> None:
    assert parse(f"https://example.org/01/{GTIN}/reviews").syntax is Syntax.PLAIN


def test_brace_form() -> None:
    label = parse("{pbn:PB1,on:SO1,pc:C77,pm:M-77,A,qty:25,mc:,cc:1}")
    assert label.syntax is Syntax.BRACE
    assert dict(label.fields) == {
        "pbn": "PB1", "on": "SO1", "pc": "C77", "pm": "M-77,A", "qty": "25", "mc": "", "cc": "1"
    }  # fmt: skip
    assert (label.part_number, label.quantity, label.origin) == ("M-77,A", Decimal(25), None)


def test_tme_qr() -> None:
    label = parse("QTY:4 PN:C-77 PO:55/1 CPO:X-1 MFR:DEMO MAKER MPN:M-77 RoHS https://example.org/C-77")
    assert label.syntax is Syntax.TME_QR
    assert (label.part_number, label.maker, label.quantity) == ("M-77", "DEMO MAKER", Decimal(4))
    assert label.fields["CPO"] == "X-1"


def test_blank_separated_identifiers() -> None:
    label = parse("PC-77 1PM-77 Q4 K55/1")
    assert (label.syntax, label.part_number, label.quantity) == (Syntax.SPACED, "M-77", Decimal(4))
    assert dict(label.fields) == {"P": "C-77", "1P": "M-77", "Q": "4", "K": "55/1"}


@pytest.mark.parametrize(
    "raw", ["PC-77 1PM-77 Qx K55", "PC-77 1PM-77 Q4 Q5", "SSN42 Q4 K55", "PC-77 X1 Q4 K55"]
)
def test_words_that_only_resemble_identifiers_stay_plain(raw: str) -> None:
    assert parse(raw).syntax is Syntax.PLAIN


scanned = st.text(
    alphabet=st.sampled_from(string.digits + "PSQTKVLD[)>]{}:,^ \x1d\x1e\x04\r") | st.characters()
)
openings = st.sampled_from(
    ["", "]", "]C1", "]d2", "]C100", f"]d201{GTIN}21", f"01{GTIN}", f"[)>{RS}06{GS}", f"[)>{RS}12{GS}",
     "[)> 06 ", "{pm:", "QTY:1 PN:", "PA 1PB Q1 ", "CMD:", f"https://e.org/01/{GTIN}", "]d23", "]d280"]
)  # fmt: skip


@given(openings, scanned, st.none() | st.sampled_from(["]C1", "]d2", "]d1", "]Q3", ""]))
def test_any_text_is_read_or_refused_in_order(opening: str, rest: str, symbology: str | None) -> None:
    try:
        label = parse(opening + rest, symbology)
    except MalformedBarcode as refusal:
        assert str(refusal)
    else:
        assert label.raw == opening + rest


@given(st.text())
def test_any_text_whatever_is_read_or_refused(raw: str) -> None:
    try:
        assert parse(raw).raw == raw
    except MalformedBarcode as refusal:
        assert str(refusal)


identifiers = st.from_regex(r"[1-9]?[0-9]{0,2}[A-Z]", fullmatch=True)
printed = st.text(alphabet=string.ascii_letters + string.digits + "-/.+_#*&%$ ^<>:,'()", max_size=40)


@given(st.dictionaries(identifiers, printed, min_size=1, max_size=12), st.booleans(), st.booleans())
def test_printed_envelope_reads_back_equal(fields: dict[str, str], trailer: bool, wedge: bool) -> None:
    raw = envelope(*(key + value for key, value in fields.items()))
    raw = raw if trailer else raw.removesuffix(RS + EOT) + GS
    label = parse(raw + "\r\n" if wedge else raw)
    assert (label.syntax, dict(label.fields)) == (Syntax.ISO15434, fields)


text_elements = st.from_regex(r"[A-Z]{3}", fullmatch=True)


@given(st.dictionaries(text_elements, printed, min_size=1, max_size=8))
def test_printed_format_12_reads_back_equal(fields: dict[str, str]) -> None:
    raw = envelope(*(f"{key} {value}" for key, value in fields.items()), number="12")
    assert parse(raw).fields == fields
