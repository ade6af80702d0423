#include "core/base/mem.h"
#include "core/linalg/activation.h"
#include "core/linalg/fma.h"
#include "core/linalg/simd.h"
#include "tests/unit/unit.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 1024 };

/* y = f(x) of a kernel: a layer of one input with weight 1 hands it on as it is. */
struct identity {
    struct simd_layer layer;
    float *x, *y;
};

static struct identity identity_new(void)
{
    const float one = 1;
    struct identity id = {.x = mem_aligned(LANES, sizeof(float)),
                          .y = mem_aligned((size_t)SIMD_OUTPUTS * LANES, sizeof(float))};
    ck_assert(id.x && id.y && simd_layer_init(&id.layer, &one, NULL, 1, 1) == 0);
    return id;
}

static void identity_free(struct identity *id)
{
    simd_layer_release(&id->layer);
    mem_free(id->x);
    mem_free(id->y);
}

static void identity_run(struct identity *id, const struct simd_kernels *kernels,
                         enum activation activation)
{
    kernels->layer(id->y, id->x, &id->layer, activation,
                   (struct simd_shape){.stride = LANES, .lanes = LANES});
}

static double reference(enum activation activation, double z)
{
    const double scale = 1.05070098735548049342, alpha = 1.67326324235437728482;
    const double pi = 3.14159265358979323846;
    switch (activation) {
    case ACTIVATION_SILU:
        return z / (1 + exp(-z));
    case ACTIVATION_RELU:
        return fmax(z, 0);
    case ACTIVATION_ELU:
        return z > 0 ? z : expm1(z);
    case ACTIVATION_SELU:
        return scale * (z > 0 ? z : alpha * expm1(z));
    case ACTIVATION_GELU:
        return z * 0.5 * erfc(-z / sqrt(2));
    case ACTIVATION_GELU_TANH:
        return z / (1 + exp(-2 * sqrt(2 / pi) * (z + 0.044715 * z * z * z)));
    case ACTIVATION_TANH:
        return tanh(z);
    default:
        return z;
    }
}

/* What activation.h states. */
static const struct {
    double ulp;   /* units in the last place of a float of the result's size */
    double floor; /* results below it count as that large */
} stated[ACTIVATION_COUNT] = {
    [ACTIVATION_NONE] = {0, 1e-28},    [ACTIVATION_SILU] = {3, 1e-28},
    [ACTIVATION_RELU] = {0, 1e-28},    [ACTIVATION_ELU] = {2, 1e-28},
    [ACTIVATION_SELU] = {3, 1e-28},    [ACTIVATION_GELU] = {6, 1e-28},
    [ACTIVATION_GELU_TANH] = {6, 0.1}, [ACTIVATION_TANH] = {3, 1e-28},
};

/* Check's own asserts cost a system call each: only a failure reaches them here. */
static void assert_within(enum activation activation, float x, float y)
{
    double expected = reference(activation, (double)x);
    if (fabs(expected) > (double)FLT_MAX && isinf(y) && y > 0)
        return;
    double size = fmax(fabs(expected), stated[activation].floor);
    double error = fabs((double)y - expected) / ldexp((double)FLT_EPSILON, ilogb(size));
    if (!(error <= stated[activation].ulp + 1e-6))
        ck_abort_msg("%s(%.9g) = %.9g, not %.9g: %.1f ulp", activation_name(activation), (double)x,
                     (double)y, expected, error);
}

/* Every 1021st float from zero to the largest, both signs. */
START_TEST(kernels_stay_within_the_stated_error)
{
    const enum activation activation = (enum activation)_i;
    struct identity id = identity_new();
    for (uint32_t bits = 0; bits < 0x7f800000u;) {
        for (size_t lane = 0; lane < LANES; lane += 2, bits += 1021) {
            uint32_t here = bits < 0x7f800000u ? bits : 0x7f7fffffu;
            memcpy(&id.x[lane], &here, sizeof here);
            id.x[lane + 1] = -id.x[lane];
        }
        identity_run(&id, simd_select(NULL), activation);
        for (size_t lane = 0; lane < LANES; lane++)
            assert_within(activation, id.x[lane], id.y[lane]);
    }
    identity_free(&id);
}
END_TEST

