#include "core/linalg/simd.h"

#include "core/base/check.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/linalg/half.h"
#include "core/linalg/tile_kernels.h"

#include <math.h>
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

enum { PROBE_IN = 7, PROBE_OUT = 6, PROBE_ROWS = 8, PROBE_LANES = 3 * SIMD_LANES };

/* Small numbers of both signs that no two places share. */
static float simd_probe(size_t i)
{
    return (float)((i * 37 + 11) % 101) / 32.0f - 1.5f;
}

static bool simd_near(float value, double expected)
{
    return fabs((double)value - expected) <= 1e-5 * (1 + fabs(expected));
}

struct simd_test {
    float in[PROBE_ROWS * PROBE_LANES] __attribute__((aligned(MEM_ALIGN)));
    float out[PROBE_ROWS * PROBE_LANES] __attribute__((aligned(MEM_ALIGN)));
    float weight[PROBE_OUT * PROBE_IN];
    float bias[PROBE_OUT];
};

static bool simd_test_layer(const struct simd_kernels *kernels, struct simd_test *test,
                            const struct simd_layer *layer, enum activation activation)
{
    struct simd_shape shape = {.stride = PROBE_LANES, .lanes = PROBE_LANES};
    kernels->layer(test->out, test->in, layer, activation, shape);
    for (size_t o = 0; o < PROBE_OUT; o++) {
        for (size_t lane = 0; lane < PROBE_LANES; lane++) {
            double sum = test->bias[o];
            for (size_t i = 0; i < PROBE_IN; i++)
                sum += (double)test->weight[o * PROBE_IN + i] * test->in[i * PROBE_LANES + lane];
            if (!simd_near(test->out[o * PROBE_LANES + lane],
                           activation_value(activation, (float)sum)))
                return false;
        }
    }
    return true;
}

static bool simd_test_combine(const struct simd_kernels *kernels, struct simd_test *test)
{
    const float *h = test->in;
    const float *k[] = {test->in + PROBE_LANES, test->in, test->in + 2 * PROBE_LANES};
    const float c[] = {0.25f, 0, -0.5f};
    kernels->combine(test->out, test->in, h, c, k, 3, 1,
                     (struct simd_shape){.stride = PROBE_LANES, .lanes = PROBE_LANES});
    for (size_t i = 0; i < PROBE_LANES; i++) {
        double sum = 0.25 * k[0][i] - 0.5 * k[2][i];
        if (!simd_near(test->out[i], test->in[i] + h[i] * sum))
            return false;
    }
    return true;
}

static bool simd_test_activate(const struct simd_kernels *kernels, struct simd_test *test,
                               enum activation activation)
{
    float *slope = test->out + PROBE_LANES;
    memcpy(slope, test->in, PROBE_LANES * sizeof *slope);
    kernels->activate(test->out, slope, activation, PROBE_LANES);
    for (size_t i = 0; i < PROBE_LANES; i++) {
        float z = test->in[i];
        if (!simd_near(test->out[i], (double)activation_value(activation, z)) ||
            !simd_near(slope[i], (double)activation_slope(activation, z)))
            return false;
    }
    return true;
}

int simd_self_test(const struct simd_kernels *kernels)
{
    struct simd_test test;
    struct simd_layer layer;
    for (size_t i = 0; i < PROBE_ROWS * PROBE_LANES; i++)
        test.in[i] = simd_probe(i);
    for (size_t i = 0; i < PROBE_OUT * PROBE_IN; i++)
        test.weight[i] = simd_probe(i + 5000);
    for (size_t i = 0; i < PROBE_OUT; i++)
        test.bias[i] = simd_probe(i + 9000);
    int code = simd_layer_init(&layer, test.weight, test.bias, PROBE_IN, PROBE_OUT);
    if (code)
        return code;
    bool good = simd_test_combine(kernels, &test);
    for (int i = 0; i < ACTIVATION_COUNT; i++) {
        enum activation activation = (enum activation)i;
        good = good && simd_test_layer(kernels, &test, &layer, activation) &&
               simd_test_activate(kernels, &test, activation);
    }
    simd_layer_release(&layer);
    return good ? 0 : ERR_INTERNAL;
}
