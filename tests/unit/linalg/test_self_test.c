#include "core/linalg/self_test.h"

#include "core/base/mem.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <string.h>

START_TEST(every_variant_of_this_machine_gives_the_known_digest)
{
    for (size_t i = 0; simd_variant(i); i++) {
        struct err err = {0};
        const struct simd_kernels *kernels = simd_select(simd_variant(i));
        if (kernels)
            ck_assert_msg(self_test_run(kernels, &err) == 0, "%s", err.message);
    }
}
END_TEST

static const struct simd_kernels *right;

/* One unit in the last place further from zero: no tolerance sees it. */
static void nudge(float *value)
{
    *value = nextafterf(*value, *value < 0 ? -INFINITY : INFINITY);
}

static void wrong_combine(float *out, const float *x, const float *h, const float *c,
                          const float *const *k, size_t n, size_t dim, struct simd_shape shape)
{
    right->combine(out, x, h, c, k, n, dim, shape);
    out[6] += 1;
}

static void barely_wrong_combine(float *out, const float *x, const float *h, const float *c,
                                 const float *const *k, size_t n, size_t dim,
                                 struct simd_shape shape)
{
    right->combine(out, x, h, c, k, n, dim, shape);
    nudge(out + shape.lanes - 1);
}

static void wrong_layer(float *out, const float *in, const struct simd_layer *layer,
                        enum activation activation, struct simd_shape shape)
{
    right->layer(out, in, layer, activation, shape);
    out[(layer->out - 1) * shape.stride] += 0.01f;
}

static void barely_wrong_rows(float *out, const float *in, const struct simd_layer *layer,
                              enum activation activation, struct simd_shape shape)
{
    right->rows(out, in, layer, activation, shape);
    nudge(out + (shape.lanes - 1) * shape.stride + layer->out - 1);
}

/* The same slip in a tile and in rows, so that they agree. */
static void barely_wrong_layer(float *out, const float *in, const struct simd_layer *layer,
                               enum activation activation, struct simd_shape shape)
{
    right->layer(out, in, layer, activation, shape);
    if (activation == ACTIVATION_TANH)
        nudge(out + (layer->out - 1) * shape.stride + shape.lanes - 1);
}

static void wrong_activate(float *value, float *slope, enum activation activation, size_t n)
{
    right->activate(value, slope, activation, n);
    slope[n - 1] += 0.01f;
}

static void barely_wrong_activate(float *value, float *slope, enum activation activation, size_t n)
{
    right->activate(value, slope, activation, n);
    if (activation == ACTIVATION_GELU)
        nudge(value + n - 1);
}

static void assert_caught(struct simd_kernels wrong, const char *part)
{
    struct err err = {0};
    ck_assert_int_eq(self_test_run(&wrong, &err), ERR_INTERNAL);
    ck_assert_ptr_nonnull(strstr(err.message, "The plain kernels"));
    ck_assert_msg(strstr(err.message, part) != NULL, "%s", err.message);
}

START_TEST(a_wrong_kernel_is_named)
{
    struct simd_kernels wrong = *right;
    wrong.combine = wrong_combine;
    assert_caught(wrong, "(combine)");
    wrong = *right;
    wrong.layer = wrong_layer;
    assert_caught(wrong, "(layer, none)");
    wrong = *right;
    wrong.rows = barely_wrong_rows;
    assert_caught(wrong, "(rows, none)");
    wrong = *right;
    wrong.activate = wrong_activate;
    assert_caught(wrong, "(activate, none)");
}
END_TEST

START_TEST(one_wrong_bit_is_seen)
{
    struct simd_kernels wrong = *right;
    wrong.combine = barely_wrong_combine;
    assert_caught(wrong, "(digest 0x");
    wrong = *right;
    wrong.layer = barely_wrong_layer;
    assert_caught(wrong, "(digest 0x");
    wrong = *right;
    wrong.activate = barely_wrong_activate;
    assert_caught(wrong, "(digest 0x");
}
END_TEST

START_TEST(kernels_without_rows_are_tested_too)
{
    struct simd_kernels some = *right;
    some.rows = NULL;
    ck_assert_int_eq(self_test_run(&some, NULL), 0);
}
END_TEST

START_TEST(memory_that_runs_out_is_no_wrong_kernel)
{
    struct err err = {0};
    mem_fail_after(0);
    ck_assert_int_eq(self_test_run(right, &err), ERR_NOMEM);
    mem_fail_after(SIZE_MAX);
    ck_assert_int_eq(err.code, ERR_NOMEM);
}
END_TEST

START_TEST(a_digest_depends_on_every_bit_and_on_the_order)
{
    float values[] = {1, -2, 0.0f};
    uint64_t first = self_test_digest(SELF_TEST_BEGIN, values, 3);
    ck_assert(self_test_digest(SELF_TEST_BEGIN, values, 0) == SELF_TEST_BEGIN);
    ck_assert(self_test_digest(self_test_digest(SELF_TEST_BEGIN, values, 1), values + 1, 2) ==
              first);
    values[2] = -0.0f;
    ck_assert(self_test_digest(SELF_TEST_BEGIN, values, 3) != first);
    const float swapped[] = {-2, 1, 0.0f};
    ck_assert(self_test_digest(SELF_TEST_BEGIN, swapped, 3) != first);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("self_test");
    TCase *tests = tcase_create("self_test");
    right = simd_select("plain");
    tcase_add_test(tests, every_variant_of_this_machine_gives_the_known_digest);
    tcase_add_test(tests, a_wrong_kernel_is_named);
    tcase_add_test(tests, one_wrong_bit_is_seen);
    tcase_add_test(tests, kernels_without_rows_are_tested_too);
    tcase_add_test(tests, memory_that_runs_out_is_no_wrong_kernel);
    tcase_add_test(tests, a_digest_depends_on_every_bit_and_on_the_order);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
