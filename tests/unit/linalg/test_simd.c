#include "core/base/mem.h"
#include "core/linalg/mat.h"
#include "core/linalg/simd.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { VARIANTS = 8 };

/* The variants this machine can run, widest first. */
static const struct simd_kernels *runnable[VARIANTS];
static size_t runnable_count;

static void find_variants(void)
{
    for (size_t i = 0; simd_variant(i); i++) {
        const struct simd_kernels *kernels = simd_select(simd_variant(i));
        if (kernels)
            runnable[runnable_count++] = kernels;
    }
}

static uint32_t random_state = 12345;

static float random_number(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (float)(random_state >> 8) / (1 << 23) - 1;
}

static float *random_array(size_t count, float scale)
{
    float *array = mem_aligned(count, sizeof *array);
    ck_assert_ptr_nonnull(array);
    for (size_t i = 0; i < count; i++)
        array[i] = scale * random_number();
    return array;
}

START_TEST(the_widest_variant_is_selected)
{
    ck_assert_ptr_eq(simd_select(NULL), runnable[0]);
    ck_assert_ptr_null(simd_select("mmx"));
    ck_assert_ptr_nonnull(simd_select("plain"));
}
END_TEST

/* A layer and its input, kept while every variant computes it. */
struct layer_case {
    struct simd_layer layer;
    float *weight, *bias, *in, *out;
    size_t stride;
};

static struct layer_case layer_case_new(size_t in, size_t out, size_t stride)
{
    struct layer_case one = {.stride = stride};
    one.weight = random_array(in * out, 2 / sqrtf((float)in));
    one.bias = random_array(out, 1);
    one.in = random_array(in * stride, 2);
    one.out = random_array(simd_whole_outputs(out) * stride, 1);
    ck_assert_int_eq(simd_layer_init(&one.layer, one.weight, one.bias, in, out), 0);
    return one;
}

static void layer_case_free(struct layer_case *one)
{
    simd_layer_release(&one->layer);
    mem_free(one->weight);
    mem_free(one->bias);
    mem_free(one->in);
    mem_free(one->out);
}

static const size_t layer_shapes[][3] = {
    /* in, out, lanes */
    {1, 1, 16}, {3, 64, 16}, {64, 2, 32}, {5, 7, 48}, {65, 33, 80}, {130, 129, 64}, {17, 20, 112},
};

START_TEST(a_layer_equals_the_product_of_blas)
{
    for (size_t s = 0; s < sizeof layer_shapes / sizeof layer_shapes[0]; s++) {
        size_t in = layer_shapes[s][0], out = layer_shapes[s][1], lanes = layer_shapes[s][2];
        struct layer_case one = layer_case_new(in, out, lanes);
        float *expected = random_array(out * lanes, 1);
        for (size_t o = 0; o < out; o++) {
            for (size_t r = 0; r < lanes; r++)
                expected[o * lanes + r] = one.bias[o];
        }
        mat_multiply(mat_view(expected, out, lanes), mat_view(one.weight, out, in), false,
                     mat_view(one.in, in, lanes), false, true);
        for (size_t v = 0; v < runnable_count; v++) {
            runnable[v]->layer(one.out, one.in, &one.layer, ACTIVATION_NONE,
                               (struct simd_shape){.stride = lanes, .lanes = lanes});
            for (size_t i = 0; i < out * lanes; i++)
                ck_assert_float_eq_tol(one.out[i], expected[i], 2e-5f);
        }
        mem_free(expected);
        layer_case_free(&one);
    }
}
END_TEST

