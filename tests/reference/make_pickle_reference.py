#!/usr/bin/python3
"""Writes tests/golden/torch: files of torch.save with what PyTorch itself reads in them, and files
that must be refused, among them attacks. Needs python3-torch; run it again only when the reference
itself must change. The error.json beside a file that is refused is written by hand."""
import argparse
import collections
import io
import os
import pickle
import pickletools
import struct
import zipfile
from pathlib import Path

import numpy
import torch
from torch import nn

TESTS = Path(__file__).resolve().parents[1]
GOLDEN = TESTS / "golden" / "torch"
CORPUS = TESTS / "fuzz" / "corpus" / "pickle"
DTYPES = {torch.float32: "F32", torch.float64: "F64", torch.float16: "F16",
          torch.bfloat16: "BF16"}


class MLP(nn.Module):
    """As somebody's own code has it: torch.save(model) then stores this class by its name."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 4), nn.SELU(), nn.Linear(4, 2))
        self.net[0].weight.data = values(4, 3)
        self.net[0].bias.data = values(4)
        self.net[2].weight.data = values(2, 4)
        self.net[2].bias.data = values(2)
        self.time_varying = True


class Buffered(MLP):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", values(2))
        self.register_buffer("scratch", values(5), persistent=False)
        self.register_parameter("none", None)


class Plain:
    """A class that is no module."""

    def __init__(self):
        self.weight = values(2, 2)


class Call:
    """Pickles as a call, which an ordinary unpickler carries out."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def values(*shape):
    count = int(numpy.prod(shape)) if shape else 1
    return ((torch.arange(count) * 37 + 11) % 101 / 64 - 0.75).reshape(shape)


def layers(scale=1.0):
    return collections.OrderedDict((name, scale * tensor)
                                   for name, tensor in MLP().state_dict().items())


def write(kind, name, body):
    folder = GOLDEN / kind / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "file.pt").write_bytes(body)
    return folder


def saved(value, **how):
    file = io.BytesIO()
    torch.save(value, file, **how)
    return file.getvalue()


def valid(name, body, tensors):
    """tensors: what PyTorch reads, as name -> tensor."""
    lines = []
    for key, tensor in tensors.items():
        numbers = " ".join("%.9g" % number for number in tensor.float().flatten().tolist())
        lines.append(f"{key} {DTYPES[tensor.dtype]} {list(tensor.shape)}: {numbers}".rstrip())
    (write("valid", name, body) / "expected.txt").write_text("\n".join(lines) + "\n")


def archive(data, storages=None, packing=zipfile.ZIP_STORED, **more):
    """A zip as torch.save lays it out, from a pickle and storages as bytes."""
    file = io.BytesIO()
    entries = {"archive/data.pkl": data}
    entries.update({f"archive/data/{key}": body for key, body in (storages or {}).items()})
    entries.update({name.replace("__", "/"): body for name, body in more.items()})
    with zipfile.ZipFile(file, "w") as out:
        for name, body in entries.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = packing
            out.writestr(info, body)
    return file.getvalue()


def repacked(body, **how):
    """The entries of an archive of torch.save in another packing."""
    with zipfile.ZipFile(io.BytesIO(body)) as old:
        entries = {name.split("/", 1)[1]: old.read(name) for name in old.namelist()}
    data = entries.pop("data.pkl")
    return archive(data, {name[5:]: part for name, part in entries.items() if name[:5] == "data/"},
                   **how)


def part(value):
    """The opcodes of one value, without header, memo and end."""
    return pickletools.optimize(pickle.dumps(value, 2))[2:-1]


def tensor_pickle(storage="FloatStorage", count=6, offset=0, shape=(2, 3), strides=(3, 1), key="0",
                  kind="storage"):
    """{"net.0.weight": tensor} in opcodes, so that every number can be wrong."""
    return (b"\x80\x02}X\x0c\x00\x00\x00net.0.weightctorch._utils\n_rebuild_tensor_v2\n(("
            + part(kind) + b"ctorch\n" + storage.encode() + b"\n" + part(key) + part("cpu")
            + part(count) + b"tQ" + part(offset) + part(tuple(shape)) + part(tuple(strides))
            + b"\x89ccollections\nOrderedDict\n)Rt" + b"Rs.")


