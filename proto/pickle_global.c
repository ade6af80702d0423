#include "proto/pickle_global.h"

#include <string.h>

#define CALLED(module, name, role)                                                                 \
    {                                                                                              \
        module, name, PICKLE_ROLE_##role, DTYPE_F32, false                                         \
    }
#define STORAGE(name, dtype)                                                                       \
    {                                                                                              \
        "torch", name "Storage", PICKLE_ROLE_STORAGE, dtype, false                                 \
    }
#define OTHER_STORAGE(module, name)                                                                \
    {                                                                                              \
        module, name "Storage", PICKLE_ROLE_STORAGE, DTYPE_F32, true                               \
    }
#define NAME(module, name)                                                                         \
    {                                                                                              \
        module, name, PICKLE_ROLE_NAME, DTYPE_F32, false                                           \
    }

static const struct pickle_global globals[] = {
    CALLED("torch._utils", "_rebuild_tensor_v2", TENSOR),
    CALLED("torch._utils", "_rebuild_parameter", FIRST),
    CALLED("torch._utils", "_rebuild_parameter_with_state", FIRST),
    CALLED("collections", "OrderedDict", DICT),
    CALLED("collections", "defaultdict", DICT),
    STORAGE("Float", DTYPE_F32),
    STORAGE("Double", DTYPE_F64),
    STORAGE("Half", DTYPE_F16),
    STORAGE("BFloat16", DTYPE_BF16),
    OTHER_STORAGE("torch", "Long"),
    OTHER_STORAGE("torch", "Int"),
    OTHER_STORAGE("torch", "Short"),
    OTHER_STORAGE("torch", "Char"),
    OTHER_STORAGE("torch", "Byte"),
    OTHER_STORAGE("torch", "Bool"),
    OTHER_STORAGE("torch", "ComplexFloat"),
    OTHER_STORAGE("torch", "ComplexDouble"),
    OTHER_STORAGE("torch.storage", "Untyped"),
    CALLED("torch", "Size", FIRST),
    CALLED("torch", "device", PLAIN),
    NAME("torch", "float32"),
    NAME("torch", "float64"),
    NAME("torch", "float16"),
    NAME("torch", "bfloat16"),
    NAME("torch", "int64"),
    NAME("torch", "int32"),
    NAME("torch", "uint8"),
    NAME("torch", "bool"),
    NAME("torch", "strided"),
    /* Python 2's and Python 3's names of the same; protocol 2 writes the former. */
    CALLED("__builtin__", "set", FIRST),
    CALLED("builtins", "set", FIRST),
    CALLED("__builtin__", "frozenset", FIRST),
    CALLED("builtins", "frozenset", FIRST),
    NAME("__builtin__", "dict"),
    NAME("builtins", "dict"),
    NAME("__builtin__", "list"),
    NAME("builtins", "list"),
    NAME("__builtin__", "int"),
    NAME("builtins", "int"),
    NAME("__builtin__", "float"),
    NAME("builtins", "float"),
    CALLED("_codecs", "encode", PLAIN),
    CALLED("pathlib", "PosixPath", PLAIN),
    CALLED("argparse", "Namespace", RECORD),
    CALLED("torch.nn.", NULL, RECORD),
};

static const struct pickle_global unlisted = CALLED("", "", UNLISTED);

bool pickle_text_is(struct pickle_text text, const char *word)
{
    return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

static bool begins(struct pickle_text text, const char *start)
{
    size_t length = strlen(start);
    return text.size >= length && memcmp(text.data, start, length) == 0;
}

const struct pickle_global *pickle_global_find(struct pickle_text module, struct pickle_text name)
{
    for (size_t i = 0; i < sizeof globals / sizeof globals[0]; i++) {
        const struct pickle_global *global = &globals[i];
        bool same = global->name ? pickle_text_is(module, global->module) &&
                                       pickle_text_is(name, global->name)
                                 : begins(module, global->module);
        if (same)
            return global;
    }
    return &unlisted;
}
