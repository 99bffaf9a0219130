"""Random acts of quality, engineering and planning: holds, decisions, changes, orders, shipments."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from mes.quality.models import Hold, Nonconformance
from mes.quality.services import open_nonconformance, place_hold, release_hold
from mes.workorders import services
from tests.machine import acts, changing, ordering
from tests.machine.floor import Floor, built, units
from tests.machine.model import Change
from tests.machine.recipes import BUILT

ORDERS = ("WO-T", "WO-R", "WO-X", "WO-Y")
Source = Nonconformance.Source

signers = st.sampled_from(("board", "board", "board", "quality", "engineer"))
picks = st.integers(0, 5)
orders = st.sampled_from(ORDERS)


class OfficeFloor(Floor):
    """The floor, and who decides about it."""

    @rule(name=units)
    def hold_any(self, name: str) -> None:
        self.hold(name)

    def hold(self, name: str) -> None:
        self.act(
            lambda model: acts.hold(model, name),
            lambda: place_hold(unit=self.here.unit(name), reason="random", by=self.here.actor("quality")),
        )

    @rule(pick=picks)
    def release_any(self, pick: int) -> None:
        if self.model.holds:
            self.release(pick % len(self.model.holds))

    def release(self, number: int) -> None:
        hold = Hold.objects.order_by("pk")[number]
        self.act(
            lambda model: acts.release_hold(model, number),
            lambda: release_hold(hold=hold, reason="random", by=self.here.actor("quality")),
        )

    @rule(name=units, who=st.sampled_from(("builder", "board")))
    def find_fault(self, name: str, who: str) -> None:
        self.act(
            lambda model: acts.open_nonconformance(model, name, "scratch", who),
            lambda: open_nonconformance(
                unit=self.here.unit(name), symptom="scratch", source=Source.HAND, by=self.here.actor(who)
            ),
        )

    @rule(
        pick=picks,
        kind=st.sampled_from(("use_as_is", "rework", "rework", "rework", "scrap", "return_to_supplier")),
        signer=signers,
        quality=st.sampled_from(("", "", "quality", "engineer")),
        returns_to=st.sampled_from((10, 20, 30)),
        fitting=st.sampled_from((True, True, True, False)),
    )
    def decide_any(
        self, pick: int, kind: str, signer: str, quality: str, returns_to: int, fitting: bool
    ) -> None:
        if self.model.nonconformances:
            number = pick % len(self.model.nonconformances)
            self.decide(number, kind, signer, quality, returns_to, fitting)

    def decide(
        self, number: int, kind: str, signer: str, quality: str, returns_to: int, fitting: bool = True
    ) -> None:
        found = Nonconformance.objects.order_by("pk")[number]
        name = self.model.nonconformances[number].unit
        route, operation = self._way_back(name, returns_to, fitting)
        self.act(
            lambda model: acts.dispose(model, number, kind, signer, returns_to, quality, fitting),
            lambda: services.dispose(
                nonconformance=found,
                kind=kind,
                reason="random",
                proof=self.here.proof(signer),
                quality_proof=self.here.proof(quality) if quality else None,
                by=self.here.actor(signer),
                rework_route=route,
                returns_to=operation,
            ),
        )

    def _way_back(self, name: str, returns_to: int, fitting: bool) -> tuple[Any, Any]:
        unit = self.model.units[name]
        if name not in BUILT:
            return None, None
        route = self.here.reworks["tray" if (unit.part == "tray") == fitting else "rack"]
        own = self.here.routes[unit.part, unit.revision]
        return route, own.operations.filter(sequence=returns_to).first()

    # Engineering changes

    @rule(
        part=st.sampled_from(("rack", "tray")),
        what=st.sampled_from((*ORDERS, *BUILT)),
        signers=st.sampled_from(
            (("engineer", "quality"), ("quality", "engineer"), ("engineer", "engineer"), ("board", "quality"))
        ),
    )
    def change(self, part: str, what: str, signers: tuple[str, str]) -> None:
        """Draft a change to revision B, let two people sign it, and apply it."""
        if what in ORDERS and what not in self.model.orders:
            return
        draft = Change(part, order=what) if what in ORDERS else Change(part, unit=what)
        made = self.act(
            lambda model: changing.draft(model, draft),
            lambda: services.draft_change(
                site=self.here.stations["BUILD"].line.site,
                title="random",
                reason="random",
                to_revision=self.here.revisions[part, "B"],
                to_route=self.here.routes[part, "B"],
                orders=[self.here.order(what)] if draft.order else [],
                units=[self.here.unit(what)] if draft.unit else [],
                by=self.here.actor("builder"),
            ),
        )
        if made is not None:
            for signer in signers:
                self._approve(made, signer)
            self.act(
                changing.apply_last,
                lambda: services.apply_change(change=made, by=self.here.actor("builder")),
            )

    def _approve(self, change: Any, signer: str) -> None:
        proof, by = self.here.proof(signer), self.here.actor(signer)
        self.act(
            lambda model: changing.approve_last(model, signer),
            lambda: services.approve_change(change=change, reason="random", proof=proof, by=by),
        )

    # Orders and shipping

    @rule(name=built, to=st.sampled_from(("customer", "customer", "")))
    def ship_any(self, name: str, to: str) -> None:
        self.ship(name, to)

    def ship(self, name: str, to: str) -> None:
        shipped = self.act(
            lambda model: acts.ship(model, name, to),
            lambda: services.ship_unit(unit=self.here.unit(name), to=to, by=self.here.actor("builder")),
        )
        self.shipped = shipped.pk if shipped else None

    @rule(number=orders)
    def hold_order(self, number: str) -> None:
        if number in self.model.orders:
            by = self.here.actor("builder")
            self.act(
                lambda model: ordering.hold_order(model, number),
                lambda: services.hold_order(order=self.here.order(number), reason="random", by=by),
            )

    @rule(number=orders)
    def resume_order(self, number: str) -> None:
        if number in self.model.orders:
            by = self.here.actor("builder")
            self.act(
                lambda model: ordering.resume_order(model, number),
                lambda: services.resume_order(order=self.here.order(number), reason="random", by=by),
            )

    @rule(number=orders, reason=st.sampled_from(("", "they stay")))
    def close_order(self, number: str, reason: str) -> None:
        if number in self.model.orders:
            by = self.here.actor("builder")
            self.act(
                lambda model: ordering.close_order(model, number, reason),
                lambda: services.close_order(order=self.here.order(number), reason=reason, by=by),
            )

    @rule(number=orders, new=st.sampled_from(("WO-X", "WO-Y")), quantity=st.integers(0, 3))
    def split_order(self, number: str, new: str, quantity: int) -> None:
        if number not in self.model.orders:
            return
        made = self.act(
            lambda model: ordering.split_order(model, number, new, quantity),
            lambda: services.split_order(
                order=self.here.order(number),
                number=new,
                quantity=quantity,
                reason="random",
                by=self.here.actor("builder"),
            ),
        )
        if made is not None:
            self.here.orders[new] = made.pk

    @rule(number=orders, picked=st.lists(picks, min_size=8, max_size=8), forgotten=st.integers(0, 20))
    def cancel_order(self, number: str, picked: list[int], forgotten: int) -> None:
        if number not in self.model.orders:
            return
        fates = self._fates(number, picked)
        if forgotten < len(fates):
            fates.pop(sorted(fates)[forgotten])
        self.act(
            lambda model: ordering.cancel_order(model, number, fates),
            lambda: services.cancel_order(
                order=self.here.order(number),
                reason="random",
                by=self.here.actor("builder"),
                fates=self._in_the_product(fates),
            ),
        )

    def _fates(self, number: str, picked: list[int]) -> dict[str, str]:
        """Choose among what is possible, now and then what is not."""
        order = self.model.orders[number]
        started = [unit for unit in ordering.open_units(self.model, number) if unit.state != "planned"]
        choices = {unit.name: [*ordering.fates_of(self.model, unit, order), "scrap"] for unit in started}
        return {
            name: possible[pick % len(possible)]
            for (name, possible), pick in zip(choices.items(), picked, strict=False)
        }

    def _in_the_product(self, fates: dict[str, str]) -> dict[str, str]:
        numbers = {
            number: self.here.order(number).number
            for number in self.model.orders
            if number in self.here.orders
        }
        return {
            str(self.here.unit(name).uid): f"move:{numbers[fate.removeprefix('move:')]}"
            if fate.startswith("move:")
            else fate
            for name, fate in fates.items()
        }