def write_valid():
    state = layers()
    valid("state_dict", saved(MLP().state_dict()), state)
    for protocol in (3, 4, 5):
        valid(f"protocol{protocol}", saved(MLP().state_dict(), pickle_protocol=protocol), state)
    valid("module", saved(MLP()), state)
    valid("module_protocol4", saved(MLP(), pickle_protocol=4), state)
    valid("module_in_dict", saved({"epoch": 3, "model": MLP()}), state)
    valid("module_data_parallel", saved(nn.DataParallel(MLP())),
          {f"module.{name}": tensor for name, tensor in state.items()})
    buffered = Buffered()
    valid("module_buffers", saved(buffered), buffered.state_dict())
    prefixed = {f"_orig_mod.module.{name}": tensor for name, tensor in state.items()}
    valid("prefixes", saved(prefixed), prefixed)
    for name, dtype in (("double", torch.float64), ("half", torch.float16),
                        ("bfloat16", torch.bfloat16)):
        kept = {key: tensor.to(dtype) for key, tensor in state.items()}
        valid(name, saved(kept), kept)
    big = values(6, 8)
    views = {"transposed": big.t(), "rows": big[2:5], "steps": big[::2, 1:7:3],
             "permuted": values(2, 3, 4).permute(2, 0, 1), "scalar": big[3, 5],
             "empty": torch.zeros(0, 3), "tied": big, "one_row": big[4:5].t()}
    valid("views", saved(views), views)
    valid("deflated", repacked(saved(state), packing=zipfile.ZIP_DEFLATED), state)
    valid("byteorder", repacked(saved(state), archive__byteorder=b"little"), state)
    write_training(state)


def write_training(state):
    model = MLP()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    model.net(torch.zeros(1, 3)).sum().backward()
    optimizer.step()
    model.load_state_dict(state)
    valid("with_optimizer", saved({"model": state, "optimizer": optimizer.state_dict(),
                                   "step": 10, "loss": 0.5, "note": "n", "big": 1 << 80}), state)
    valid("lightning", saved({
        "epoch": 1, "global_step": 20, "pytorch-lightning_version": "1.8.0", "state_dict": state,
        "loops": {"fit_loop": {"state_dict": {}}}, "lr_schedulers": [],
        "callbacks": {"ModelCheckpoint{'monitor': 'val/loss'}": {"best": torch.tensor(0.25)}},
        "optimizer_states": [optimizer.state_dict()], "hyper_parameters": {"dim": 2}}), state)
    valid("with_values", saved({
        "net": state, "args": argparse.Namespace(width=64, device=torch.device("cpu")),
        "shape": torch.Size([2, 3]), "dtype": torch.float32, "raw": b"bytes", "names": {"a"},
        "path": Path("runs"), "counts": collections.defaultdict(dict), "nothing": None,
        "range": (1, -1, 70000, -70000, 2**40, -2**40, 1.5, True)}), state)


