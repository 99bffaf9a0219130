"""What the demo does to prove that a gate is met, by the procedure the gate names."""

from mes.simulators import crating, finding, measuring, wiring
from mes.simulators.story import Proof

PROOFS: dict[str, Proof] = {**measuring.PROOFS, **wiring.PROOFS, **finding.PROOFS, **crating.PROOFS}
