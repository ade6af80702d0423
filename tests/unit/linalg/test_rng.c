#include "core/linalg/rng.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* kat_vectors of Random123 (Salmon et al. 2011), philox4x32 with 10 rounds. */
START_TEST(philox_gives_the_published_vectors)
{
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        uint32_t out[4];
        rng_philox(known[i].counter, known[i].key, out);
        ck_assert_mem_eq(out, known[i].out, sizeof out);
    }
}
END_TEST

START_TEST(normals_have_the_moments_of_a_normal)
{
    enum { ROWS = 20000, DIM = 10 };
    struct rng_key key = {.seed = 1, .stream = RNG_SOURCE};
    double moments[4] = {0};
    double largest = 0;
    for (size_t row = 0; row < ROWS; row++) {
        float x[DIM];
        rng_normal(key, row, 0, x, DIM);
        for (size_t i = 0; i < DIM; i++) {
            double power = 1;
            for (int m = 0; m < 4; m++)
                moments[m] += power *= x[i];
            largest = fmax(largest, fabs((double)x[i]));
        }
    }
    const double expected[4] = {0, 1, 0, 3}, tolerance[4] = {0.012, 0.017, 0.05, 0.12};
    for (int m = 0; m < 4; m++)
        ck_assert_double_eq_tol(moments[m] / (ROWS * DIM), expected[m], tolerance[m]);
    ck_assert(largest > 4 && largest < 6.8);
}
END_TEST

/* The Kolmogorov-Smirnov distance of 40,000 numbers stays below its 0.1 % point. */
START_TEST(normals_follow_the_normal_distribution)
{
    enum { COUNT = 40000, BINS = 200 };
    static float x[COUNT];
    size_t below[BINS] = {0};
    rng_normal((struct rng_key){.seed = 99, .stream = RNG_WIENER, .step = 7}, 3, 0, x, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        for (int b = 0; b < BINS; b++)
            below[b] += (double)x[i] < (b - BINS / 2) * 0.04;
    }
    for (int b = 0; b < BINS; b++) {
        double cdf = 0.5 * erfc(-(b - BINS / 2) * 0.04 * sqrt(0.5));
        ck_assert_double_eq_tol((double)below[b] / COUNT, cdf, 1.95 / sqrt(COUNT));
    }
}
END_TEST

START_TEST(a_number_depends_on_its_place_alone)
{
    struct rng_key key = {.seed = UINT64_C(0x123456789abcdef0), .stream = RNG_SOURCE, .step = 5};
    float whole[11], part[7], one[1];
    rng_normal(key, 77, 0, whole, 11);
    rng_normal(key, 77, 4, part, 7);
    ck_assert_mem_eq(whole + 4, part, sizeof part);
    rng_normal(key, 77, 8, one, 1);
    ck_assert_mem_eq(whole + 8, one, sizeof one);
}
END_TEST

START_TEST(every_part_of_the_key_changes_the_numbers)
{
    const struct rng_key keys[] = {
        {1, RNG_SOURCE, 0},
        {2, RNG_SOURCE, 0},
        {UINT64_C(1) << 32 | 1, RNG_SOURCE, 0},
        {1, RNG_WIENER, 0},
        {1, RNG_SOURCE, 1},
        {1, RNG_SOURCE, (1u << 24) - 1},
        {1, RNG_PROBE, (1u << 24) - 1},
    };
    enum { KEYS = sizeof keys / sizeof keys[0] };
    float x[KEYS + 2];
    for (size_t i = 0; i < KEYS; i++)
        rng_normal(keys[i], 9, 0, x + i, 1);
    rng_normal(keys[0], 10, 0, x + KEYS, 1);
    rng_normal(keys[0], UINT64_C(1) << 32 | 9, 0, x + KEYS + 1, 1);
    for (size_t i = 0; i < KEYS + 2; i++) {
        for (size_t j = 0; j < i; j++)
            ck_assert_mem_ne(x + i, x + j, sizeof *x);
    }
}
END_TEST

