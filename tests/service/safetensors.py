"""Writes safetensors files for tests: plain struct, json and numpy, free to be wrong on purpose."""

import json
import struct

import numpy

DTYPES = {"float32": "F32", "float64": "F64", "float16": "F16"}


def encode(tensors, metadata=None, header_edit=None):
    """tensors: name -> array; metadata: str -> str; header_edit: changes the header in place."""
    header, parts, offset = {}, [], 0
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, array in tensors.items():
        data = numpy.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": DTYPES[str(array.dtype)], "shape": list(array.shape),
                        "data_offsets": [offset, offset + len(data)]}
        parts.append(data)
        offset += len(data)
    if header_edit:
        header_edit(header)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


def mlp(sizes, seed=1, prefix="net."):
    """The state_dict of Linear layers of those sizes in a torch.nn.Sequential with activations."""
    rng = numpy.random.default_rng(seed)
    tensors = {}
    for i, (columns, rows) in enumerate(zip(sizes, sizes[1:])):
        scale = 1 / numpy.sqrt(columns)
        for suffix, shape in (("weight", (rows, columns)), ("bias", (rows,))):
            values = rng.uniform(-scale, scale, shape).astype("float32")
            tensors[f"{prefix}{2 * i}.{suffix}"] = values
    return tensors


CONFIG = {"network": "mlp", "activation": "selu", "time": {"input": "last", "scale": 1}}


def model(dim=2, hidden=(8, 8), seed=1, config=CONFIG, **how):
    """A whole checkpoint of a small velocity field; config None: without metadata."""
    metadata = None if config is None else {"advect": json.dumps(config)}
    return encode(mlp([dim + 1, *hidden, dim], seed), metadata, **how)
