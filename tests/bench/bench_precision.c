/* Layers and whole networks in each precision on one thread, for a tile and for one row: GFLOP/s
   beside float32, and the share of the peaks that this processor reaches from registers, in f32
   multiply-adds and in vdpbf16ps. The machine is shared: the
   fastest of several runs counts, and ratios say more than figures. */
#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/linalg/half.h"
#include "core/net/net.h"
#include "tests/bench/peak.h"

#include <stdio.h>
#include <time.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { RUNS = 20, LANES = 64 };
static const double RUN_SECONDS = 2e-3;

static struct simd_kernels kernels[PRECISION_COUNT];
static bool offered[PRECISION_COUNT];
static double peaks[PRECISION_COUNT]; /* 0: not known */

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Floating-point operations a second, in 10^9: the fastest of RUNS runs of about RUN_SECONDS. */
static double measure(void (*compute)(const void *work), const void *work, double flops)
{
    double best = 0;
    for (int run = 0; run < RUNS; run++) {
        double start = seconds(), passed, done = 0;
        do {
            compute(work);
            done += flops;
            passed = seconds() - start;
        } while (passed < RUN_SECONDS);
        best = done / passed > best ? done / passed : best;
    }
    return best * 1e-9;
}

static float *numbers(size_t count)
{
    float *array = mem_aligned(count, sizeof *array);
    check(array);
    for (size_t i = 0; i < count; i++)
        array[i] = (float)(i * 37 % 101) / 101.0f - 0.5f;
    return array;
}

#if defined(__x86_64__)
enum { PEAK_SUMS = 12, PEAK_ROUNDS = 1000 };

__attribute__((target("avx512f,avx512bf16"))) static void peak_compute(const void *work)
{
    const __m512bh x = (__m512bh)_mm512_set1_epi32(*(const int *)work);
    __m512 a = _mm512_setzero_ps(), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
    __m512 i = a, j = a, k = a, l = a;
    for (int round = 0; round < PEAK_ROUNDS; round++) {
#define PEAK_ADD(sum)                                                                              \
    sum = _mm512_dpbf16_ps(sum, x, x);                                                             \
    __asm__ volatile("" : "+v"(sum))
        PEAK_ADD(a);
        PEAK_ADD(b);
        PEAK_ADD(c);
        PEAK_ADD(d);
        PEAK_ADD(e);
        PEAK_ADD(f);
        PEAK_ADD(g);
        PEAK_ADD(h);
        PEAK_ADD(i);
        PEAK_ADD(j);
        PEAK_ADD(k);
        PEAK_ADD(l);
#undef PEAK_ADD
    }
}
#endif

/* Of vdpbf16ps; 0 where there is none. */
static double half_peak(void)
{
#if defined(__x86_64__)
    static const int one = 0x3f803f80;
    if (half_wanted())
        return measure(peak_compute, &one, 64.0 * PEAK_SUMS * PEAK_ROUNDS);
#endif
    return 0;
}

struct layer_work {
    struct simd_layer layer;
    float *x, *y;
    const struct simd_kernels *kernels;
};

static void layer_compute(const void *work)
{
    const struct layer_work *layer = work;
    layer->kernels->layer(layer->y, layer->x, &layer->layer, ACTIVATION_SILU,
                          (struct simd_shape){.stride = LANES, .lanes = LANES});
}

/* One line: a rate for each precision, its ratio to float32 and its share of the peak. */
static void report(void (*compute)(const void *work), const void *work,
                   const struct simd_kernels **place, double flops)
{
    double f32 = 0;
    for (int i = 0; i < PRECISION_COUNT; i++) {
        if (!offered[i])
            continue;
        *place = &kernels[i];
        double rate = measure(compute, work, flops);
        f32 = i == PRECISION_F32 ? rate : f32;
        printf("  %s %6.1f (%.2fx", precision_name((enum precision)i), rate, rate / f32);
        if (peaks[i] > 0)
            printf(", %.0f %% of peak", 100 * rate / peaks[i]);
        printf(")");
        fflush(stdout);
    }
    printf("\n");
}

