#include "core/net/time_lanes.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <string.h>

START_TEST(each_distinct_time_is_found_once)
{
    float t[TIME_LANES];
    uint16_t source[TIME_LANES];
    for (size_t r = 0; r < TIME_LANES; r++)
        t[r] = (float)(r * 7 % 10) / 10.0f;
    ck_assert_uint_eq(time_lanes_sources(source, t, TIME_LANES), 10);
    for (size_t r = 0; r < TIME_LANES; r++)
        ck_assert_uint_eq(source[r], r % 10);
}
END_TEST

START_TEST(all_times_may_differ)
{
    float t[TIME_LANES];
    uint16_t source[TIME_LANES];
    for (size_t r = 0; r < TIME_LANES; r++)
        t[r] = (float)r / TIME_LANES;
    ck_assert_uint_eq(time_lanes_sources(source, t, TIME_LANES), TIME_LANES);
    for (size_t r = 0; r < TIME_LANES; r++)
        ck_assert_uint_eq(source[r], r);
    ck_assert_uint_eq(time_lanes_sources(source, t, 0), 0);
}
END_TEST

START_TEST(times_are_compared_by_their_bits)
{
    const float t[] = {0.0f, -0.0f, NAN, NAN, 0.0f, -0.0f};
    uint16_t source[6];
    ck_assert_uint_eq(time_lanes_sources(source, t, 6), 3);
    ck_assert_mem_eq(source, ((uint16_t[]){0, 1, 2, 2, 0, 1}), sizeof source);
}
END_TEST

/* Every lane of a tile higher than TIME_LANES has the embedding of its own time. */
START_TEST(every_lane_has_its_own_embedding)
{
    enum { LANES = TIME_LANES + 37, STRIDE = TIME_LANES + 48, N = 3 };
    static float features[2 * N * STRIDE], t[LANES];
    const struct time_spec times[] = {
        {.input = TIME_FOURIER, .scale = 2, .frequency_count = N, .frequencies = {1, 2.5, 7}},
        {.input = TIME_SINUSOIDAL, .scale = 1000, .frequency_count = N, .max_period = 1e4},
        {.input = TIME_LAST, .scale = 999},
    };
    for (size_t r = 0; r < LANES; r++)
        t[r] = (float)(r * r % 23) / 23.0f;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        double turns[LIMIT_TIME_FREQUENCIES];
        size_t count = time_spec_features(&times[i]), different = 0;
        memset(features, 0, sizeof features);
        time_spec_turns(&times[i], turns);
        time_lanes_embed(features, &times[i], turns, t,
                         (struct simd_shape){.stride = STRIDE, .lanes = LANES});
        for (size_t r = 0; r < LANES; r++) {
            float own[2 * N];
            time_spec_embed(own, &times[i], turns, (double)t[r]);
            for (size_t k = 0; k < count; k++)
                different += memcmp(&own[k], &features[k * STRIDE + r], sizeof own[k]) != 0;
        }
        ck_assert_uint_eq(different, 0);
        ck_assert_float_eq(features[LANES], 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("time_lanes");
    TCase *tests = tcase_create("time_lanes");
    tcase_add_test(tests, each_distinct_time_is_found_once);
    tcase_add_test(tests, all_times_may_differ);
    tcase_add_test(tests, times_are_compared_by_their_bits);
    tcase_add_test(tests, every_lane_has_its_own_embedding);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
