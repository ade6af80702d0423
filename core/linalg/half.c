#include "core/linalg/half.h"

#include "core/base/check.h"
#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/linalg/half_variants.h"

#include <math.h>
#include <string.h>

#ifdef HALF_HAVE_X86
#include <cpuid.h>

/* Feature bits of leaf 7, subleaf 0 in EDX and subleaf 1 in EAX. */
#define HALF_EDX_AMX ((1u << 22) | (1u << 24)) /* AMX-BF16, AMX-TILE */
#define HALF_EAX_BF16 (1u << 5)                /* AVX512-BF16 */

static bool half_runs_dot(bool amx)
{
    unsigned a = 0, b, c, d;
    (void)amx;
    return simd_select("avx512") && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & HALF_EAX_BF16);
}

static bool half_runs_amx(bool amx)
{
    unsigned a, b, c, d = 0;
    return amx && half_runs_dot(amx) && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
           (d & HALF_EDX_AMX) == HALF_EDX_AMX;
}
#endif

/* Fastest first. */
static const struct half_variant {
    const char *name;
    bool (*runs)(bool amx);
    simd_layer_fn *layers[PRECISION_COUNT];
} half_variants[] = {
#ifdef HALF_HAVE_X86
    {"amx",
     half_runs_amx,
     {[PRECISION_BF16X3] = half_amx_bf16x3, [PRECISION_BF16] = half_amx_bf16}},
    {"avx512bf16",
     half_runs_dot,
     {[PRECISION_BF16X3] = half_dot_bf16x3, [PRECISION_BF16] = half_dot_bf16}},
#endif
    {NULL, NULL, {NULL}},
};

bool half_wanted(void)
{
    const struct half_variant *variant = half_variants;
    while (variant->name && !variant->runs(false))
        variant++;
    return variant->name;
}

bool half_kernels(struct simd_kernels *out, const struct simd_kernels *f32,
                  enum precision precision, bool amx)
{
    check(precision == PRECISION_BF16X3 || precision == PRECISION_BF16);
    if (strcmp(f32->name, "avx512") != 0)
        return false;
    for (const struct half_variant *variant = half_variants; variant->name; variant++) {
        *out = *f32;
        out->name = variant->name;
        out->layer = variant->layers[precision];
        out->rows = NULL;
        if (variant->runs(amx) && half_self_test(out, precision) == 0)
            return true;
    }
    return false;
}

/* Rounds to the nearest bfloat16, ties to even; its bits are the high ones of the float. */
static uint32_t half_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (bits + 0x7fffu + ((bits >> 16) & 1)) >> 16;
}

static float half_value(uint32_t half)
{
    uint32_t bits = half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float half_high(float value)
{
    return half_value(half_bits(value));
}

static float half_low(float value)
{
    return half_high(value - half_high(value));
}

int half_pack(struct simd_layer *layer, const float *weight)
{
    if (layer->in < HALF_INPUTS_MIN)
        return 0;
    size_t part;
    if (!mem_size_mul(half_output_blocks(layer), half_pair_blocks(layer) * HALF_BLOCK, &part))
        return ERR_NOMEM;
    layer->half = mem_aligned(part, 2 * sizeof *layer->half);
    if (!layer->half)
        return ERR_NOMEM;
    for (size_t o = 0; o < layer->out; o++) {
        uint32_t *row = layer->half + o / HALF_OUTPUTS * half_pair_blocks(layer) * HALF_BLOCK +
                        o % HALF_OUTPUTS * HALF_PAIRS;
        for (size_t i = 0; i < layer->in; i++) {
            float value = weight[o * layer->in + i];
            size_t pair = i / 2;
            size_t at = pair / HALF_PAIRS * HALF_BLOCK + pair % HALF_PAIRS;
            row[at] |= half_bits(value) << i % 2 * 16;
            row[part + at] |= half_bits(value - half_high(value)) << i % 2 * 16;
        }
    }
    return 0;
}

enum { PROBE_IN = 2 * HALF_PAIRS + 5, PROBE_OUT = 18, PROBE_LANES = 3 * SIMD_LANES };

struct half_probe {
    float in[PROBE_IN * PROBE_LANES] __attribute__((aligned(MEM_ALIGN)));
    float out[(PROBE_OUT + SIMD_OUTPUTS) * PROBE_LANES] __attribute__((aligned(MEM_ALIGN)));
    float weight[PROBE_OUT * PROBE_IN];
    float bias[PROBE_OUT];
};

/* Numbers of both signs that need more than a bfloat16. */
static void half_fill(float *array, size_t count, size_t first)
{
    for (size_t i = 0; i < count; i++)
        array[i] = (float)(((i + first) * 37 + 11) % 1009) / 1024.0f - 0.5f;
}

/* The sum that a precision promises for one output in one lane. */
static double half_expected(const struct half_probe *probe, size_t o, size_t lane,
                            enum precision precision)
{
    double sum = probe->bias[o];
    for (size_t i = 0; i < PROBE_IN; i++) {
        float w = probe->weight[o * PROBE_IN + i], x = probe->in[i * PROBE_LANES + lane];
        sum += (double)half_high(w) * half_high(x);
        if (precision == PRECISION_BF16X3)
            sum += (double)half_high(w) * half_low(x) + (double)half_low(w) * half_high(x);
    }
    return sum;
}

static bool half_probe_run(const struct simd_kernels *kernels, enum precision precision,
                           struct half_probe *probe, const struct simd_layer *layer,
                           enum activation activation)
{
    /* The activations of "bf16" are good to 12 bits. */
    bool rough = precision == PRECISION_BF16 && activation != ACTIVATION_NONE;
    double allowed = rough ? 0x1p-12 : 1e-5;
    kernels->layer(probe->out, probe->in, layer, activation,
                   (struct simd_shape){.stride = PROBE_LANES, .lanes = PROBE_LANES});
    for (size_t o = 0; o < PROBE_OUT; o++) {
        for (size_t lane = 0; lane < PROBE_LANES; lane++) {
            double sum = half_expected(probe, o, lane, precision);
            double expected = activation_value(activation, (float)sum);
            double error = fabs((double)probe->out[o * PROBE_LANES + lane] - expected);
            if (!(error <= allowed * (1 + fabs(expected))))
                return false;
        }
    }
    return true;
}

int half_self_test(const struct simd_kernels *kernels, enum precision precision)
{
    struct half_probe probe;
    struct simd_layer layer;
    half_fill(probe.in, PROBE_IN * PROBE_LANES, 0);
    half_fill(probe.weight, PROBE_OUT * PROBE_IN, 5000);
    half_fill(probe.bias, PROBE_OUT, 9000);
    int code = simd_layer_init(&layer, probe.weight, probe.bias, PROBE_IN, PROBE_OUT);
    if (!code && !layer.half)
        code = half_pack(&layer, probe.weight);
    bool good = code == 0;
    for (int i = 0; i < ACTIVATION_COUNT && good; i++)
        good = half_probe_run(kernels, precision, &probe, &layer, (enum activation)i);
    simd_layer_release(&layer);
    return code ? code : good ? 0 : ERR_INTERNAL;
}
