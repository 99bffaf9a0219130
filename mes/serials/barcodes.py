"""Reads what a scanner sends; knows no database, so whose code it is gets decided elsewhere.

The form of a scan is decided in this order: an ISO/IEC 15434 envelope ("[)>"); GS1, when the symbology says
so or a GS stands inside; "CMD:", "SLOT:", "PORT:" and "CABLE:"; a leading AI 01 with a valid GTIN and
readable elements behind it; a GS1 Digital Link; the brace form; the TME QR; blank-separated data identifiers;
else a plain code.

Separators that a keyboard wedge spells out (for GS: ^], <GS>, backslash x1d, or the picture U+241D) are read
as real ones, but only in an envelope or a GS1 label and only where no real one came through: a plain serial
may hold a caret.
"""

import enum
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal

from biip import ParseError
from biip.checksums import gs1_standard_check_digit
from biip.gs1_digital_link_uris import GS1DigitalLinkURI
from biip.gs1_element_strings import GS1ElementStrings
from biip.gs1_messages import GS1Message

MAX_LENGTH = 4096
GS, RS, EOT = "\x1d", "\x1e", "\x04"

_SYMBOLOGY = re.compile(r"\][A-Za-z][0-9A-Za-z]")
_GS1_SYMBOLOGIES = frozenset({"]C1", "]e0", "]e1", "]e2", "]d2", "]Q3", "]J1"})
_SPELLED = re.compile(r"(\^\]|<GS>|\\x1[dD]|\u241d)|(\^\^|<RS>|\\x1[eE]|\u241e)|(\^D|<EOT>|\\x04|\u2404)")

_ENVELOPE = re.compile(r">?\[\)>")
_GTIN_FIRST = re.compile(r"01([0-9]{13})([0-9])[0-9]")
_DIGITAL_LINK = re.compile(r"https?://[^\s?#]+/01/[0-9]{8,14}(?:[/?#]|$)")
_CONTROL_CODE = re.compile(r"(CMD|SLOT|PORT|CABLE):(.*)", re.IGNORECASE)
_BRACE = re.compile(r"\{[A-Za-z]\w*:", re.ASCII)
_BRACE_COMMA = re.compile(r",(?=[A-Za-z]\w*:)", re.ASCII)
_TME_PAIR = re.compile(r"(?:^|(?<= ))(QTY|PN|PO|CPO|MFR|MPN):(.*?)(?= (?:[A-Z]{2,4}:|RoHS|https?:)|$)")
_DATA_IDENTIFIER = re.compile(r"([0-9]{0,3}[A-Z])(.*)")
_TEXT_ELEMENT = re.compile(r"([A-Z]{3}) (.*)")
# Per format: what an element looks like, and where it ends when blanks stand in for GS.
_FORMATS = {
    "06": (_DATA_IDENTIFIER, re.compile(" ")),
    "12": (_TEXT_ELEMENT, re.compile(" (?=[A-Z]{3} )")),
}
_QUANTITY = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?")
_UII = re.compile(r"[0-9A-Z/-]{1,50}")

_SPACED_KEYS = frozenset(
    ("P", "1P", "30P", "2P", "S", "Q", "K", "1K", "10K", "11K", "14K", "1T", "9D", "10D", "4L", "1V")
)
_PART_KEYS = ("1P", "PNO", "PNR", "MPN", "pm", "240", "P", "30P", "PN", "pc", "241")
_SERIAL_KEYS = ("S", "21", "SER", "UCN", "SEQ")
_LOT_KEYS = ("1T", "10", "LOT", "30T", "T")
# DI D and 6D are left out: they do not say which date they are, and D is often an expiry.
_DATE_KEYS = ("9D", "10D", "16D", "11")
_MAKER_KEYS = ("1V", "18V", "21V", "17V", "MFR", "CAG", "SPL")
_QUANTITY_KEYS = ("Q", "37", "30", "QTY", "qty")
# MIL-STD-130N appendix A: what carries a whole UII and what names the enterprise, each with the agency code
# to put in front; then what follows the enterprise in constructs 1 and 2.
_WHOLE_UIIS = {"25S": "", "UID": "", "18S": "D"}
_ENTERPRISES = {"17V": "D", "12V": "UN", "3V": "", "7L": "LD", "18V": "", "EUC": ""}
_ENTERPRISES |= {"CAG": "D", "MFR": "D", "SPL": "D", "DUN": "UN"}
_SERIALISATIONS = (("SER",), ("UCN",), ("1P", "S"), ("1T", "S"), ("PNO", "SEQ"), ("LOT", "SEQ"))
_TAIL_AIS = frozenset({"10", "11", "17", "21", "240", "422"})
_COUNT_AIS = frozenset({"30", "37"})