static bool same_or_both_nan(const float *a, const float *b)
{
    for (size_t lane = 0; lane < LANES; lane++) {
        if (memcmp(a + lane, b + lane, sizeof *a) != 0 && !(isnan(a[lane]) && isnan(b[lane])))
            return false;
    }
    return true;
}

START_TEST(variants_agree_on_every_kind_of_number)
{
    const struct simd_kernels *plain = simd_select("plain");
    struct identity id = identity_new();
    float first[LANES];
    for (uint32_t round = 0; round < 64; round++) {
        for (uint32_t lane = 0; lane < LANES; lane++) {
            uint32_t bits = (round * LANES + lane) * 65537u; /* both signs, infinities, no NaN */
            bits = (bits & 0x7f800000u) == 0x7f800000u ? bits & 0xff800000u : bits;
            memcpy(&id.x[lane], &bits, sizeof bits);
        }
        for (int a = 0; a < ACTIVATION_COUNT; a++) {
            identity_run(&id, plain, (enum activation)a);
            memcpy(first, id.y, sizeof first);
            for (size_t i = 0; simd_variant(i); i++) {
                if (!simd_select(simd_variant(i)))
                    continue;
                identity_run(&id, simd_select(simd_variant(i)), (enum activation)a);
                ck_assert(same_or_both_nan(first, id.y));
            }
        }
    }
    identity_free(&id);
}
END_TEST

START_TEST(not_a_number_stays_one)
{
    struct identity id = identity_new();
    id.x[17] = NAN;
    id.x[18] = -NAN;
    for (size_t i = 0; simd_variant(i); i++) {
        if (!simd_select(simd_variant(i)))
            continue;
        for (int a = 0; a < ACTIVATION_COUNT; a++) {
            identity_run(&id, simd_select(simd_variant(i)), (enum activation)a);
            ck_assert(isnan(id.y[17]) && isnan(id.y[18]));
            ck_assert(id.y[16] == 0 && id.y[19] == 0);
        }
    }
    identity_free(&id);
}
END_TEST

START_TEST(scalars_equal_the_reference_and_slopes_their_differences)
{
    for (int a = 0; a < ACTIVATION_COUNT; a++) {
        enum activation activation = (enum activation)a;
        for (int i = -400; i < 400; i++) {
            double z = (i + 0.5) / 40, h = 1e-6;
            double value = reference(activation, z);
            double slope = (reference(activation, z + h) - reference(activation, z - h)) / (2 * h);
            ck_assert_double_eq_tol((double)activation_value(activation, (float)z), value, 2e-6);
            ck_assert_double_eq_tol((double)activation_slope(activation, (float)z), slope, 2e-6);
        }
    }
}
END_TEST

START_TEST(names_are_found_and_others_are_not)
{
    enum activation found = ACTIVATION_NONE;
    for (int a = 0; a < ACTIVATION_COUNT; a++) {
        ck_assert(activation_find(activation_name((enum activation)a), &found));
        ck_assert_int_eq(found, a);
    }
    ck_assert(activation_find("swish", &found) && found == ACTIVATION_SILU);
    found = ACTIVATION_TANH;
    ck_assert(!activation_find("Tanh", &found) && !activation_find("", &found));
    ck_assert_int_eq(found, ACTIVATION_TANH);
}
END_TEST

