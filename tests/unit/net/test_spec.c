#include "core/net/spec.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <string.h>

static struct net_spec good_spec(enum time_input input)
{
    bool embedding = input == TIME_FOURIER || input == TIME_SINUSOIDAL;
    return (struct net_spec){
        .dim = 2,
        .activation = ACTIVATION_SELU,
        .time = {.input = input,
                 .scale = 1,
                 .frequency_count = embedding ? 3 : 0,
                 .max_period = 10000,
                 .frequencies = {1, 2, 4}},
        .hidden_count = 3,
        .hidden = {64, 32, 16},
    };
}

START_TEST(sizes_and_offsets_follow_the_layers)
{
    struct net_spec spec = good_spec(TIME_LAST);
    ck_assert_uint_eq(net_spec_layers(&spec), 4);
    ck_assert_uint_eq(net_spec_in(&spec, 0), 3);
    ck_assert_uint_eq(net_spec_out(&spec, 0), 64);
    ck_assert_uint_eq(net_spec_in(&spec, 3), 16);
    ck_assert_uint_eq(net_spec_out(&spec, 3), 2);
    ck_assert_uint_eq(net_spec_weight_offset(&spec, 0), 0);
    ck_assert_uint_eq(net_spec_bias_offset(&spec, 0), 192);
    ck_assert_uint_eq(net_spec_weight_offset(&spec, 1), 256);
    ck_assert_uint_eq(net_spec_parameters(&spec), 256 + 65 * 32 + 33 * 16 + 17 * 2);
    spec = good_spec(TIME_SINUSOIDAL);
    ck_assert_uint_eq(net_spec_in(&spec, 0), 8);
}
END_TEST

START_TEST(time_inputs_have_names)
{
    static const char *const names[] = {"first", "last", "fourier", "sinusoidal"};
    enum time_input found = TIME_FIRST;
    for (int i = 0; i < 4; i++) {
        ck_assert_str_eq(time_input_name((enum time_input)i), names[i]);
        ck_assert(time_input_find(names[i], &found));
        ck_assert_int_eq(found, i);
    }
    ck_assert(!time_input_find("middle", &found));
    ck_assert_int_eq(found, TIME_SINUSOIDAL);
}
END_TEST

START_TEST(time_stands_where_the_spec_says)
{
    struct time_spec time = {.input = TIME_FIRST};
    ck_assert(time_spec_before_x(&time));
    time.input = TIME_LAST;
    time.before_x = true;
    ck_assert(!time_spec_before_x(&time));
    time.input = TIME_FOURIER;
    ck_assert(time_spec_before_x(&time));
    time.before_x = false;
    ck_assert(!time_spec_before_x(&time));
}
END_TEST

START_TEST(embeddings_are_the_sines_and_cosines_of_the_header)
{
    for (int kind = TIME_FOURIER; kind <= TIME_SINUSOIDAL; kind++) {
        struct net_spec spec = good_spec((enum time_input)kind);
        double turns[3];
        float features[6];
        spec.time.scale = 10;
        spec.time.cos_first = kind == TIME_FOURIER;
        time_spec_turns(&spec.time, turns);
        time_spec_embed(features, &spec.time, turns, 0.3);
        for (int k = 0; k < 3; k++) {
            double angle = kind == TIME_FOURIER ? 2 * acos(-1) * spec.time.frequencies[k] * 3
                                                : 3 / pow(10000, k / 3.0);
            float sine = features[spec.time.cos_first ? 3 + k : k];
            float cosine = features[spec.time.cos_first ? k : 3 + k];
            ck_assert_double_eq_tol((double)sine, sin(angle), 1e-7);
            ck_assert_double_eq_tol((double)cosine, cos(angle), 1e-7);
        }
    }
}
END_TEST

static void assert_refused(const struct net_spec *spec, const char *where)
{
    struct err err = {0};
    ck_assert_int_eq(net_spec_check(spec, &err), ERR_INVALID);
    ck_assert_str_eq(err.where, where);
    ck_assert_uint_gt(strlen(err.message), 10);
}

START_TEST(good_specs_pass)
{
    for (int i = 0; i < 4; i++) {
        struct net_spec spec = good_spec((enum time_input)i);
        ck_assert_int_eq(net_spec_check(&spec, NULL), 0);
        spec.dim = LIMIT_DIM;
        spec.hidden[1] = 4096;
        spec.time.scale = -999;
        ck_assert_int_eq(net_spec_check(&spec, NULL), 0);
    }
}
END_TEST

/* good_spec with one field set to a value that must be refused. */
#define REFUSE(input, field, value, where)                                                         \
    do {                                                                                           \
        struct net_spec spec = good_spec(input);                                                   \
        spec.field = value;                                                                        \
        assert_refused(&spec, where);                                                              \
    } while (0)

START_TEST(what_is_outside_the_limits_is_refused_by_name)
{
    REFUSE(TIME_LAST, dim, 0, "/network/dim");
    REFUSE(TIME_LAST, dim, LIMIT_DIM + 1, "/network/dim");
    REFUSE(TIME_LAST, activation, ACTIVATION_COUNT, "/network/activation");
    REFUSE(TIME_LAST, hidden_count, 0, "/network/hidden");
    REFUSE(TIME_LAST, hidden_count, LIMIT_LAYERS + 1, "/network/hidden");
    REFUSE(TIME_LAST, hidden[2], 0, "/network/hidden");
    REFUSE(TIME_LAST, hidden[0], LIMIT_LAYER_WIDTH + 1, "/network/hidden");
    REFUSE(TIME_LAST, time.input, (enum time_input)4, "/time/input");
    REFUSE(TIME_LAST, time.scale, 0, "/time/scale");
    REFUSE(TIME_LAST, time.scale, NAN, "/time/scale");
    REFUSE(TIME_LAST, time.scale, 1e7, "/time/scale");
    REFUSE(TIME_LAST, time.frequency_count, 1, "/time/frequencies");
    REFUSE(TIME_FOURIER, time.frequency_count, 0, "/time/frequencies");
    REFUSE(TIME_SINUSOIDAL, time.frequency_count, LIMIT_TIME_FREQUENCIES + 1, "/time/frequencies");
    REFUSE(TIME_FOURIER, time.frequencies[1], INFINITY, "/time/frequencies");
    REFUSE(TIME_FOURIER, time.frequencies[2], 1e7, "/time/frequencies");
    REFUSE(TIME_SINUSOIDAL, time.max_period, 0.5, "/time/max_period");
    REFUSE(TIME_SINUSOIDAL, time.max_period, NAN, "/time/max_period");
}
END_TEST

START_TEST(too_many_parameters_are_refused)
{
    struct net_spec spec = good_spec(TIME_LAST);
    spec.hidden[0] = spec.hidden[1] = LIMIT_LAYER_WIDTH;
    assert_refused(&spec, "/network/hidden");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spec");
    TCase *tests = tcase_create("spec");
    tcase_add_test(tests, sizes_and_offsets_follow_the_layers);
    tcase_add_test(tests, time_inputs_have_names);
    tcase_add_test(tests, time_stands_where_the_spec_says);
    tcase_add_test(tests, embeddings_are_the_sines_and_cosines_of_the_header);
    tcase_add_test(tests, good_specs_pass);
    tcase_add_test(tests, what_is_outside_the_limits_is_refused_by_name);
    tcase_add_test(tests, too_many_parameters_are_refused);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
