#include "core/linalg/half.h"

#include "core/base/err.h"
#include "tests/unit/linalg/half_bench.h"
#include "tests/unit/unit.h"

static struct simd_kernels kernels[PRECISION_COUNT];

static float random_number(size_t i)
{
    uint32_t hash = (uint32_t)i * 2654435761u;
    hash = (hash ^ hash >> 15) * 2246822519u;
    hash = (hash ^ hash >> 13) * 3266489917u;
    return (float)(hash >> 8) / (1 << 23) - 1;
}

static const enum precision halves[] = {PRECISION_BF16X3, PRECISION_BF16};

START_TEST(only_avx512_has_bf16_kernels)
{
    struct simd_kernels out;
    for (size_t i = 0; simd_variant(i); i++) {
        const struct simd_kernels *f32 = simd_select(simd_variant(i));
        bool wide = strcmp(simd_variant(i), "avx512") == 0;
        for (size_t p = 0; f32 && p < 2; p++)
            ck_assert(half_kernels(&out, f32, halves[p], false) == wide);
    }
}
END_TEST

START_TEST(all_but_the_layers_is_as_in_float32)
{
    const struct simd_kernels *f32 = simd_select("avx512");
    for (size_t p = 0; p < 2; p++) {
        const struct simd_kernels *half = &kernels[halves[p]];
        ck_assert_str_eq(half->name, "avx512bf16");
        ck_assert(half->layer != f32->layer);
        ck_assert_ptr_null(half->rows);
        ck_assert(half->combine == f32->combine && half->activate == f32->activate);
    }
    ck_assert(kernels[PRECISION_BF16].layer != kernels[PRECISION_BF16X3].layer);
}
END_TEST

static void wrong_layer(float *out, const float *in, const struct simd_layer *layer,
                        enum activation activation, struct simd_shape shape)
{
    kernels[PRECISION_BF16].layer(out, in, layer, activation, shape);
    out[17 * shape.stride + 40] += 0.01f;
}

START_TEST(the_self_test_tells_right_from_wrong)
{
    struct simd_kernels wrong = kernels[PRECISION_BF16];
    wrong.layer = wrong_layer;
    for (size_t p = 0; p < 2; p++)
        ck_assert_int_eq(half_self_test(&kernels[halves[p]], halves[p]), 0);
    ck_assert_int_eq(half_self_test(&wrong, PRECISION_BF16), ERR_INTERNAL);
    ck_assert_int_eq(half_self_test(&kernels[PRECISION_BF16], PRECISION_BF16X3), ERR_INTERNAL);
    ck_assert_int_eq(half_self_test(simd_select("avx512"), PRECISION_BF16), ERR_INTERNAL);
}
END_TEST

/* The weights that stand where the comment of struct simd_layer says. */
static void check_packed(size_t in, size_t out)
{
    struct half_bench bench;
    half_bench_init(&bench, in, out, SIMD_LANES, random_number);
    const uint32_t *half = bench.layer.half;
    size_t outputs = half_output_blocks(&bench.layer) * HALF_OUTPUTS;
    size_t inputs = half_pair_blocks(&bench.layer) * 2 * HALF_PAIRS;
    ck_assert_uint_ge(outputs, out);
    ck_assert_uint_ge(inputs, in);
    for (size_t part = 0; part < 2; part++) {
        for (size_t o = 0; o < outputs; o++) {
            for (size_t i = 0; i < inputs; i++) {
                size_t block = o / 16 * (inputs / 32) + i / 32;
                uint32_t word =
                    half[part * outputs * inputs / 2 + block * 256 + o % 16 * 16 + i % 32 / 2];
                uint32_t bits = (i % 2 ? word >> 16 : word & 0xffffu) << 16;
                float value, expected = 0;
                memcpy(&value, &bits, sizeof value);
                if (o < out && i < in)
                    expected = bench.weight[o * in + i];
                float high = half_bench_high(expected);
                ck_assert(value == (part ? half_bench_high(expected - high) : high));
            }
        }
    }
    half_bench_release(&bench);
}

START_TEST(weights_are_packed_in_blocks_padded_with_zeros)
{
    check_packed(32, 16);
    check_packed(33, 1);
    check_packed(63, 17);
    check_packed(64, 40);
    check_packed(97, 31);
}
END_TEST

START_TEST(packing_reports_that_memory_ran_out)
{
    float weight[2 * 40] = {1};
    struct simd_layer layer;
    int code = ERR_NOMEM;
    for (size_t after = 0; code; after++) {
        ck_assert_uint_lt(after, 10);
        mem_fail_after(after);
        code = simd_layer_init(&layer, weight, NULL, 40, 2);
        mem_fail_after(SIZE_MAX);
        ck_assert(code == 0 || code == ERR_NOMEM);
    }
    ck_assert_ptr_nonnull(layer.half);
    simd_layer_release(&layer);
    ck_assert_ptr_null(layer.half);
}
END_TEST

