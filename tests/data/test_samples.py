"""Sample schema: round trip, and errors that name damaged samples."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest
import torch
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mimaface.data.samples import (
    MAPS,
    PICTURES,
    SIGNALS,
    SOURCES,
    Sample,
    from_members,
    read_shards,
    shards_in,
    to_members,
    write_shard,
)
from mimaface.data.synthetic import SyntheticConfig, make_sample
from mimaface.protocol.errors import InvalidCheckpoint, InvalidInput
from mimaface.sampling.conditions import normals_condition


def plain_sample(key: str = "a", frames: int = 2, size: int = 32, seed: int = 0) -> Sample:
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    waves = [np.sin(x / 5 + k) + np.cos(y / 7 + k) for k in range(3)]
    picture = (100 + 40 * np.stack(waves, -1)).astype(np.uint8)
    stack = np.stack([np.roll(picture, 3 * k, 1) for k in range(frames)])
    signals = {name: random.normal(size=(frames, count)).astype(np.float32) for name, count in SIGNALS.items()}
    box = random.uniform(0, size, (frames, 4)).astype(np.float32)
    identity = random.normal(size=80).astype(np.float32)
    pictures = picture, stack, stack[::-1], stack[:, :, ::-1], 255 - stack, stack[:, ::-1], picture[::-1]
    return Sample(key, "somebody", *pictures, signals, identity, box, 24.0)


def psnr(one, other):
    return 10 * np.log10(255**2 / max(np.mean((one.astype(float) - other) ** 2), 1e-9))


def assert_same(one: Sample, other: Sample) -> None:
    assert (one.key, one.person, one.rate, len(one)) == (other.key, other.person, other.rate, len(other))
    for name in SIGNALS:
        np.testing.assert_array_equal(one.signals[name], other.signals[name])
    np.testing.assert_array_equal(one.identity, other.identity)
    np.testing.assert_array_equal(one.box, other.box)


def test_a_real_sample_survives_its_shard(tmp_path):
    sample = make_sample(2, 1, SyntheticConfig(size=256, frames=2))
    assert write_shard(tmp_path / "a.tar", [sample]) == 1
    (back,) = read_shards([tmp_path / "a.tar"])
    assert_same(sample, back)
    for name in (*SOURCES, *PICTURES):
        assert psnr(getattr(sample, name), getattr(back, name)) > 35, name
    for name in MAPS:
        np.testing.assert_array_equal(getattr(sample, name), getattr(back, name), err_msg=name)
    shown = [normals_condition(each.normals, 32) for each in (sample, back)]
    assert torch.equal(*shown), "what a network is trained on is what it is used with"


def test_shards_of_jpegs_can_still_be_read(tmp_path):
    sample = plain_sample()
    members = to_members(sample)
    for name in MAPS:
        stream = io.BytesIO()
        Image.open(io.BytesIO(members.pop(f"{name}.png"))).save(stream, "JPEG", quality=95, subsampling=0)
        members[f"{name}.jpg"] = stream.getvalue()
    with webdataset.TarWriter(str(tmp_path / "old.tar"), encoder=False) as writer:
        writer.write(members)
    (back,) = read_shards([tmp_path / "old.tar"])
    assert_same(sample, back)
    assert all(psnr(getattr(sample, name), getattr(back, name)) > 35 for name in MAPS)


@given(frames=st.integers(1, 5), size=st.sampled_from([16, 24, 33, 64]), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_members_come_back_frame_by_frame(frames, size, seed):
    sample = plain_sample("k", frames, size, seed)
    back = from_members(to_members(sample))
    assert_same(sample, back)
    for name in PICTURES:
        for one, other in zip(getattr(sample, name), getattr(back, name), strict=True):
            assert psnr(one, other) > 35
    assert all(psnr(getattr(sample, name), getattr(back, name)) > 35 for name in SOURCES)


def test_shards_keep_their_order_and_are_the_same_bytes_each_time(tmp_path):
    samples = [plain_sample(key) for key in ("b", "a", "c")]
    for name in ("one.tar", "two.tar"):
        assert write_shard(tmp_path / name, samples) == 3
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    assert [sample.key for sample in read_shards(shards_in(tmp_path))] == ["b", "a", "c"] * 2


def test_a_failure_leaves_no_shard(tmp_path):
    def failing():
        yield plain_sample()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_shard(tmp_path / "a.tar", failing())
    assert not (tmp_path / "a.tar").exists()
    with pytest.raises(InvalidInput, match="holds no shards"):
        shards_in(tmp_path)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
def test_a_truncated_shard_is_refused(tmp_path, share):
    path = tmp_path / "a.tar"
    write_shard(path, [plain_sample(key) for key in "abc"])
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InvalidInput) as caught:
        list(read_shards([path]))
    assert "\n" not in str(caught.value)
    assert "anew" in str(caught.value)


def test_a_shard_cut_between_members_is_refused(tmp_path):
    path = tmp_path / "a.tar"
    write_shard(path, [plain_sample(key) for key in "ab"])
    with tarfile.open(path) as tar:
        cut = next(member.offset for member in tar if member.name.startswith("b."))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InvalidInput, match="its end is missing"):
        list(read_shards([path]))


def test_a_file_that_is_no_shard_is_refused(tmp_path):
    path = tmp_path / "a.tar"
    for content in (b"", b"no tar at all" * 100):
        path.write_bytes(content)
        with pytest.raises(InvalidInput, match=r"a\.tar"):
            list(read_shards([path]))
    with pytest.raises(InvalidInput, match="cannot be read"):
        list(read_shards([tmp_path / "missing.tar"]))


@pytest.mark.parametrize("member", ["source.jpg", "driven.jpg", "arrays.npz", "meta.json"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "noise"])
def test_a_damaged_member_names_its_sample(member, damage):
    members = to_members(plain_sample("sample-7"))
    if damage == "missing":
        del members[member]
    else:
        content = members[member]
        members[member] = {"empty": b"", "cut": content[: len(content) // 2], "noise": b"\x93" * len(content)}[damage]
    with pytest.raises(InvalidCheckpoint, match="sample-7") as caught:
        from_members(members)
    assert "\n" not in str(caught.value)


def test_wrong_shapes_are_refused(tmp_path):
    members = to_members(plain_sample("x", 3))
    stream = io.BytesIO()
    Image.new("RGB", (32, 32 * 2)).save(stream, "JPEG")
    with pytest.raises(InvalidInput, match="sample x"):
        from_members({**members, "driven.jpg": stream.getvalue()})
    arrays = io.BytesIO()
    np.savez(arrays, identity=np.zeros(80), box=np.zeros((3, 4)), **{name: np.zeros((2, n)) for name, n in SIGNALS.items()})
    with pytest.raises(InvalidInput, match="sample x"):
        from_members({**members, "arrays.npz": arrays.getvalue()})


def test_a_stranger_in_the_tar_is_named(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        entry = tarfile.TarInfo("foreign.txt")
        entry.size = 5
        tar.addfile(entry, io.BytesIO(b"hello"))
    with pytest.raises(InvalidInput, match="foreign"):
        list(read_shards([path]))