static float number_of_any_size(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    uint32_t high = *state;
    *state = *state * 1664525u + 1013904223u;
    uint32_t bits = (high & 0xffff0000u) | *state >> 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void assert_fused(const float *a, const float *b, const float *c)
{
    fma_float4 va, vb, vc;
    memcpy(&va, a, sizeof va);
    memcpy(&vb, b, sizeof vb);
    memcpy(&vc, c, sizeof vc);
    fma_float4 got = fma4(va, vb, vc);
    for (int i = 0; i < 4; i++) {
        float expected = fmaf(a[i], b[i], c[i]), value = got[i];
        if (memcmp(&expected, &value, sizeof value) != 0 && !(isnan(expected) && isnan(value)))
            ck_abort_msg("fma(%a, %a, %a) = %a, not %a", (double)a[i], (double)b[i], (double)c[i],
                         (double)value, (double)expected);
    }
}

/* Any bits, then sums that nearly cancel. */
/* Sums so near to the middle between two floats that a double does not tell them from it: a b is
   half a unit of c's last place, times 1 - j^2 2^-46. Only one
   lane in four is as hard. unit: that place. */
static void assert_fused_at_ties(float unit, uint32_t bits)
{
    float a[4], b[4], c[4];
    uint32_t hard = bits >> 28 & 3;
    for (uint32_t i = 0; i < 4; i++) {
        float j = (float)(1 + (bits >> 24 & 15)) * FLT_EPSILON;
        a[i] = (bits >> i & 1 ? unit / 2 : -unit / 2) * (1 + j);
        b[i] = i == hard ? 1 - j : 1 - 1024 * j;
        c[i] = (float)(0x800000 + (bits >> (4 + i) & 0xffff)) * unit;
    }
    assert_fused(a, b, c);
}

START_TEST(emulated_multiply_adds_round_once_next_to_ties)
{
    uint32_t state = 1;
    for (int round = 0; round < 200000; round++) {
        state = state * 1664525u + 1013904223u;
        assert_fused_at_ties(0x1p-23f, state);
        assert_fused_at_ties(0x1p-31f, state);
        assert_fused_at_ties(0x1p+33f, state);
    }
}
END_TEST

/* The same among the subnormal floats, where the last place is 2^-149. */
START_TEST(emulated_multiply_adds_round_once_below_the_normal_floats)
{
    uint32_t state = 1;
    for (int round = 0; round < 200000; round++) {
        float a[4], b[4], c[4];
        state = state * 1664525u + 1013904223u;
        for (int i = 0; i < 4; i++) {
            float j = (float)(1 + (state >> 26)) * FLT_EPSILON;
            a[i] = (i & 1 ? 0x1p-75f : -0x1p-75f) * (1 + j);
            b[i] = 0x1p-75f * (1 - j);
            c[i] = (float)(state >> (2 + i) & 0x7fffff) * 0x1p-149f;
        }
        assert_fused(a, b, c);
        c[0] = c[1] = c[2] = 1;
        c[3] = FLT_MIN - 0x1p-149f; /* a tie with the least normal one, beside easy sums */
        assert_fused(a, b, c);
    }
}
END_TEST

START_TEST(emulated_multiply_adds_round_once)
{
    uint32_t state = 1;
    for (int round = 0; round < 200000; round++) {
        float a[4], b[4], c[4];
        for (int i = 0; i < 4; i++) {
            a[i] = number_of_any_size(&state);
            b[i] = number_of_any_size(&state);
            c[i] = number_of_any_size(&state);
        }
        assert_fused(a, b, c);
        for (int i = 0; i < 4; i++) {
            c[i] = -a[i] * b[i] * (i & 1 ? 1.0f : 0.5f);
            a[i] = i & 2 ? a[i] : ldexpf(1, (int)(state >> 26) - 32);
        }
        assert_fused(a, b, c);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("activation");
    TCase *tests = tcase_create("activation");
    tcase_add_loop_test(tests, kernels_stay_within_the_stated_error, 0, ACTIVATION_COUNT);
    tcase_add_test(tests, variants_agree_on_every_kind_of_number);
    tcase_add_test(tests, not_a_number_stays_one);
    tcase_add_test(tests, scalars_equal_the_reference_and_slopes_their_differences);
    tcase_add_test(tests, names_are_found_and_others_are_not);
    tcase_add_test(tests, emulated_multiply_adds_round_once);
    tcase_add_test(tests, emulated_multiply_adds_round_once_next_to_ties);
    tcase_add_test(tests, emulated_multiply_adds_round_once_below_the_normal_floats);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
