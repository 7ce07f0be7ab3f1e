"""Where the user's folder is."""

from pathlib import Path

import pytest

from mimaface.protocol.connection import default_folder


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"MIMAFACE_HOME": "/a/b"}, "/a/b"),
        ({"MIMAFACE_HOME": "b"}, "{here}/b"),
        ({"MIMAFACE_HOME": "~/b"}, "{here}/user/b"),
        ({"MIMAFACE_HOME": "", "XDG_DATA_HOME": "/data"}, "/data/mimaface"),
        ({"MIMAFACE_HOME": "", "XDG_DATA_HOME": ""}, "{here}/user/.local/share/mimaface"),
    ],
)
def test_an_empty_variable_is_none_and_a_relative_one_is_where_it_was_said(tmp_path, monkeypatch, variables, folder):
    """With an empty one the backend took the folder in which it was started for its own, and took others' rights from it."""
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.chdir(tmp_path)
    for name, value in ({"HOME": str(tmp_path / "user")} | variables).items():
        monkeypatch.setenv(name, value)
    assert default_folder() == Path(folder.format(here=tmp_path))