# ISO 3166-1: numeric code and alpha-2.
_COUNTRIES = """
    004AF 008AL 010AQ 012DZ 016AS 020AD 024AO 028AG 031AZ 032AR 036AU 040AT 044BS 048BH 050BD 051AM 052BB
    056BE 060BM 064BT 068BO 070BA 072BW 074BV 076BR 084BZ 086IO 090SB 092VG 096BN 100BG 104MM 108BI 112BY
    116KH 120CM 124CA 132CV 136KY 140CF 144LK 148TD 152CL 156CN 158TW 162CX 166CC 170CO 174KM 175YT 178CG
    180CD 184CK 188CR 191HR 192CU 196CY 203CZ 204BJ 208DK 212DM 214DO 218EC 222SV 226GQ 231ET 232ER 233EE
    234FO 238FK 239GS 242FJ 246FI 248AX 250FR 254GF 258PF 260TF 262DJ 266GA 268GE 270GM 275PS 276DE 288GH
    292GI 296KI 300GR 304GL 308GD 312GP 316GU 320GT 324GN 328GY 332HT 334HM 336VA 340HN 344HK 348HU 352IS
    356IN 360ID 364IR 368IQ 372IE 376IL 380IT 384CI 388JM 392JP 398KZ 400JO 404KE 408KP 410KR 414KW 417KG
    418LA 422LB 426LS 428LV 430LR 434LY 438LI 440LT 442LU 446MO 450MG 454MW 458MY 462MV 466ML 470MT 474MQ
    478MR 480MU 484MX 492MC 496MN 498MD 499ME 500MS 504MA 508MZ 512OM 516NA 520NR 524NP 528NL 531CW 533AW
    534SX 535BQ 540NC 548VU 554NZ 558NI 562NE 566NG 570NU 574NF 578NO 580MP 581UM 583FM 584MH 585PW 586PK
    591PA 598PG 600PY 604PE 608PH 612PN 616PL 620PT 624GW 626TL 630PR 634QA 638RE 642RO 643RU 646RW 652BL
    654SH 659KN 660AI 662LC 663MF 666PM 670VC 674SM 678ST 682SA 686SN 688RS 690SC 694SL 702SG 703SK 704VN
    705SI 706SO 710ZA 716ZW 724ES 728SS 729SD 732EH 740SR 744SJ 748SZ 752SE 756CH 760SY 762TJ 764TH 768TG
    772TK 776TO 780TT 784AE 788TN 792TR 795TM 796TC 798TV 800UG 804UA 807MK 818EG 826GB 831GG 832JE 833IM
    834TZ 840US 850VI 854BF 858UY 860UZ 862VE 876WF 882WS 887YE 894ZM
"""
_ALPHA_2 = {code[:3]: code[3:] for code in _COUNTRIES.split()}


class MalformedBarcode(ValueError):  # noqa: N818 - the word of the floor, as RuleViolation
    """The scan cannot be read; the message says why in words for the operator."""


class Syntax(enum.StrEnum):
    """The form in which a label carried its data."""

    PLAIN = "plain"
    COMMAND = "command"
    SLOT = "slot"
    PORT = "port"
    CABLE = "cable"
    GS1 = "gs1"
    ISO15434 = "iso15434"
    BRACE = "brace"
    SPACED = "spaced"
    TME_QR = "tme_qr"


