/* One layer on one thread: GFLOP/s of each variant of the tile kernels that this machine runs,
   beside OpenBLAS on the same product (which leaves bias and activation to others) and the peak.
   Whole networks are in bench_precision. The machine is shared: the fastest of several runs counts,
   and ratios say more than figures. */
#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/linalg/mat.h"
#include "core/linalg/simd.h"
#include "tests/bench/peak.h"

#include <stdio.h>
#include <time.h>

enum { RUNS = 20, REPEATS = 8 };
static const double RUN_SECONDS = 2e-3;

struct problem {
    size_t in, out, lanes;
    enum activation activation;
    float *weight, *x, *y;
    struct simd_layer layer;
    const struct simd_kernels *kernels; /* NULL: BLAS */
};

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void compute(const struct problem *p)
{
    if (p->kernels)
        p->kernels->layer(p->y, p->x, &p->layer, p->activation,
                          (struct simd_shape){.stride = p->lanes, .lanes = p->lanes});
    else
        mat_multiply(mat_view(p->y, p->out, p->lanes), mat_view(p->weight, p->out, p->in), false,
                     mat_view(p->x, p->in, p->lanes), false, false);
}

/* GFLOP/s of the product: the fastest of RUNS runs of about RUN_SECONDS. */
static double measure(const struct problem *p)
{
    double flops = 2.0 * (double)p->in * (double)p->out * (double)p->lanes;
    double best = 0;
    for (int run = 0; run < RUNS; run++) {
        double start = seconds(), passed;
        double done = 0;
        do {
            for (int i = 0; i < REPEATS; i++)
                compute(p);
            done += REPEATS * flops;
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

static void bench(size_t in, size_t out, size_t lanes, enum activation activation, double peak)
{
    struct problem p = {.in = in, .out = out, .lanes = lanes, .activation = activation};
    p.weight = numbers(in * out);
    p.x = numbers(in * lanes);
    p.y = numbers((out + SIMD_OUTPUTS) * lanes);
    check(simd_layer_init(&p.layer, p.weight, NULL, in, out) == 0);
    double blas = measure(&p);
    printf("%zu x %zu x %zu %s: OpenBLAS %.1f", in, out, lanes, activation_name(activation), blas);
    for (size_t i = 0; simd_variant(i); i++) {
        p.kernels = simd_select(simd_variant(i));
        if (!p.kernels)
            continue;
        double rate = measure(&p);
        printf(", %s %.1f (%.2f, %.0f %%)", p.kernels->name, rate, rate / blas,
               100 * rate / peak);
        fflush(stdout);
    }
    printf("\n");
    simd_layer_release(&p.layer);
    mem_free(p.weight);
    mem_free(p.x);
    mem_free(p.y);
}

int main(void)
{
    if (mat_start() != 0)
        return 1;
    double peak = peak_measure(1);
    printf("GFLOP/s (ratio to OpenBLAS, share of the peak of %.0f), in x out x lanes; %s\n", peak,
           mat_backend());
    bench(512, 512, 64, ACTIVATION_NONE, peak);
    bench(512, 512, 64, ACTIVATION_SILU, peak);
    bench(512, 512, 16, ACTIVATION_SILU, peak);
    bench(256, 256, 64, ACTIVATION_SILU, peak);
    for (int i = 0; i < ACTIVATION_COUNT; i++)
        bench(64, 64, 64, (enum activation)i, peak);
    bench(64, 64, 16, ACTIVATION_SILU, peak);
    bench(64, 2, 64, ACTIVATION_NONE, peak);
    bench(1024, 1024, 64, ACTIVATION_SILU, peak);
    return 0;
}
