/* What the tests of half.h share: a layer with its inputs and outputs, and what its sums ought to
   be. */
#ifndef TESTS_UNIT_LINALG_HALF_BENCH_H
#define TESTS_UNIT_LINALG_HALF_BENCH_H

#include "core/base/mem.h"
#include "core/linalg/half.h"

#include <check.h>
#include <math.h>
#include <string.h>

struct half_bench {
    struct simd_layer layer;
    float *weight, *bias, *x, *y;
    size_t in, out, stride;
};

/* x: [in][stride], y: [whole outputs][stride], filled by `number(i)` in turn. */
static inline void half_bench_init(struct half_bench *bench, size_t in, size_t out, size_t stride,
                                   float (*number)(size_t i))
{
    *bench = (struct half_bench){.in = in, .out = out, .stride = stride};
    bench->weight = mem_aligned(in * out, sizeof(float));
    bench->bias = mem_aligned(out, sizeof(float));
    bench->x = mem_aligned(in * stride, sizeof(float));
    bench->y = mem_aligned(simd_whole_outputs(out) * stride, sizeof(float));
    ck_assert(bench->weight && bench->bias && bench->x && bench->y);
    for (size_t i = 0; i < in * out; i++)
        bench->weight[i] = number(i);
    for (size_t i = 0; i < out; i++)
        bench->bias[i] = number(i + 1000003);
    for (size_t i = 0; i < in * stride; i++)
        bench->x[i] = number(i + 2000003);
    ck_assert_int_eq(simd_layer_init(&bench->layer, bench->weight, bench->bias, in, out), 0);
    if (!bench->layer.half)
        ck_assert_int_eq(half_pack(&bench->layer, bench->weight), 0);
}

static inline void half_bench_release(struct half_bench *bench)
{
    simd_layer_release(&bench->layer);
    mem_free(bench->weight);
    mem_free(bench->bias);
    mem_free(bench->x);
    mem_free(bench->y);
}

static inline void half_bench_run(struct half_bench *bench, const struct simd_kernels *kernels,
                                  enum activation activation, size_t lanes)
{
    kernels->layer(bench->y, bench->x, &bench->layer, activation,
                   (struct simd_shape){.stride = bench->stride, .lanes = lanes});
}

static inline float half_bench_high(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits = (bits + 0x7fffu + ((bits >> 16) & 1)) & 0xffff0000u;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* One sum in double, of exact operands (F32) or of the parts that a precision takes; *size: the sum
   of the absolute products. */
static inline double half_bench_sum(const struct half_bench *bench, size_t o, size_t lane,
                                    enum precision precision, double *size)
{
    double sum = bench->bias[o];
    *size = fabs(sum);
    for (size_t i = 0; i < bench->in; i++) {
        float w = bench->weight[o * bench->in + i], x = bench->x[i * bench->stride + lane];
        double wh = half_bench_high(w), xh = half_bench_high(x);
        double wl = half_bench_high((float)(w - wh)), xl = half_bench_high((float)(x - xh));
        double product = precision == PRECISION_F32    ? (double)w * x
                         : precision == PRECISION_BF16 ? wh * xh
                                                       : wh * xh + wh * xl + wl * xh;
        sum += product;
        *size += fabs(product);
    }
    return sum;
}

#endif
