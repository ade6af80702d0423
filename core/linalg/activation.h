/* Elementwise nonlinearities by name; the kernels of simd.h and the training passes share them. */
#ifndef CORE_LINALG_ACTIVATION_H
#define CORE_LINALG_ACTIVATION_H

#include <stdbool.h>
#include <stddef.h>

/* As in PyTorch: ELU with alpha 1, GELU exact (erf) and the tanh approximation. Largest errors of
   the kernels in units in the last place of the result (or of 1e-28, if that is larger), over all
   floats: SiLU 3, ELU 2, SELU 3, GELU 6, tanh 3; GELU's tanh form 6 of the result or of 0.1. */
#define ACTIVATIONS(X)                                                                             \
    X(NONE, "none")                                                                                \
    X(SILU, "silu")                                                                                \
    X(RELU, "relu")                                                                                \
    X(ELU, "elu")                                                                                  \
    X(SELU, "selu")                                                                                \
    X(GELU, "gelu")                                                                                \
    X(GELU_TANH, "gelu_tanh")                                                                      \
    X(TANH, "tanh")

enum activation {
#define ACTIVATION_ENUM(code, name) ACTIVATION_##code,
    ACTIVATIONS(ACTIVATION_ENUM)
#undef ACTIVATION_ENUM
        ACTIVATION_COUNT
};

/* Static; check()s the range. */
const char *activation_name(enum activation activation);
/* False when there is none of that name. "swish" is SiLU's other name and is known. */
bool activation_find(const char *name, enum activation *out);

/* Scalar reference in float; y = f(z) and dy/dz. Used where no vector is at hand, and by tests. */
float activation_value(enum activation activation, float z);
float activation_slope(enum activation activation, float z);

#endif