START_TEST(uniforms_are_inside_and_even)
{
    enum { COUNT = 100000 };
    static float x[COUNT];
    size_t bins[10] = {0}, outside = 0;
    rng_uniform((struct rng_key){.seed = 4, .stream = RNG_TRAIN_TIME}, 0, 0, x, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        outside += !(x[i] > 0 && x[i] < 1);
        bins[(size_t)(x[i] * 10)]++;
    }
    ck_assert_uint_eq(outside, 0);
    for (int b = 0; b < 10; b++)
        ck_assert_double_eq_tol((double)bins[b], COUNT / 10.0, 400);
}
END_TEST

START_TEST(below_stays_below_and_is_even)
{
    struct rng_key key = {.seed = 8, .stream = RNG_BATCH};
    size_t bins[8] = {0};
    for (uint64_t row = 0; row < 70000; row++) {
        uint64_t i = rng_below(key, row, 7);
        bins[i < 7 ? i : 7]++;
    }
    for (int b = 0; b < 7; b++)
        ck_assert_double_eq_tol((double)bins[b], 10000, 400);
    ck_assert_uint_eq(bins[7], 0);
    ck_assert_uint_eq(rng_below(key, 3, 1), 0);
    uint64_t high = 0;
    for (uint64_t row = 0; row < 64; row++)
        high |= rng_below(key, row, UINT64_MAX);
    ck_assert_uint_gt(high, UINT64_MAX - (UINT64_C(1) << 32));
}
END_TEST

START_TEST(sines_are_exact_to_1e_12)
{
    const double pi = 3.14159265358979323846;
    double sine, cosine;
    for (int i = -20000; i <= 20000; i++) {
        double turns = i / 8192.0 + 1.0 / 3.0;
        rng_sincos_turns(turns, &sine, &cosine);
        ck_assert_double_eq_tol(sine, sin(2 * pi * turns), 2e-14);
        ck_assert_double_eq_tol(cosine, cos(2 * pi * turns), 2e-14);
    }
    for (int i = 0; i < 1000; i++) {
        double fraction = i / 1024.0;
        rng_sincos_turns((1 << 20) - 1 + fraction, &sine, &cosine);
        ck_assert_double_eq_tol(sine, sin(2 * pi * fraction), 1e-12);
        ck_assert_double_eq_tol(cosine, cos(2 * pi * fraction), 1e-12);
    }
    rng_sincos_turns(0.25, &sine, &cosine);
    ck_assert(sine == 1 && cosine == 0);
    rng_sincos_turns(NAN, &sine, &cosine);
    ck_assert(isnan(sine) && isnan(cosine));
}
END_TEST

START_TEST(logarithms_and_exponentials_are_exact_to_1e_15)
{
    for (int i = -7000; i <= 7000; i++) {
        double x = i / 10.0 + i / 70000.0;
        ck_assert_double_eq_tol(rng_exp(x) / exp(x), 1, 1e-15);
        double y = exp(x) * 1.234567;
        ck_assert_double_eq_tol(rng_log(y), log(y), 1e-15 * fmax(1, fabs(log(y))));
    }
    ck_assert(rng_exp(0) == 1 && rng_log(1) == 0);
}
END_TEST

static uint64_t hash_bytes(const void *data, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ ((const unsigned char *)data)[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* One hash for every compiler, width and machine: these bits are a promise to users (a seed). */
START_TEST(the_bits_of_a_seed_never_change)
{
    enum { COUNT = 4096 };
    static float x[COUNT];
    rng_normal((struct rng_key){.seed = 7, .stream = RNG_SOURCE}, 0, 0, x, COUNT);
    ck_assert_uint_eq(hash_bytes(x, sizeof x), UINT64_C(2332703613764326675));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rng");
    TCase *tests = tcase_create("rng");
    tcase_add_test(tests, philox_gives_the_published_vectors);
    tcase_add_test(tests, normals_have_the_moments_of_a_normal);
    tcase_add_test(tests, normals_follow_the_normal_distribution);
    tcase_add_test(tests, a_number_depends_on_its_place_alone);
    tcase_add_test(tests, every_part_of_the_key_changes_the_numbers);
    tcase_add_test(tests, uniforms_are_inside_and_even);
    tcase_add_test(tests, below_stays_below_and_is_even);
    tcase_add_test(tests, sines_are_exact_to_1e_12);
    tcase_add_test(tests, logarithms_and_exponentials_are_exact_to_1e_15);
    tcase_add_test(tests, the_bits_of_a_seed_never_change);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