@dataclass(frozen=True, slots=True)
class Label:
    """One scan, read.

    ``value`` is what to look up: the plain code, command word, slot, port or cable name; else the serial, or
    the data of a label that has one field only; empty when a label has several fields and no serial. A plain
    code has no ``serial``: it may as well be a badge. ``fields`` holds every identifier as found, blanks and
    empty values included; the named attributes are stripped, and None when absent, empty or unreadable.
    ``origin`` is
    alpha-2, and "AA" with ``origin_mixed`` for goods of several countries. ``date_code`` is as printed.
    ``uii`` is the unique item identifier of MIL-STD-130N, constructs 1 and 2, from ISO/IEC 15434 labels only;
    None where the label gives more than one, or one that is no valid UII (0-9 A-Z - /, at most 50).

    ``ambiguous_tail``: without any GS in a GS1 label, nothing marks where a variable-length value ends. True
    when such a value is followed by another element, or when some tail of the last one reads to its end as
    further elements, beginning with an AI that follows on item labels and is not yet on this one: 10, 11, 17,
    21, 240, 422, and the counts 30 and 37 unless the label has a serial. So (21)SN12345ABC10LOT7 may be a
    serial and a lot. It is a question, not a refusal: ask the item master what a serial looks like.
    """

    raw: str
    syntax: Syntax
    value: str
    fields: Mapping[str, str] = field(default_factory=dict)
    serial: str | None = None
    part_number: str | None = None
    gtin: str | None = None
    lot: str | None = None
    date_code: str | None = None
    origin: str | None = None
    origin_mixed: bool = False
    maker: str | None = None
    quantity: Decimal | None = None
    uii: str | None = None
    ambiguous_tail: bool = False

    @property
    def code(self) -> str:
        """Return the code to look up: the label's serial, else the plain code."""
        return self.serial or self.value


def parse(raw: str, symbology: str | None = None) -> Label:
    """Read one scan; ``symbology`` is an AIM identifier (ISO/IEC 15424) such as "]d2", unless ``raw`` has it.

    Raises MalformedBarcode for an empty, over-long, damaged or self-contradicting scan, and for a wrong check
    digit in a GS1 label.
    """
    symbology, text = _split_symbology(_without_strays(raw), symbology)
    signed = symbology in _GS1_SYMBOLOGIES
    text = _with_real_separators(text, signed)
    if envelope := _ENVELOPE.match(text):
        return _label(raw, Syntax.ISO15434, _envelope_fields(text[envelope.end() :]))
    if RS in text or EOT in text:
        raise MalformedBarcode("the beginning of this label is missing: scan again")
    if signed or GS in text:
        return _gs1_label(raw, text)
    return _unsigned_label(raw, text)


def _without_strays(raw: str) -> str:
    if len(raw) > MAX_LENGTH:
        raise MalformedBarcode(f"the scan has {len(raw)} characters, a label has at most {MAX_LENGTH}")
    text = raw.strip(" \t\r\n")
    for character in text:
        if not character.isprintable() and character not in (GS, RS, EOT):
            raise MalformedBarcode(f"the scan holds the control character U+{ord(character):04X}: scan again")
    return text


def _split_symbology(text: str, symbology: str | None) -> tuple[str | None, str]:
    if prefix := _SYMBOLOGY.match(text):
        symbology, text = prefix[0], text[prefix.end() :].strip(" ")
    if not text:
        raise MalformedBarcode("the scan is empty")
    return symbology, text


def _with_real_separators(text: str, signed: bool) -> str:
    structured = signed or _ENVELOPE.match(text) or _begins_with_gtin(text)
    if not structured or any(separator in text for separator in (GS, RS, EOT)):
        return text
    return _SPELLED.sub(lambda spelled: (GS, RS, EOT)[(spelled.lastindex or 0) - 1], text)


