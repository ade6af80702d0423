#include "core/linalg/simd.h"

#include "core/base/check.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/linalg/half.h"
#include "core/linalg/tile_kernels.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static bool simd_runs_always(void)
{
    return true;
}

#ifdef SIMD_HAVE_X86
static bool simd_runs_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
}

static bool simd_runs_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#endif

/* Widest first. */
static const struct {
    const struct simd_kernels *kernels;
    bool (*runs)(void);
} simd_variants[] = {
#ifdef SIMD_HAVE_X86
    {&tile_kernels_avx512, simd_runs_avx512},
    {&tile_kernels_avx2, simd_runs_avx2},
#endif
#ifdef SIMD_HAVE_NEON
    {&tile_kernels_neon, simd_runs_always},
#endif
    {&tile_kernels_plain, simd_runs_always},
};

enum { SIMD_VARIANTS = sizeof simd_variants / sizeof simd_variants[0] };

const struct simd_kernels *simd_select(const char *name)
{
    for (size_t i = 0; i < SIMD_VARIANTS; i++) {
        const struct simd_kernels *kernels = simd_variants[i].kernels;
        if ((!name || strcmp(name, kernels->name) == 0) && simd_variants[i].runs())
            return kernels;
    }
    return NULL;
}

const char *simd_variant(size_t i)
{
    return i < SIMD_VARIANTS ? simd_variants[i].kernels->name : NULL;
}

int simd_layer_init(struct simd_layer *layer, const float *weight, const float *bias, size_t in,
                    size_t out)
{
    check(in > 0 && out > 0 && out <= SIZE_MAX - SIMD_PANEL);
    size_t padded = simd_whole_panels(out);
    size_t count;
    *layer = (struct simd_layer){.in = in, .out = out};
    if (!mem_size_mul(padded, in, &count))
        return ERR_NOMEM;
    layer->weights = mem_aligned(count, sizeof(float));
    layer->bias = mem_aligned(padded, sizeof(float));
    if (!layer->weights || !layer->bias) {
        simd_layer_release(layer);
        return ERR_NOMEM;
    }
    for (size_t o = 0; o < out; o++) {
        float *packed = layer->weights + o / SIMD_PANEL * SIMD_PANEL * in + o % SIMD_PANEL;
        for (size_t i = 0; i < in; i++)
            packed[i * SIMD_PANEL] = weight[o * in + i];
    }
    if (bias)
        memcpy(layer->bias, bias, out * sizeof *bias);
    if (half_wanted() && half_pack(layer, weight)) {
        simd_layer_release(layer);
        return ERR_NOMEM;
    }
    return 0;
}

void simd_layer_release(struct simd_layer *layer)
{
    mem_free(layer->weights);
    mem_free(layer->bias);
    mem_free(layer->half);
    *layer = (struct simd_layer){0};
}
