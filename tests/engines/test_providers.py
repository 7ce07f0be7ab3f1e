"""What ONNX Runtime can run graphs by, here."""

import pytest

from mimaface.engines.providers import CPU, PROVIDERS, Provider, available, plugged_in

onnxruntime = pytest.importorskip("onnxruntime")


def test_the_processor_is_the_last_resort():
    found = available()
    assert found[-1] == CPU and [one for one in PROVIDERS if one in found] == found, "in the order in which they are tried"


def test_a_plug_in_is_offered_with_a_device_of_its_own_only():
    """Also where its wheel is installed: OpenVINO's finds none on a processor that is not Intel's."""
    assert plugged_in(Provider("Unknown", "cpu", "a_package_that_is_not_installed")) == ()
    offered = {device.ep_name for device in onnxruntime.get_ep_devices()}
    assert {one.name for one in available() if one.package} <= offered | set(onnxruntime.get_available_providers())