/* Worst and root mean square error of all sums, in terms of the sum of their absolute products. */
static void measure_errors(size_t in, size_t out, enum precision precision, double *worst,
                           double *rms)
{
    enum { LANES = 48 };
    struct half_bench bench;
    half_bench_init(&bench, in, out, LANES, random_number);
    half_bench_run(&bench, &kernels[precision], ACTIVATION_NONE, LANES);
    *worst = *rms = 0;
    for (size_t o = 0; o < out; o++) {
        for (size_t lane = 0; lane < LANES; lane++) {
            double size, exact = half_bench_sum(&bench, o, lane, PRECISION_F32, &size);
            double error = fabs(bench.y[o * LANES + lane] - exact) / size;
            *worst = fmax(*worst, error);
            *rms += error * error / (double)(out * LANES);
        }
    }
    *rms = sqrt(*rms);
    half_bench_release(&bench);
}

START_TEST(sums_are_as_exact_as_their_precision)
{
    static const size_t sizes[][2] = {{32, 16},  {33, 3},   {61, 30},
                                      {128, 64}, {600, 21}, {1030, 18}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        double worst, rms;
        measure_errors(sizes[i][0], sizes[i][1], PRECISION_BF16X3, &worst, &rms);
        ck_assert_msg(worst < 4e-6 && rms < 1e-6, "bf16x3, %zu x %zu: %g, %g", sizes[i][0],
                      sizes[i][1], worst, rms);
        measure_errors(sizes[i][0], sizes[i][1], PRECISION_BF16, &worst, &rms);
        ck_assert_msg(worst < 0x1p-8 && rms < 0x1p-10 && rms > 1e-6, "bf16, %zu x %zu: %g, %g",
                      sizes[i][0], sizes[i][1], worst, rms);
    }
}
END_TEST

/* All the parts that a precision takes, and nothing else: what is left is float32 rounding. */
START_TEST(sums_have_all_products_that_their_precision_promises)
{
    enum { IN = 1030, OUT = 21, LANES = 48 };
    for (size_t p = 0; p < 2; p++) {
        struct half_bench bench;
        half_bench_init(&bench, IN, OUT, LANES, random_number);
        half_bench_run(&bench, &kernels[halves[p]], ACTIVATION_NONE, LANES);
        for (size_t o = 0; o < OUT; o++) {
            for (size_t lane = 0; lane < LANES; lane++) {
                double size, sum = half_bench_sum(&bench, o, lane, halves[p], &size);
                ck_assert_double_le(fabs(bench.y[o * LANES + lane] - sum), 1e-6 * size);
            }
        }
        half_bench_release(&bench);
    }
}
END_TEST

/* f(x) of a kernel at chosen x: a layer of 32 inputs that hands the first one on. */
static float activate(const struct simd_kernels *half, enum activation activation, float x)
{
    enum { IN = HALF_INPUTS_MIN };
    static float in[IN * SIMD_LANES] __attribute__((aligned(MEM_ALIGN)));
    static float out[SIMD_OUTPUTS * SIMD_LANES] __attribute__((aligned(MEM_ALIGN)));
    float weight[IN] = {1};
    struct simd_layer layer;
    in[3] = x;
    ck_assert_int_eq(simd_layer_init(&layer, weight, NULL, IN, 1), 0);
    half->layer(out, in, &layer, activation,
                (struct simd_shape){.stride = SIMD_LANES, .lanes = SIMD_LANES});
    simd_layer_release(&layer);
    return out[3];
}

START_TEST(activations_are_good_to_more_bits_than_bfloat16_has)
{
    for (int a = 0; a < ACTIVATION_COUNT; a++) {
        enum activation activation = (enum activation)a;
        for (int i = -512; i <= 512; i++) {
            float x = half_bench_high((float)i / (i * i > 256 * 256 ? 4 : 32));
            double expected = activation_value(activation, x);
            double error = fabs(activate(&kernels[PRECISION_BF16], activation, x) - expected);
            ck_assert_msg(error <= 0x1p-13 * fmax(1, fabs(expected)), "%s(%g) is off by %g",
                          activation_name(activation), (double)x, error);
            error = fabs(activate(&kernels[PRECISION_BF16X3], activation, x) - expected);
            ck_assert_double_le(error, 1e-6 * fmax(1, fabs(expected)));
        }
    }
}
END_TEST

START_TEST(activations_are_good_at_their_ends)
{
    for (int a = 0; a < ACTIVATION_COUNT; a++) {
        enum activation activation = (enum activation)a;
        for (size_t p = 0; p < 2; p++) {
            const struct simd_kernels *half = &kernels[halves[p]];
            ck_assert(isnan(activate(half, activation, NAN)));
            ck_assert(activate(half, activation, 0) == 0);
            for (float x = 0x1p7f; x < 0x1p120f; x *= 0x1p8f) {
                double above = activation_value(activation, x);
                double below = activation_value(activation, -x);
                ck_assert_double_le(fabs(activate(half, activation, x) / above - 1), 0x1p-13);
                ck_assert_double_le(fabs(activate(half, activation, -x) - below),
                                    0x1p-13 * fmax(1, fabs(below)));
            }
        }
    }
}
END_TEST