def _begins_with_gtin(text: str) -> bool:
    found = _GTIN_FIRST.match(text)
    return found is not None and gs1_standard_check_digit(found[1]) == int(found[2])


def _unsigned_label(raw: str, text: str) -> Label:
    if code := _CONTROL_CODE.fullmatch(text):
        return _control_label(raw, code[1].upper(), code[2].strip())
    if _begins_with_gtin(text):
        # One in ten numeric serials that begin with 01 has a valid check digit there by chance.
        with suppress(MalformedBarcode):
            return _gs1_label(raw, text)
    for syntax, read in _FORMS:
        if fields := read(text):
            return _label(raw, syntax, fields)
    return Label(raw, Syntax.PLAIN, text)


def _control_label(raw: str, kind: str, name: str) -> Label:
    if not name:
        raise MalformedBarcode(f"the code says {kind} but names nothing after it")
    syntax = Syntax.COMMAND if kind == "CMD" else Syntax(kind.lower())
    return Label(raw, syntax, name.upper() if kind == "CMD" else name)


def _gs1_label(raw: str, text: str) -> Label:
    try:
        elements = GS1Message.parse(text).element_strings
    except ParseError as error:
        raise MalformedBarcode("this GS1 label is damaged or cut off: scan again") from error
    return _label(raw, Syntax.GS1, _gs1_fields(elements), ambiguous_tail=_hides_elements(text, elements))


def _gs1_fields(elements: GS1ElementStrings) -> dict[str, str]:
    for element in elements:
        # biip reads digits of any script, and reports a wrong check digit without raising.
        if not element.value.isascii():
            raise MalformedBarcode(f"({element.ai.ai}) {element.value} holds characters no GS1 label has")
        if element.gtin_error or element.sscc_error or element.gln_error:
            raise MalformedBarcode(f"the check digit of ({element.ai.ai}) {element.value} is wrong")
    return _collected((element.ai.ai, element.value) for element in elements)


def _hides_elements(text: str, elements: GS1ElementStrings) -> bool:
    variable = [".." in element.ai.format for element in elements]
    if GS in text or not any(variable):
        return False
    if any(variable[:-1]):
        return True
    read = {element.ai.ai for element in elements}
    openers = tuple(_TAIL_AIS - read | (set() if "21" in read else _COUNT_AIS - read))
    value = elements[-1].value
    tails = (value[start:] for start in range(1, len(value)))
    return any(tail.startswith(openers) and _reads_to_its_end(tail) for tail in tails)


def _reads_to_its_end(tail: str) -> bool:
    try:
        return bool(GS1Message.parse(tail).element_strings)
    except ParseError:
        return False


def _digital_link_fields(text: str) -> dict[str, str] | None:
    if not _DIGITAL_LINK.match(text):
        return None
    try:
        elements = GS1DigitalLinkURI.parse(text).element_strings
    except (ParseError, ValueError):
        return None
    return _gs1_fields(elements)


def _envelope_fields(body: str) -> dict[str, str]:
    body = body.lstrip(RS + " ").rstrip(EOT + RS + GS)
    if EOT in body or "[)>" in body:
        raise MalformedBarcode("two labels were read as one: scan them one at a time")
    return _collected(pair for segment in body.split(RS) for pair in _segment_pairs(segment))


def _segment_pairs(segment: str) -> Iterator[tuple[str, str]]:
    if segment[:2] not in _FORMATS:
        raise MalformedBarcode(f"format {segment[:2]!r} of this label is unknown: 06 and 12 can be read")
    form, blank = _FORMATS[segment[:2]]
    data = segment[2:]
    elements = data.split(GS) if GS in data or not data.startswith(" ") else blank.split(data)
    for element in filter(None, elements):
        found = form.fullmatch(element)
        if found is None:
            raise MalformedBarcode(f"{element[:40]!r} on this label has no data identifier: scan again")
        yield found[1], found[2]