static void bench_layer(size_t width)
{
    struct layer_work work = {.x = numbers(width * LANES), .y = numbers(width * LANES)};
    float *weight = numbers(width * width);
    check(simd_layer_init(&work.layer, weight, NULL, width, width) == 0);
    printf("layer %zu x %zu, %d lanes, silu:", width, width, LANES);
    report(layer_compute, &work, &work.kernels, 2.0 * (double)width * (double)width * LANES);
    simd_layer_release(&work.layer);
    mem_free(weight);
    mem_free(work.x);
    mem_free(work.y);
}

struct net_work {
    struct net net;
    float *x, *t, *v, *scratch;
    size_t lanes;
    const struct simd_kernels *kernels;
};

static void net_compute(const void *work)
{
    const struct net_work *net = work;
    net_velocity(&net->net, net->kernels, net->v, net->x, net->t, net->scratch,
                 (struct simd_shape){.stride = LANES, .lanes = net->lanes});
}

static void bench_net(size_t dim, size_t width, size_t layers, enum activation activation,
                      size_t rows)
{
    struct net_spec spec = {.dim = dim,
                            .activation = activation,
                            .time = {.input = TIME_LAST, .scale = 1},
                            .hidden_count = layers};
    struct net_work work = {.x = numbers(dim * LANES), .t = numbers(LANES), .lanes = rows};
    for (size_t i = 0; i < layers; i++)
        spec.hidden[i] = width;
    check(net_init(&work.net, &spec, NULL) == 0);
    net_randomize(work.net.params, &spec, 1);
    check(net_pack(&work.net) == 0);
    work.v = numbers(simd_whole_outputs(dim) * LANES);
    work.scratch = numbers(net_scratch(&spec, LANES));
    printf("network (%zu, %zu, %zu) %s, n = %zu:", dim, width, layers, activation_name(activation),
           rows);
    report(net_compute, &work, &work.kernels, 2 * net_cost(&spec) * (double)rows);
    net_release(&work.net);
    mem_free(work.x);
    mem_free(work.t);
    mem_free(work.v);
    mem_free(work.scratch);
}

int main(void)
{
    kernels[PRECISION_F32] = *simd_select(NULL);
    offered[PRECISION_F32] = true;
    for (int i = PRECISION_F32 + 1; i < PRECISION_COUNT; i++) {
        offered[i] = half_kernels(&kernels[i], &kernels[PRECISION_F32], (enum precision)i, false);
        if (!offered[i])
            printf("%s: not on this machine, skipped\n", precision_name((enum precision)i));
    }
    peaks[PRECISION_F32] = peak_measure(1);
    peaks[PRECISION_BF16] = half_peak();
    peaks[PRECISION_BF16X3] = peaks[PRECISION_BF16] / 3;
    printf("GFLOP/s, one thread (ratio to f32); peaks: f32 %.0f, vdpbf16ps %.0f\n",
           peaks[PRECISION_F32], peaks[PRECISION_BF16]);
    for (size_t width = 64; width <= 1024; width *= 2)
        bench_layer(width);
    for (int i = 0; i < ACTIVATION_COUNT; i++)
        bench_net(2, 64, 3, (enum activation)i, LANES);
    bench_net(32, 256, 4, ACTIVATION_SILU, LANES);
    bench_net(2, 512, 4, ACTIVATION_SILU, LANES);
    bench_net(784, 1024, 4, ACTIVATION_SILU, LANES);
    bench_net(2, 64, 3, ACTIVATION_SILU, 1);
    bench_net(2, 512, 4, ACTIVATION_SILU, 1);
    bench_net(784, 1024, 4, ACTIVATION_SILU, 1);
    return 0;
}
