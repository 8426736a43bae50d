from __future__ import annotations

from mobilecv.replacing import replaced


def test_what_another_version_does_not_have_is_left_alone() -> None:
    class Owner:
        there = 1

    with replaced(Owner, {"there": 2, "missing": 3}):
        assert Owner.there == 1


def test_what_was_replaced_is_put_back_as_it_was() -> None:
    class Parent:
        inherited = 1

    class Owner(Parent):
        @staticmethod
        def one() -> int:
            return 1

    with replaced(Owner, {"one": lambda _: 2, "inherited": 2}):
        assert (Owner().one(), Owner.inherited) == (2, 2)
    assert (Owner().one(), Owner.inherited) == (1, 1)
    assert "inherited" not in vars(Owner)
