"""No right gradient is called wrong: one seed of `no_false_alarm.py`, which runs a hundred."""

import pytest

from .no_false_alarm import cases, false_alarms


@pytest.mark.parametrize("seed", [0, 1])  # in single precision, in double
def test_no_right_gradient_is_called_wrong(seed):
    made, alarms = false_alarms([seed])
    assert made >= 100
    assert not alarms


def test_a_hundred_functions_are_tried():
    assert len({name for name, *_ in cases(0)}) >= 100
