/* Linked into the programs with --wrap=simd_select: what they choose first has one
   wrong bit. */
#include "core/linalg/simd.h"

#include <string.h>

const struct simd_kernels *__real_simd_select(const char *name);
const struct simd_kernels *__wrap_simd_select(const char *name);

static const struct simd_kernels *whole;
static struct simd_kernels damaged;

static void damaged_layer(float *out, const float *in, const struct simd_layer *layer,
                          enum activation activation, struct simd_shape shape)
{
    uint32_t bits;
    float *value = out + (layer->out - 1) * shape.stride;
    whole->layer(out, in, layer, activation, shape);
    memcpy(&bits, value, sizeof bits);
    bits ^= activation == ACTIVATION_GELU;
    memcpy(value, &bits, sizeof bits);
}

const struct simd_kernels *__wrap_simd_select(const char *name)
{
    const struct simd_kernels *chosen = __real_simd_select(name);
    if (!chosen || whole)
        return chosen;
    whole = chosen;
    damaged = *whole;
    damaged.layer = damaged_layer;
    damaged.rows = NULL;
    return &damaged;
}
