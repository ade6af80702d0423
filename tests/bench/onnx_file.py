"""Writes ONNX files by hand: just the parts of the protobuf format that a velocity field needs.

step: (x [n, d], t [n, 1], h [1]) -> x + h u(x, t), to be called once a step.
loop: (x0 [n, d], ones [n, 1], h [1], steps) -> the state after that many steps, the loop inside."""
import numpy as np

FLOAT, INT64, BOOL = 1, 7, 9
ATTRIBUTE_INT, ATTRIBUTE_GRAPH = 2, 5
OPSET, IR_VERSION = 17, 8


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def field(number, value):
    """A field of a message: an integer, a text, or the bytes of a message within."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def message(*fields):
    return b"".join(field(number, value) for number, value in fields)


def tensor(name, array):
    array = np.asarray(array)
    kind = {"float32": FLOAT, "int64": INT64, "bool": BOOL}[str(array.dtype)]
    return message(*((1, size) for size in array.shape), (2, kind), (8, name),
                   (9, array.tobytes()))


def value_info(name, kind, shape):
    """shape: sizes, or the names of sizes that are free."""
    sizes = b"".join(field(1, message((1 if isinstance(size, int) else 2, size))) for size in shape)
    return message((1, name), (2, message((1, message((1, kind), (2, sizes))))))


def node(kind, inputs, outputs, *attributes):
    return message(*((1, name) for name in inputs), *((2, name) for name in outputs), (4, kind),
                   *((5, attribute) for attribute in attributes))


def attribute(name, value):
    """An integer or a graph."""
    if isinstance(value, int):
        return message((1, name), (3, value), (20, ATTRIBUTE_INT))
    return message((1, name), (6, value), (20, ATTRIBUTE_GRAPH))


def graph(nodes, constants, inputs, outputs):
    return message(*((1, part) for part in nodes), (2, "field"), *((5, part) for part in constants),
                   *((11, part) for part in inputs), *((12, part) for part in outputs))


def model(content):
    return message((1, IR_VERSION), (2, "advectd bench"), (7, content),
                   (8, message((1, ""), (2, OPSET))))


def euler(layers):
    """Nodes and constants of x, t, h -> y = x + h u(x, t); layers: [(weight, bias)], SiLU between
    them, time behind x."""
    nodes, constants = [node("Concat", ["x", "t"], ["a0"], attribute("axis", 1))], []
    for i, (weight, bias) in enumerate(layers):
        constants += [tensor(f"w{i}", weight), tensor(f"b{i}", bias)]
        last = i == len(layers) - 1
        nodes.append(node("Gemm", [f"a{i}", f"w{i}", f"b{i}"], ["v" if last else f"z{i}"],
                          attribute("transB", 1)))
        if not last:
            nodes += [node("Sigmoid", [f"z{i}"], [f"s{i}"]),
                      node("Mul", [f"z{i}", f"s{i}"], [f"a{i + 1}"])]
    nodes += [node("Mul", ["v", "h"], ["hv"]), node("Add", ["x", "hv"], ["y"])]
    return nodes, constants


def step_model(layers, rows):
    """rows: their number, or the name of a free size."""
    nodes, constants = euler(layers)
    dim = len(layers[-1][1])
    return model(graph(nodes, constants,
                       [value_info("x", FLOAT, [rows, dim]), value_info("t", FLOAT, [rows, 1]),
                        value_info("h", FLOAT, [1])],
                       [value_info("y", FLOAT, [rows, dim])]))


def loop_model(layers, rows):
    nodes, constants = euler(layers)
    dim = len(layers[-1][1])
    body = graph(
        [node("Cast", ["i"], ["i_float"], attribute("to", FLOAT)),
         node("Mul", ["i_float", "h"], ["time"]), node("Mul", ["ones", "time"], ["t"]), *nodes,
         node("Identity", ["go"], ["go_on"])],
        constants,
        [value_info("i", INT64, []), value_info("go", BOOL, []),
         value_info("x", FLOAT, [rows, dim])],
        [value_info("go_on", BOOL, []), value_info("y", FLOAT, [rows, dim])])
    outer = graph(
        [node("Loop", ["steps", "true", "x0"], ["x1"], attribute("body", body))],
        [tensor("true", np.bool_(True))],
        [value_info("x0", FLOAT, [rows, dim]), value_info("ones", FLOAT, [rows, 1]),
         value_info("h", FLOAT, [1]), value_info("steps", INT64, [])],
        [value_info("x1", FLOAT, [rows, dim])])
    return model(outer)