START_TEST(all_variants_give_the_same_bits)
{
    for (size_t s = 0; s < sizeof layer_shapes / sizeof layer_shapes[0]; s++) {
        size_t in = layer_shapes[s][0], out = layer_shapes[s][1], lanes = layer_shapes[s][2];
        struct layer_case one = layer_case_new(in, out, lanes);
        float *first = random_array(simd_whole_outputs(out) * lanes, 1);
        for (int a = 0; a < ACTIVATION_COUNT; a++) {
            struct simd_shape shape = {.stride = lanes, .lanes = lanes};
            runnable[0]->layer(first, one.in, &one.layer, (enum activation)a, shape);
            for (size_t v = 1; v < runnable_count; v++) {
                runnable[v]->layer(one.out, one.in, &one.layer, (enum activation)a, shape);
                ck_assert_mem_eq(one.out, first, simd_whole_outputs(out) * lanes * sizeof *first);
            }
        }
        mem_free(first);
        layer_case_free(&one);
    }
}
END_TEST

/* Lane `from` of one tile against lane `to` of another that holds the same numbers there. */
static void assert_same_lane(const struct layer_case *a, size_t from, const struct layer_case *b,
                             size_t to)
{
    for (size_t o = 0; o < a->layer.out; o++)
        ck_assert_mem_eq(a->out + o * a->stride + from, b->out + o * b->stride + to, sizeof(float));
}

START_TEST(a_lane_depends_on_itself_alone)
{
    enum { IN = 37, OUT = 22, LANES = 112 };
    for (size_t v = 0; v < runnable_count; v++) {
        struct layer_case many = layer_case_new(IN, OUT, LANES);
        struct layer_case few = layer_case_new(IN, OUT, 16);
        simd_layer_release(&few.layer);
        ck_assert_int_eq(simd_layer_init(&few.layer, many.weight, many.bias, IN, OUT), 0);
        runnable[v]->layer(many.out, many.in, &many.layer, ACTIVATION_GELU,
                           (struct simd_shape){.stride = LANES, .lanes = LANES});
        for (size_t lane = 0; lane < LANES; lane++) {
            size_t to = (lane * 5 + 3) % 16;
            for (size_t i = 0; i < IN; i++)
                few.in[i * 16 + to] = many.in[i * LANES + lane];
            few.in[(to + 1) % 16] = NAN;
            runnable[v]->layer(few.out, few.in, &few.layer, ACTIVATION_GELU,
                               (struct simd_shape){.stride = 16, .lanes = 16});
            assert_same_lane(&many, lane, &few, to);
        }
        layer_case_free(&many);
        layer_case_free(&few);
    }
}
END_TEST

START_TEST(lanes_past_the_shape_are_left_alone)
{
    for (size_t v = 0; v < runnable_count; v++) {
        struct layer_case one = layer_case_new(5, 6, 96);
        for (size_t i = 0; i < 8 * 96; i++)
            one.out[i] = 42;
        runnable[v]->layer(one.out, one.in, &one.layer, ACTIVATION_SILU,
                           (struct simd_shape){.stride = 96, .lanes = 48});
        for (size_t o = 0; o < 8; o++) {
            for (size_t lane = 48; lane < 96; lane++)
                ck_assert_float_eq(one.out[o * 96 + lane], 42);
            if (o < 6)
                ck_assert_float_ne(one.out[o * 96 + 47], 42);
        }
        layer_case_free(&one);
    }
}
END_TEST

START_TEST(a_layer_without_bias_starts_at_zero)
{
    const float weight[] = {2, 3};
    struct simd_layer layer;
    float *in = random_array(2 * 16, 1), *out = random_array(4 * 16, 1);
    ck_assert_int_eq(simd_layer_init(&layer, weight, NULL, 2, 1), 0);
    in[3] = 5;
    in[16 + 3] = 7;
    simd_select(NULL)->layer(out, in, &layer, ACTIVATION_NONE,
                             (struct simd_shape){.stride = 16, .lanes = 16});
    ck_assert_float_eq(out[3], 31);
    simd_layer_release(&layer);
    simd_layer_release(&layer);
    mem_free(in);
    mem_free(out);
}
END_TEST

START_TEST(packing_reports_that_memory_ran_out)
{
    const float weight[] = {2, 3};
    struct simd_layer layer;
    for (size_t after = 0; after < 2; after++) {
        mem_fail_after(after);
        ck_assert_int_ne(simd_layer_init(&layer, weight, NULL, 2, 1), 0);
        ck_assert_ptr_null(layer.weights);
    }
    mem_fail_after(SIZE_MAX);
}
END_TEST

