/* The AMX layers on emulated tiles. What they convert and finish with is AVX512-BF16, which the
   processor must have. */
#include "core/linalg/half.h"
#include "tests/unit/linalg/half_bench.h"
#include "tests/unit/unit.h"

/* half_amx.c built with amx_emulation.h. */
simd_layer_fn emulated_bf16x3, emulated_bf16;

static struct simd_kernels kernels[PRECISION_COUNT];

static void fill_kernels(void)
{
    kernels[PRECISION_BF16X3] = kernels[PRECISION_BF16] = *simd_select("avx512");
    kernels[PRECISION_BF16X3].layer = emulated_bf16x3;
    kernels[PRECISION_BF16].layer = emulated_bf16;
}

/* Whole numbers of up to nine bits, most of them 0: a float holds every sum of their products. */
static float whole_number(size_t i)
{
    uint32_t hash = (uint32_t)i * 2654435761u;
    return hash >> 30 ? 0.0f : (float)(hash >> 7 & 1023) - 511;
}

/* Sizes around tiles, pairs, strips, and blocks of outputs. */
static const struct {
    size_t in, out;
} sizes[] = {{32, 16}, {33, 1}, {64, 32}, {95, 33}, {130, 50}, {512, 3}, {1100, 20}};

static void check_exact(enum precision precision, size_t in, size_t out, size_t lanes)
{
    enum { STRIDE = 64 };
    struct half_bench bench;
    half_bench_init(&bench, in, out, STRIDE, whole_number);
    const float untouched = -1e30f;
    for (size_t i = 0; i < simd_whole_outputs(out) * STRIDE; i++)
        bench.y[i] = untouched;
    half_bench_run(&bench, &kernels[precision], ACTIVATION_NONE, lanes);
    for (size_t o = 0; o < out; o++) {
        for (size_t lane = 0; lane < STRIDE; lane++) {
            double size, expected = half_bench_sum(&bench, o, lane, precision, &size);
            float value = bench.y[o * STRIDE + lane];
            ck_assert(size < 0x1p24);
            if (lane >= lanes)
                ck_assert(value == untouched);
            else
                ck_assert_msg(value == (float)expected, "%zu x %zu, %zu lanes: %g, not %g", in, out,
                              lanes, (double)value, expected);
        }
    }
    half_bench_release(&bench);
}

START_TEST(sums_are_exact_where_they_can_be)
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t lanes = 16; lanes <= 48; lanes += 32) {
            check_exact(PRECISION_BF16, sizes[i].in, sizes[i].out, lanes);
            check_exact(PRECISION_BF16X3, sizes[i].in, sizes[i].out, lanes);
        }
    }
}
END_TEST

START_TEST(every_activation_passes_the_self_test)
{
    ck_assert_int_eq(half_self_test(&kernels[PRECISION_BF16X3], PRECISION_BF16X3), 0);
    ck_assert_int_eq(half_self_test(&kernels[PRECISION_BF16], PRECISION_BF16), 0);
    ck_assert_int_ne(half_self_test(&kernels[PRECISION_BF16], PRECISION_BF16X3), 0);
}
END_TEST

START_TEST(tiles_and_vectors_agree)
{
    struct simd_kernels dot;
    struct half_bench bench;
    const struct simd_kernels *f32 = simd_select("avx512");
    ck_assert(half_kernels(&dot, f32, PRECISION_BF16X3, false));
    half_bench_init(&bench, 70, 40, 32, whole_number);
    half_bench_run(&bench, &dot, ACTIVATION_NONE, 32);
    float *first = bench.y;
    bench.y = mem_aligned(40 * 32, sizeof(float));
    half_bench_run(&bench, &kernels[PRECISION_BF16X3], ACTIVATION_NONE, 32);
    ck_assert_mem_eq(first, bench.y, 40 * 32 * sizeof *first);
    mem_free(first);
    half_bench_release(&bench);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("half_amx");
    TCase *tests = tcase_create("half_amx");
    if (!half_wanted()) {
        printf("skipped: this processor has no AVX512-BF16\n");
        return 77;
    }
    fill_kernels();
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, sums_are_exact_where_they_can_be);
    tcase_add_test(tests, every_activation_passes_the_self_test);
    tcase_add_test(tests, tiles_and_vectors_agree);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