def _collected(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for key, value in pairs:
        if fields.setdefault(key, value) != value:
            raise MalformedBarcode(f"{key} stands on this label twice, as {fields[key]!r} and as {value!r}")
    if not fields:
        raise MalformedBarcode("this label holds no data")
    return fields


def _brace_fields(text: str) -> dict[str, str] | None:
    if not _BRACE.match(text):
        return None
    if not text.endswith("}"):
        raise MalformedBarcode("this label is cut off, its closing brace is missing: scan again")
    pairs = (piece.partition(":") for piece in _BRACE_COMMA.split(text[1:-1]))
    return _collected((key, value) for key, _, value in pairs)


def _tme_fields(text: str) -> dict[str, str] | None:
    pairs = _TME_PAIR.findall(text) if _TME_PAIR.match(text) else []
    keys = {key for key, _ in pairs}
    return _collected(pairs) if len(keys) > 1 and keys & {"PN", "MPN"} else None


def _spaced_fields(text: str) -> dict[str, str] | None:
    # A name such as "PSU SHELF" looks like two identifiers, so a part, a numeric Q and a third are asked for.
    found = [_DATA_IDENTIFIER.fullmatch(token) for token in text.split()]
    fields = {match[1]: match[2] for match in found if match}
    if len(fields) < max(3, len(found)) or not fields.keys() <= _SPACED_KEYS:
        return None
    return fields if fields.keys() & {"P", "1P", "30P"} and fields.get("Q", "").isdecimal() else None


_FORMS: tuple[tuple[Syntax, Callable[[str], dict[str, str] | None]], ...] = (
    (Syntax.GS1, _digital_link_fields),
    (Syntax.BRACE, _brace_fields),
    (Syntax.TME_QR, _tme_fields),
    (Syntax.SPACED, _spaced_fields),
)


def _label(raw: str, syntax: Syntax, fields: dict[str, str], *, ambiguous_tail: bool = False) -> Label:
    joined = fields.get("18S", "")  # five characters of CAGE, then the serial
    serial = _first(fields, _SERIAL_KEYS) or joined[5:].strip() or None
    quantity = _first(fields, _QUANTITY_KEYS)
    only = next(iter(fields.values())).strip() if len(fields) == 1 else ""
    return Label(
        raw=raw,
        syntax=syntax,
        value=serial or only,
        fields=fields,
        serial=serial,
        part_number=_first(fields, _PART_KEYS),
        gtin=_first(fields, ("01",)),
        lot=_first(fields, _LOT_KEYS),
        date_code=_first(fields, _DATE_KEYS),
        origin=_origin(fields),
        origin_mixed=_origin(fields) == "AA",
        maker=_first(fields, _MAKER_KEYS) or joined[:5].strip() or None,
        quantity=Decimal(quantity) if quantity and _QUANTITY.fullmatch(quantity) else None,
        uii=_uii(fields) if syntax is Syntax.ISO15434 else None,
        ambiguous_tail=ambiguous_tail,
    )


def _first(fields: Mapping[str, str], keys: Iterable[str]) -> str | None:
    return next((value for key in keys if (value := fields.get(key, "").strip())), None)


def _origin(fields: Mapping[str, str]) -> str | None:
    stated = fields.get("4L", "").strip().upper()
    return stated if re.fullmatch("[A-Z]{2}", stated) else _ALPHA_2.get(fields.get("422", ""))


def _uii(fields: Mapping[str, str]) -> str | None:
    # A part and a lot beside one serial give two answers, and the standard names no winner (a lot that is no
    # part of the UII is marked 30T): then none is derived.
    parts = {key: value.strip() for key, value in fields.items() if value.strip()}
    found = {_WHOLE_UIIS[key] + parts[key] for key in _WHOLE_UIIS.keys() & parts.keys()} or {
        _ENTERPRISES[enterprise] + "".join(parts[key] for key in (enterprise, *serialisation))
        for enterprise in _ENTERPRISES.keys() & parts.keys()
        for serialisation in _SERIALISATIONS
        if parts.keys() >= set(serialisation)
    }
    return found.pop() if len(found) == 1 and all(map(_UII.fullmatch, found)) else None
