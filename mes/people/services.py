"""The door of people: who they are, what they may, know and sign."""

from mes.people.persons import find_by_badge, lock_person, require_permission
from mes.people.pins import set_pin
from mes.people.proofs import Proof, proof_of, proof_on_page, prove, prove_password
from mes.people.signing import digest_of, sign
from mes.people.training import record_training, require_qualified, revoke_training

__all__ = [
    "Proof",
    "digest_of",
    "find_by_badge",
    "lock_person",
    "proof_of",
    "proof_on_page",
    "prove",
    "prove_password",
    "record_training",
    "require_permission",
    "require_qualified",
    "revoke_training",
    "set_pin",
    "sign",
]