def write_invalid():
    calls = {"posix_system": (os.system, "true"), "builtins_eval": (eval, "1"),
             "builtins_getattr": (getattr, "a", "b"), "torch_load": (torch.load, "x"),
             "dict_with_members": (collections.OrderedDict, [("a", 1)]),
             "linear_called": (nn.Linear, 1, 1)}
    for name, call in calls.items():
        write("invalid", name, saved({"net.0.weight": values(2, 2), "x": Call(*call)}))
    write("invalid", "os_system",
          archive(b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R."))
    write("invalid", "os_system_protocol4",
          saved({"x": Call(os.system, "true")}, pickle_protocol=4))
    write("invalid", "numpy_reconstruct", saved({"net.0.weight": numpy.zeros((2, 2))}))
    write("invalid", "no_module", saved(Plain()))
    write("invalid", "function", saved({"net": layers(), "f": values}))
    write("invalid", "several_sets", saved({"model": layers(), "ema": layers(0.5), "epoch": 1}))
    write("invalid", "no_weights", saved({"mean": values(2), "epoch": 1}))
    write("invalid", "one_tensor", saved(values(2, 2)))
    write("invalid", "bad_name", saved({"net 0.weight": values(2, 2)}))
    write("invalid", "long_name", saved({"n" * 257: values(2, 2)}))
    write("invalid", "integers", saved({"net.0.weight": torch.ones(2, 2, dtype=torch.int64)}))
    write("invalid", "same_name", saved({"a": {"b": values(2, 2)}, "a.b": values(2, 2)}))
    nested = {"net.0.weight": values(2, 2)}
    for _ in range(64):
        nested = {"a": nested}
    write("invalid", "deep", saved(nested))
    write_bad_tensors()
    write_bad_archives()


def write_bad_tensors():
    body = values(2, 3).numpy().tobytes()
    cases = {
        "expanded": {"shape": (2, 9), "strides": (0, 0)},
        "offset_past_the_end": {"offset": 1}, "offset_negative": {"offset": -1},
        "stride_past_the_end": {"strides": (4, 1)}, "stride_negative": {"strides": (3, -1)},
        "stride_huge": {"strides": (2**30, 2**30)}, "stride_missing": {"strides": (3,)},
        "shape_wraps": {"shape": (2**30, 2**30, 2**30), "strides": (1, 1, 1)},
        "shape_over_all": {"shape": (2**62, 4), "strides": (1, 1)},
        "rank9": {"shape": (1,) * 9, "strides": (1,) * 9},
        "storage_larger": {"count": 7}, "storage_smaller": {"count": 5, "shape": (1, 5)},
        "storage_missing": {"key": "1"}, "storage_key": {"key": "../0"},
        "storage_word": {"kind": "module"}, "storage_double": {"storage": "DoubleStorage"},
        "storage_unknown": {"storage": "QUInt8Storage"}, "count_negative": {"count": -6},
        "count_huge": {"count": 2**62},
    }
    for name, wrong in cases.items():
        write("invalid", name, archive(tensor_pickle(**wrong), {"0": body}))
    write("invalid", "storage_no_class",
          archive(tensor_pickle().replace(b"ctorch\nFloatStorage\n", b"N"), {"0": body}))
    write("invalid", "tensor_no_storage",
          archive(tensor_pickle().replace(b"tQ", b"t"), {"0": body}))


def write_bad_archives():
    good = saved(layers())
    write("invalid", "cut", good[:-30])
    write("invalid", "damaged", archive(tensor_pickle(), {"0": bytes(23) + b"\1"}).replace(
        bytes(23) + b"\1", bytes(24)))
    write("invalid", "no_data_pkl", archive(b"").replace(b"data.pkl", b"data.npy"))
    write("invalid", "two_data_pkl", archive(tensor_pickle(), **{"other__data.pkl": b""}))
    write("invalid", "torch_script",
          archive(tensor_pickle(), **{"archive__constants.pkl": b""}))
    write("invalid", "big_endian", archive(tensor_pickle(), {"0": bytes(24)},
                                           archive__byteorder=b"big"))
    write("invalid", "packed_with_lzma", archive(tensor_pickle(), {"0": bytes(24)},
                                                 packing=zipfile.ZIP_LZMA))
    bomb = bytearray(archive(tensor_pickle(), {"0": bytes(24)}, packing=zipfile.ZIP_DEFLATED))
    entry = bomb.rindex(b"PK\1\2")
    bomb[entry + 24:entry + 28] = struct.pack("<I", 2**31)
    write("invalid", "bomb_stated", bytes(bomb))
    bomb = bytearray(archive(tensor_pickle(count=3, shape=(1, 3)), {"0": bytes(24)},
                             packing=zipfile.ZIP_DEFLATED))
    entry = bomb.rindex(b"PK\1\2")
    bomb[entry + 24:entry + 28] = struct.pack("<I", 12)
    write("invalid", "bomb_unstated", bytes(bomb))
    secret = bytearray(archive(tensor_pickle(), {"0": bytes(24)}))
    for at in (secret.rindex(b"PK\1\2") + 8, secret.rindex(b"PK\3\4") + 6):
        secret[at] |= 1
    write("invalid", "encrypted", bytes(secret))
    laughs = b"\x80\x02]q\x00"  # each list holds the one before ten times
    for i in range(1, 20):
        laughs += b"0](" + 10 * (b"h" + bytes([i - 1])) + b"eq" + bytes([i])
    write("invalid", "laughs", archive(laughs + b"."))
    write("invalid", "itself", archive(b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s."))


def write_corpus():
    """The pickles alone, for tests and fuzzing of their reader."""
    CORPUS.mkdir(exist_ok=True)
    for name in ("state_dict", "module", "protocol4", "lightning", "with_values"):
        with zipfile.ZipFile(GOLDEN / "valid" / name / "file.pt") as file:
            (CORPUS / name).write_bytes(file.read("archive/data.pkl"))
    for name, tensor in (("tensor", {"count": 24}), ("view", {"count": 24, "offset": 5}),
                         ("double", {"count": 12, "storage": "DoubleStorage"}),
                         ("transposed", {"count": 24, "strides": (1, 2)})):
        (CORPUS / name).write_bytes(tensor_pickle(**tensor))


write_valid()
write_invalid()
write_corpus()
