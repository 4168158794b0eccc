"""Decoding of one undamaged FLAC stream with dr_flac, which is faster than libsndfile.

dr_flac skips frames whose checksums are wrong, and reports no errors. Therefore it decodes only
files in which the headers of all frames follow each other, and its samples count only if they are
as many as STREAMINFO claims. Otherwise libsndfile decodes the stream.
"""

from __future__ import annotations

import numpy as np

from featurelib.audio import flac
from featurelib.audio.libsndfile import RefusedError

#: Subtypes by bits per sample. libsndfile refuses other depths, so FFmpeg decodes them.
SUBTYPES = {8: "PCM_S8", 16: "PCM_16", 24: "PCM_24"}

#: Largest file, because it is read into memory: five to ten minutes of stereo at 44.1 kHz.
MAX_BYTES = 2**26


class DrFlacDecoder:
    """Decoder that uses dr_flac, through the package miniaudio.

    Parameters
    ----------
    data : bytes
        The FLAC file, and what follows it.
    info : StreamInfo
        STREAMINFO of the file.

    Attributes
    ----------
    name : str
        Name of the decoder.
    sr, channels : int
        Sampling rate [Hz] and number of channels.
    format, subtype : str
        Container and encoding, named as by libsndfile.
    n_samples : int
        Samples per channel by the header.
    position : int
        Offset of the end of the file in the data.

    Raises
    ------
    RefusedError
        If frames are missing, or dr_flac cannot open the content.
    """

    name = "dr_flac"
    format = "FLAC"

    def __init__(self, data: bytes, info: flac.StreamInfo) -> None:
        import miniaudio  # takes 30 ms, and most files are no FLAC files

        end = flac.end_of_file(data, info)
        if end is None:
            raise RefusedError("the frames do not follow each other")
        ffi, self._lib = miniaudio.ffi, miniaudio.lib
        self.sr, self.channels, self.n_samples = info.sr, info.channels, info.n_samples
        self.subtype = SUBTYPES[info.depth]
        self.position = end
        self._left = info.n_samples
        self._from_buffer, self._count = ffi.from_buffer, ffi.new("unsigned long long *")
        self._data = ffi.from_buffer(data)  # C code does not keep it alive
        config = self._lib.ma_decoder_config_init(self._lib.ma_format_f32, info.channels, info.sr)
        config.encodingFormat = self._lib.ma_encoding_format_flac
        self._decoder = ffi.new("ma_decoder *")
        result = self._lib.ma_decoder_init_memory(
            self._data, end, ffi.addressof(config), self._decoder
        )
        if result != self._lib.MA_SUCCESS:
            self._decoder = None
            raise RefusedError(f"dr_flac: error {result}")

    def read(self, out: np.ndarray) -> tuple[int, None]:
        """Decode the next samples into an array.

        Parameters
        ----------
        out : np.ndarray [shape=(n, channels), dtype=float32]
            Array that receives the samples.

        Returns
        -------
        n : int
            Number of rows of `out` that are filled; 0 at the end of the file.
        error : None
            dr_flac reports no errors.
        """
        wanted = min(len(out), self._left)
        self._lib.ma_decoder_read_pcm_frames(
            self._decoder, self._from_buffer(out), wanted, self._count
        )
        n = int(self._count[0]) if wanted else 0
        self._left -= n
        return n, None

    @property
    def is_complete(self) -> bool:
        """Whether all frames were decoded."""
        return self._left == 0

    def close(self) -> None:
        """Close the decoder, but not its file."""
        if self._decoder is not None:
            self._lib.ma_decoder_uninit(self._decoder)
            self._decoder = None
