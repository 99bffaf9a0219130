"""Signatures: who, what, why, bound to what was signed; never one's own work; never changed."""

from collections.abc import Callable

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from mes.errors import RuleViolation
from mes.ledger.models import Event
from mes.people.models import Signature, SignedWork, User
from mes.people.services import Proof, digest_of, prove, set_pin, sign
from tests.builders import TESTER, make_part, make_person, make_unit

pytestmark = pytest.mark.django_db

PIN = "482915"


def proof_by(person: User, device: str = "d1") -> Proof:
    set_pin(person=person, pin=PIN, by=TESTER)
    return prove(badge=person.badge, pin=PIN, device=device)


def test_a_signature_says_who_what_why_and_is_bound_to_what_was_signed() -> None:
    person, unit = make_person(), make_unit(make_part())
    digest = digest_of({"disposition": "scrap"})
    made = sign(
        proof=proof_by(person),
        meaning="disposition",
        reason="cracked",
        subject=unit,
        digest=digest,
        performers=["builder", "finder", ""],
    )
    kept = Signature.objects.get()
    assert (kept.signer, kept.meaning, kept.reason, kept.method) == (
        person.username,
        "disposition",
        "cracked",
        "pin",
    )
    assert (kept.subject, kept.subject_digest, kept.device) == (unit.stream, digest, "d1")
    assert sorted(made.works.values_list("performer", flat=True)) == ["builder", "finder"]
    event = Event.objects.get(kind="signature.made")
    assert (event.stream, event.actor, event.device) == (person.stream, person.username, "d1")
    assert event.payload["signature"] == str(kept.uid)
    assert (event.payload["digest"], event.payload["subject"]) == (digest, unit.stream)


def refusal_of(proof: Proof, reason: str = "why", performers: tuple[str, ...] = ()) -> str:
    unit = make_unit(make_part())
    with pytest.raises(RuleViolation) as refusal:
        sign(
            proof=proof,
            meaning="m",
            reason=reason,
            subject=unit,
            digest=digest_of(1),
            performers=performers,
        )
    assert not Signature.objects.exists()
    return refusal.value.code


def test_nobody_signs_their_own_work() -> None:
    person = make_person("maker")
    assert refusal_of(proof_by(person), performers=("other", "maker")) == "own_work"


def test_a_signature_needs_a_reason_and_a_proof() -> None:
    person = make_person()
    proof_by(person)
    assert refusal_of(proof_by(person), reason="  ") == "reason_missing"
    assert refusal_of(prove(badge=person.badge, pin="0000")) == "pin_wrong"
    assert not SignedWork.objects.exists()


def made_signature() -> Signature:
    return sign(
        proof=proof_by(make_person("signer")),
        meaning="disposition",
        reason="cracked",
        subject=make_unit(make_part()),
        digest=digest_of(1),
        performers=["builder"],
    )


def run_sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def replace(table: str, changes: dict[str, str]) -> str:
    """Return the statement that puts an altered copy of a table's only row in its place."""
    with connection.cursor() as cursor:
        described = connection.introspection.get_table_description(cursor, table)
    columns = [column.name for column in described]
    values = ", ".join(changes.get(name, name) for name in columns)
    return f"REPLACE INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table}"


WAYS_TO_CHANGE: dict[str, Callable[[], object]] = {
    "update a signature": lambda: Signature.objects.update(reason="other"),
    "save a signature": lambda: Signature.objects.get().save(),
    "delete a signature": lambda: run_sql("DELETE FROM people_signature"),
    "update whose work": lambda: SignedWork.objects.update(performer="nobody"),
    "delete whose work": lambda: SignedWork.objects.all().delete(),
}


@pytest.mark.parametrize("way", WAYS_TO_CHANGE)
def test_a_signature_is_never_changed_or_deleted(way: str) -> None:
    made_signature()
    before = [*Signature.objects.values(), *SignedWork.objects.values()]
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        WAYS_TO_CHANGE[way]()
    assert [*Signature.objects.values(), *SignedWork.objects.values()] == before


@pytest.mark.skipif(connection.vendor != "sqlite", reason="REPLACE INTO is SQLite's")
@pytest.mark.parametrize("recursive_triggers", ["ON", "OFF"])
@pytest.mark.parametrize(
    ("table", "changes"),
    [
        ("people_signature", {"reason": "'other'"}),
        ("people_signature", {"id": "id + 1", "reason": "'other'"}),
        ("people_signedwork", {"signer": "'other'"}),
        ("people_signedwork", {"id": "id + 1", "signer": "'other'"}),
    ],
)
def test_a_signature_is_not_replaced(table: str, changes: dict[str, str], recursive_triggers: str) -> None:
    made_signature()
    run_sql(f"PRAGMA recursive_triggers={recursive_triggers}")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        run_sql(replace(table, changes))
    run_sql("PRAGMA recursive_triggers=ON")


@pytest.mark.skipif(connection.vendor != "postgresql", reason="TRUNCATE is PostgreSQL's")
@pytest.mark.parametrize("table", ["people_signature", "people_signedwork"])
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_signatures_are_not_truncated(role: str, table: str) -> None:
    made_signature()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        run_sql(f"SET CONSTRAINTS ALL IMMEDIATE; SET LOCAL session_replication_role = {role}")
        run_sql(f"TRUNCATE {table} CASCADE")


def test_the_database_refuses_that_people_judge_their_own_work() -> None:
    signature = made_signature()
    with pytest.raises(IntegrityError, match="signer_is_not_performer"), transaction.atomic():
        SignedWork.objects.create(signature=signature, signer="signer", performer="signer")
