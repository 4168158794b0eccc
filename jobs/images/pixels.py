"""From mean powers to a PNG file."""

from __future__ import annotations

import io

import numpy as np

from featurelib.extras import needing

#: Lower limit of power before the logarithm: librosa's `amin`, and for a range without a limit.
AMIN, AMIN_OF_AUTO = 1e-10, 1e-20


def levels(power: np.ndarray, top_db: float | None) -> np.ndarray:
    """Return the colours of an image, from 0 for the lowest level to 255 for the largest.

    With `top_db` the levels are those of ``librosa.power_to_db(S, ref=np.max, top_db=top_db)``,
    except that silence has the lowest colour. Without it, colours go from the smallest to the
    largest level, as in `matplotlib.pyplot.specgram`; no power at all has the lowest colour.

    Parameters
    ----------
    power : np.ndarray [shape=(width, height)]
        Powers, the first column and the lowest row first.
    top_db : float or None
        Range of the colours [dB].

    Returns
    -------
    np.ndarray [shape=(height, width), dtype=uint8]
        Colours, the upper row first.
    """
    amin = AMIN_OF_AUTO if top_db is None else AMIN
    is_heard = power > amin
    if not is_heard.any():
        return np.zeros(power.T.shape, np.uint8)
    db = 10 * np.log10(np.maximum(power, amin, dtype=np.float64))
    highest = db.max()
    lowest = db[is_heard].min() if top_db is None else highest - top_db
    shares = (db - lowest) / max(highest - lowest, 1e-9)
    colours = np.rint(255 * np.clip(shares, 0, 1)).astype(np.uint8)
    return np.ascontiguousarray(colours.T[::-1])


def png(colours: np.ndarray, palette: bytes) -> bytes:
    """Return a PNG file with a palette.

    Parameters
    ----------
    colours : np.ndarray [shape=(height, width), dtype=uint8]
        Numbers of colours, the upper row first.
    palette : bytes
        Red, green and blue of each colour.
    """
    with needing("plot"):
        from PIL import Image
    image = Image.fromarray(colours)
    image.putpalette(palette)
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()
