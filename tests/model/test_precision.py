"""Selection of a precision with native support, not of one that the device only emulates."""

import pytest
import torch

from mimaface.engines.precision import autocast, fast_dtype, mixed_precision


@pytest.fixture
def cpu(monkeypatch):
    """Sets the reported features of the processor."""

    def says(native: bool) -> None:
        monkeypatch.setattr("mimaface.engines.precision._cpu_computes_bfloat16", lambda: native)
        fast_dtype.cache_clear()

    yield says
    fast_dtype.cache_clear()


@pytest.mark.parametrize(("native", "dtype", "precision"), [(True, torch.bfloat16, "bf16"), (False, torch.float32, "no")])
def test_bfloat16_is_for_processors_that_compute_in_it(cpu, native, dtype, precision):
    cpu(native)
    assert fast_dtype("cpu") == dtype
    assert mixed_precision("auto", "cpu") == precision
    with autocast("auto", torch.device("cpu")):
        product = torch.ones(2, 3) @ torch.ones(3, 2)
    assert product.dtype == dtype


def test_a_precision_that_is_asked_for_is_taken(cpu):
    cpu(False)
    assert mixed_precision("bf16", "cpu") == "bf16"
    with autocast("bf16", torch.device("cpu")):
        assert (torch.ones(2, 3) @ torch.ones(3, 2)).dtype == torch.bfloat16