START_TEST(combine_adds_the_terms_in_order)
{
    enum { DIM = 3, STRIDE = 64, LANES = 48 };
    float *x = random_array(DIM * STRIDE, 1), *h = random_array(STRIDE, 1);
    float *out = random_array(DIM * STRIDE, 1);
    float *k0 = random_array(DIM * STRIDE, 1), *k2 = random_array(DIM * STRIDE, 1);
    float *unread = random_array(DIM * STRIDE, 1);
    const float *const k[] = {k0, unread, k2};
    const float c[] = {0.3f, 0, -1.7f};
    for (size_t i = 0; i < DIM * STRIDE; i++)
        unread[i] = NAN;
    h[7] = 0;
    k0[7] = NAN;
    for (size_t v = 0; v < runnable_count; v++) {
        runnable[v]->combine(out, x, h, c, k, 3, DIM,
                             (struct simd_shape){.stride = STRIDE, .lanes = LANES});
        ck_assert_mem_eq(out + 7, x + 7, sizeof *x);
        for (size_t at = 0; at < DIM * STRIDE; at++) {
            if (at % STRIDE >= LANES || at == 7)
                continue;
            float sum = fmaf(c[2], k2[at], fmaf(c[0], k0[at], 0));
            float expected = fmaf(h[at % STRIDE], sum, x[at]);
            ck_assert_mem_eq(&expected, out + at, sizeof expected);
        }
    }
    float *arrays[] = {x, h, out, k0, k2, unread};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        mem_free(arrays[i]);
}
END_TEST

START_TEST(activations_and_slopes_are_those_of_the_scalar_code)
{
    enum { COUNT = 4096 };
    float *z = mem_aligned(COUNT, sizeof *z);
    float *value = mem_aligned(COUNT, sizeof *value);
    float *slope = mem_aligned(COUNT, sizeof *slope);
    float *first[2] = {mem_aligned(COUNT, sizeof *z), mem_aligned(COUNT, sizeof *z)};
    for (size_t i = 0; i < COUNT; i++)
        z[i] = ((float)i - COUNT / 2 + 0.5f) / 100.0f;
    for (int a = 0; a < ACTIVATION_COUNT; a++) {
        for (size_t v = 0; v < runnable_count; v++) {
            memcpy(slope, z, COUNT * sizeof *z);
            runnable[v]->activate(value, slope, (enum activation)a, COUNT);
            for (size_t i = 0; i < COUNT; i++) {
                float y = activation_value((enum activation)a, z[i]);
                float dy = activation_slope((enum activation)a, z[i]);
                ck_assert_float_eq_tol(value[i], y, 3e-7f * fmaxf(1.0f, fabsf(y)));
                ck_assert_float_eq_tol(slope[i], dy, 5e-7f);
            }
            if (v == 0) {
                memcpy(first[0], value, COUNT * sizeof *z);
                memcpy(first[1], slope, COUNT * sizeof *z);
            }
            ck_assert_mem_eq(value, first[0], COUNT * sizeof *z);
            ck_assert_mem_eq(slope, first[1], COUNT * sizeof *z);
        }
    }
    float *arrays[] = {z, value, slope, first[0], first[1]};
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
        mem_free(arrays[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("simd");
    TCase *tests = tcase_create("simd");
    find_variants();
    tcase_add_test(tests, the_widest_variant_is_selected);
    tcase_add_test(tests, a_layer_equals_the_product_of_blas);
    tcase_add_test(tests, all_variants_give_the_same_bits);
    tcase_add_test(tests, a_lane_depends_on_itself_alone);
    tcase_add_test(tests, lanes_past_the_shape_are_left_alone);
    tcase_add_test(tests, a_layer_without_bias_starts_at_zero);
    tcase_add_test(tests, packing_reports_that_memory_ran_out);
    tcase_add_test(tests, combine_adds_the_terms_in_order);
    tcase_add_test(tests, activations_and_slopes_are_those_of_the_scalar_code);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
