#!/usr/bin/python3
"""Writes the arrays of tests/reference/npy with NumPy: what the reader must take, and what it must
refuse by name. Item i of a good array is 7 i for unsigned, 7 i - 20 for signed integers and
0.25 i - 1 for floats."""
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

FOLDER = Path(__file__).resolve().parent / "npy"


def items(kind, count):
    index = np.arange(count)
    values = {"f": 0.25 * index - 1, "i": 7 * index - 20, "u": 7 * index}
    return values[kind[1]].astype(kind)


def save(name, array, version=(1, 0)):
    with open(FOLDER / f"{name}.npy", "wb") as file:
        npy.write_array(file, array, version=version, allow_pickle=True)


def main():
    FOLDER.mkdir(exist_ok=True)
    for kind in ("<f4", "<f8", "|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8"):
        save(f"good_{kind[1:]}", items(kind, 6).reshape(3, 2))
    save("good_rank1", items("<f4", 5))
    save("good_rank3", items("<f4", 12).reshape(2, 3, 2))
    save("good_version2", items("<f4", 6).reshape(3, 2), version=(2, 0))
    save("good_version3", items("<f4", 6).reshape(3, 2), version=(3, 0))
    save("bad_big_endian", items("<f4", 6).astype(">f4").reshape(3, 2))
    save("bad_fortran", np.asfortranarray(items("<f4", 6).reshape(3, 2)))
    save("bad_object", np.array([1, "a"], dtype=object))
    save("bad_structured", np.zeros(2, dtype=[("a", "<f4"), ("b", "<i4")]))
    save("bad_complex", np.zeros((2, 2), dtype="<c8"))
    save("bad_bool", np.zeros((2, 2), dtype=bool))
    save("bad_text", np.array(["a", "b"]))
    save("bad_rank0", np.float32(1))
    save("bad_rank4", np.zeros((1, 1, 1, 1), dtype="<f4"))
    save("bad_empty", np.zeros((0, 2), dtype="<f4"))


main()
