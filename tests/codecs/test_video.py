"""Video across frames: one packet a frame, frames that come back, a loss that is noticed and mended by a key frame; and refusals."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hedgerow.codecs import video
from hedgerow.codecs.video import FAMILIES, Packet, VideoDecoder, VideoEncoder, read_clip
from hedgerow.errors import HostError, PeerError, UsageError

Frame = NDArray[np.uint8]


def scene(count: int, height: int = 48, width: int = 64) -> list[Frame]:
    """A bright square that wanders over a still ground."""
    ground = np.random.default_rng(1).integers(0, 120, (6, 8, 3)).repeat(height // 6, axis=0).repeat(width // 8, axis=1)
    frames = []
    for number in range(count):
        frame = ground.astype(np.uint8).copy()
        frame[10:26, 4 + number : 20 + number] = 220
        frames.append(frame)
    return frames


def test_without_pyav_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(HostError, match=r"pip install 'hedgerow\[video\]'"):
        VideoEncoder("h264", 64, 48)


class TestWithPyAV:
    @pytest.fixture(autouse=True)
    def needs_pyav(self) -> None:
        pytest.importorskip("av", reason="PyAV (the extra `video`) is not installed")

    @pytest.mark.parametrize("name", FAMILIES)
    def test_one_packet_a_frame_and_frames_that_come_back(self, name: str) -> None:
        encoder, decoder = VideoEncoder(name, 64, 48, quality=90), VideoDecoder(name, 64, 48)
        frames = scene(12)
        packets = [encoder.encode(frame) for frame in frames]
        assert [packet.number for packet in packets] == list(range(12))
        assert [packet.key for packet in packets[:2]] == [True, False]
        later = np.mean([len(packet.data) for packet in packets[1:]])
        assert later < len(packets[0].data)
        for frame, packet in zip(frames, packets, strict=True):
            found = decoder.decode(packet)
            assert found is not None
            assert float(np.abs(found.astype(float) - frame).mean()) < 12
        encoder.close()

    @pytest.mark.parametrize("name", FAMILIES)
    def test_a_loss_is_noticed_and_a_key_frame_mends_it(self, name: str) -> None:
        encoder, decoder = VideoEncoder(name, 64, 48, quality=90), VideoDecoder(name, 64, 48)
        came = []
        for number, frame in enumerate(scene(12)):
            if number == 8:
                assert decoder.wants_key
                encoder.ask_for_key()
            packet = encoder.encode(frame)
            if number != 5:
                came.append((number, decoder.decode(packet) is not None))
        assert [number for number, decoded in came if not decoded] == [6, 7]
        assert not decoder.wants_key

    def test_who_joins_in_the_middle_waits_for_a_key(self) -> None:
        encoder, decoder = VideoEncoder("mpeg4", 64, 48), VideoDecoder("mpeg4", 64, 48)
        packets = [encoder.encode(frame) for frame in scene(3)]
        assert decoder.decode(packets[1]) is None
        assert decoder.wants_key

    def test_what_cannot_be_decoded_is_the_other_side_s_fault(self) -> None:
        decoder = VideoDecoder("h264", 64, 48)
        for data in (b"", b"not a frame", b"\x00\x00\x00\x01" * 20):
            with pytest.raises(PeerError):
                decoder.decode(Packet(0, True, data))
        encoder = VideoEncoder("h264", 32, 32)
        with pytest.raises(PeerError, match="32 x 32"):
            VideoDecoder("h264", 64, 48).decode(encoder.encode(np.zeros((32, 32, 3), np.uint8)))

    def test_settings_and_frames_that_cannot_be_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no video codec"):
            VideoEncoder("vp6", 64, 48)
        with pytest.raises(UsageError, match="even sides"):
            VideoDecoder("h264", 63, 48)
        with pytest.raises(UsageError, match="quality"):
            VideoEncoder("h264", 64, 48, quality=0)
        with pytest.raises(UsageError, match="takes uint8 frames"):
            VideoEncoder("h264", 64, 48).encode(np.zeros((64, 48, 3), np.uint8))
        (tmp_path / "no.mp4").write_bytes(b"nothing of the kind")
        with pytest.raises(UsageError, match="no video"):
            read_clip(tmp_path / "no.mp4")

    def test_a_clip_is_read_and_not_beyond_its_limit(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import av

        path = tmp_path / "clip.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for frame in scene(5):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
        assert [frame.shape for frame in read_clip(path)] == [(48, 64, 3)] * 5
        monkeypatch.setattr(video, "CLIP_FRAMES_MAX", 4)
        with pytest.raises(UsageError, match="more frames than 4"):
            read_clip(path)
