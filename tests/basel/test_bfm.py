import pickle
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.io import savemat

from mimaface.basel.bfm import BaselFace, row_rotation, shade, split_coefficients
from mimaface.protocol.errors import InvalidCheckpoint

GOLDEN = load_file(Path(__file__).parents[1] / "golden" / "bfm.safetensors")
MODEL = {name.removeprefix("model."): value for name, value in GOLDEN.items() if name.startswith("model.")}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("bfm") / "BFM09_model_info.mat"
    savemat(path, MODEL)
    return BaselFace.from_mat(path)


def close(found, name):
    assert np.abs(found - GOLDEN[name]).max() <= 1e-4 * GOLDEN[name].std(), name


def test_geometry_shading_and_camera_equal_the_golden_values(model):
    parts = split_coefficients(GOLDEN["coeffs"])
    assert [parts[name].shape[-1] for name in ("identity", "expression", "albedo", "light")] == [80, 64, 80, 27]
    rotation = row_rotation(parts["rotation"])
    posed = model.posed(model.geometry(parts["identity"], parts["expression"]), parts["rotation"], parts["translation"])
    normals = model.normals(model.geometry(parts["identity"], parts["expression"]))
    close(rotation, "rotation")
    close(posed, "vertices")
    close(normals, "normals")
    close(shade(model.albedo(parts["albedo"]), normals @ rotation, parts["light"]), "colour")
    close(model.project(posed), "projected_yup")
    close(model.landmarks68(model.project(posed)), "landmarks68")


def test_it_is_a_morphable_face(model):
    random = np.random.default_rng(0)
    identity, expression = random.normal(size=(2, 3, 80)), random.normal(size=(2, 3, 64))
    shape = model.geometry(identity, expression)
    assert shape.shape == (2, 3, len(model.mean), 3)
    np.testing.assert_allclose(shape[1, 2], model.geometry(identity[1, 2], expression[1, 2]), atol=1e-12)
    np.testing.assert_allclose(model.geometry(np.zeros(80), np.zeros(64)).mean(0), 0, atol=1e-12)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InvalidCheckpoint, match="fields are missing: exBase, tri"):
        BaselFace.from_arrays({name: value for name, value in MODEL.items() if name not in ("exBase", "tri")})
    with pytest.raises(InvalidCheckpoint, match="idBase has shape"):
        BaselFace.from_arrays({**MODEL, "idBase": MODEL["idBase"][:, :79]})
    (tmp_path / "x.mat").write_bytes(b"not matlab")
    (tmp_path / "pickle.mat").write_bytes(pickle.dumps({"a": 1}))
    (tmp_path / "list.mat").write_bytes(pickle.dumps(list(range(300))))
    for name in ("x.mat", "absent.mat", "pickle.mat", "list.mat"):
        with pytest.raises(InvalidCheckpoint, match="not a readable"):
            BaselFace.from_mat(tmp_path / name)
    with pytest.raises(ValueError, match="257"):
        split_coefficients(np.zeros(256))