/* Every layer of these, at every number of lanes: alone, beside NaN, and in another stride. */
static void check_lanes(const struct simd_kernels *half, size_t in, size_t out)
{
    enum { LANES = 64, STRIDE = 80 };
    struct half_bench bench;
    half_bench_init(&bench, in, out, STRIDE, random_number);
    half_bench_run(&bench, half, ACTIVATION_SILU, LANES);
    float *alone = mem_aligned(simd_whole_outputs(out) * SIMD_LANES, sizeof(float));
    float *x = mem_aligned(in * SIMD_LANES, sizeof(float));
    ck_assert(alone && x);
    for (size_t lane = 0; lane < LANES; lane++) {
        size_t at = (lane * 7 + 3) % SIMD_LANES;
        for (size_t i = 0; i < in; i++) {
            for (size_t r = 0; r < SIMD_LANES; r++)
                x[i * SIMD_LANES + r] = r == at ? bench.x[i * STRIDE + lane] : NAN;
        }
        half->layer(alone, x, &bench.layer, ACTIVATION_SILU,
                    (struct simd_shape){.stride = SIMD_LANES, .lanes = SIMD_LANES});
        for (size_t o = 0; o < out; o++)
            ck_assert_mem_eq(&alone[o * SIMD_LANES + at], &bench.y[o * STRIDE + lane],
                             sizeof(float));
    }
    mem_free(alone);
    mem_free(x);
    half_bench_release(&bench);
}

START_TEST(a_lane_depends_on_that_lane_alone)
{
    for (size_t p = 0; p < 2; p++) {
        check_lanes(&kernels[halves[p]], 33, 18);
        check_lanes(&kernels[halves[p]], 64, 64);
        check_lanes(&kernels[halves[p]], 700, 44);
    }
}
END_TEST

START_TEST(layers_of_few_inputs_stay_float32)
{
    enum { IN = HALF_INPUTS_MIN - 1, OUT = 9, LANES = 16 };
    float weight[IN * OUT];
    static float in[IN * LANES] __attribute__((aligned(MEM_ALIGN)));
    static float out[2][12 * LANES] __attribute__((aligned(MEM_ALIGN)));
    struct simd_layer layer;
    const struct simd_shape shape = {.stride = LANES, .lanes = LANES};
    for (size_t i = 0; i < IN * OUT; i++)
        weight[i] = random_number(i);
    for (size_t i = 0; i < IN * LANES; i++)
        in[i] = random_number(i + 77);
    ck_assert_int_eq(simd_layer_init(&layer, weight, NULL, IN, OUT), 0);
    ck_assert_ptr_null(layer.half);
    simd_select("avx512")->layer(out[0], in, &layer, ACTIVATION_TANH, shape);
    kernels[PRECISION_BF16X3].layer(out[1], in, &layer, ACTIVATION_TANH, shape);
    ck_assert_mem_eq(out[0], out[1], OUT * LANES * sizeof(float));
    kernels[PRECISION_BF16].layer(out[1], in, &layer, ACTIVATION_TANH, shape);
    for (size_t i = 0; i < OUT * LANES; i++)
        ck_assert_double_le(fabs((double)out[0][i] - out[1][i]), 0x1p-13);
    simd_layer_release(&layer);
}
END_TEST

/* Of what every machine can show. */
static void add_tests_of_any_machine(TCase *tests)
{
    tcase_add_test(tests, only_avx512_has_bf16_kernels);
    tcase_add_test(tests, weights_are_packed_in_blocks_padded_with_zeros);
}

static void add_tests_of_kernels(TCase *tests)
{
    tcase_add_test(tests, all_but_the_layers_is_as_in_float32);
    tcase_add_test(tests, the_self_test_tells_right_from_wrong);
    tcase_add_test(tests, packing_reports_that_memory_ran_out);
    tcase_add_test(tests, sums_are_as_exact_as_their_precision);
    tcase_add_test(tests, sums_have_all_products_that_their_precision_promises);
    tcase_add_test(tests, activations_are_good_to_more_bits_than_bfloat16_has);
    tcase_add_test(tests, activations_are_good_at_their_ends);
    tcase_add_test(tests, a_lane_depends_on_that_lane_alone);
    tcase_add_test(tests, layers_of_few_inputs_stay_float32);
}

int main(void)
{
    Suite *suite = suite_create("half");
    TCase *tests = tcase_create("half");
    if (half_wanted()) {
        for (size_t p = 0; p < 2; p++)
            half_kernels(&kernels[halves[p]], simd_select("avx512"), halves[p], false);
        add_tests_of_kernels(tests);
    } else {
        printf("skipped: this processor has no AVX512-BF16\n");
    }
    add_tests_of_any_machine(tests);
    tcase_set_timeout(tests, 60);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
