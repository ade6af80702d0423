#include "config/limits.h"
#include "core/base/mem.h"
#include "core/flow/path.h"
#include "core/flow/schedule.h"
#include "tests/unit/flow/paths.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

static struct paths paths;

static void set_up(void)
{
    paths_init(&paths);
}

static void tear_down(void)
{
    paths_release(&paths);
}

static void near(double value, double expected, double tolerance, const char *what, double t)
{
    ck_assert_msg(fabs(value - expected) <= tolerance * (1 + fabs(expected)),
                  "%s at %g: %.12g, not %.12g", what, t, value, expected);
}

START_TEST(every_path_goes_from_noise_to_data)
{
    static const struct {
        double start[2], end[2]; /* alpha, beta */
    } expected[PATHS] = {
        {{0, 1}, {1, 0}},
        {{0, 1}, {1, 0.1}},
        {{0, 1}, {1, 0}},
        {{0, 1}, {1, 0}},
        {{0, 1}, {1, 0}},
        {{0, 1}, {1, 0}},
        {{0.00657152, 0.9999784}, {1, 0}},
        {{1, 10}, {1, 0.02}},
        {{0.00635282, 0.9999798}, {0.99995, 0.01}}, /* by numpy, like the next */
        {{0.00098549, 0.99999951}, {0.99912586, 0.04180327}},
        {{0, 1}, {1, 0.01}},
    };
    for (int p = 0; p < PATHS; p++) {
        struct path_point start = path_at(&paths.all[p], 0), end = path_at(&paths.all[p], 1);
        near(start.alpha, expected[p].start[0], 1e-7, paths.names[p], 0);
        near(start.beta, expected[p].start[1], 1e-7, paths.names[p], 0);
        near(end.alpha, expected[p].end[0], 1e-7, paths.names[p], 1);
        near(end.beta, expected[p].end[1], 1e-7, paths.names[p], 1);
    }
}
END_TEST

START_TEST(derivatives_are_those_of_finite_differences)
{
    const double h = 1e-6;
    for (int p = 0; p < PATHS; p++) {
        for (int i = 1; i < 200; i++) {
            double t = i / 200.0 + 1e-3 * (i % 3 - 1);
            struct path_point at = path_at(&paths.all[p], t);
            struct path_point before = path_at(&paths.all[p], t - h);
            struct path_point after = path_at(&paths.all[p], t + h);
            near(at.dalpha, (after.alpha - before.alpha) / (2 * h), 2e-5, paths.names[p], t);
            near(at.dbeta, (after.beta - before.beta) / (2 * h), 2e-5, paths.names[p], t);
            near(at.beta_dbeta, at.beta * at.dbeta, 1e-12, paths.names[p], t);
        }
    }
}
END_TEST

START_TEST(alpha_rises_and_beta_falls)
{
    for (int p = 0; p < PATHS; p++) {
        for (int i = 0; i < 5000; i++) {
            struct path_point a = path_at(&paths.all[p], i / 5000.0);
            struct path_point b = path_at(&paths.all[p], (i + 1) / 5000.0);
            ck_assert(b.alpha >= a.alpha && b.beta <= a.beta && a.beta > 0 && b.alpha > 0);
            ck_assert(b.alpha * a.beta > a.alpha * b.beta);
            ck_assert(a.dalpha >= 0 && a.dbeta <= 0);
        }
    }
}
END_TEST

START_TEST(nothing_is_ever_other_than_finite)
{
    static const double times[] = {-1,       0,           1e-300, 1e-9, 1 - 1e-5,
                                   1 - 1e-7, 1 - 0x1p-53, 1,      2,    INFINITY,
                                   -INFINITY, NAN};
    for (int p = 0; p < PATHS; p++) {
        for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
            struct path_point at = path_at(&paths.all[p], times[i]);
            ck_assert(isfinite(at.alpha) && isfinite(at.beta) && isfinite(at.dalpha));
            ck_assert(isfinite(at.dbeta) && isfinite(at.beta_dbeta));
        }
        struct path_point past = path_at(&paths.all[p], 2), end = path_at(&paths.all[p], 1);
        ck_assert_mem_eq(&past, &end, sizeof end);
    }
}
END_TEST

START_TEST(unbounded_slopes_are_those_of_the_edge)
{
    static const int steep[] = {5, 6};
    for (size_t i = 0; i < 2; i++) {
        const struct path *path = &paths.all[steep[i]];
        ck_assert(path_steep(path));
        ck_assert(path_at(path, 1).dbeta == path_at(path, 1 - PATH_EDGE).dbeta);
        ck_assert(path_at(path, 1).dbeta == path_at(path, 1 - 0.1 * PATH_EDGE).dbeta);
        ck_assert(path_at(path, 1).dbeta < path_at(path, 1 - 2 * PATH_EDGE).dbeta);
    }
    near(path_at(&paths.all[5], 1).beta_dbeta, -1, 1e-12, "linear_vp", 1);
    near(path_at(&paths.all[6], 1).beta_dbeta, -0.05, 1e-12, "vp", 1);
}
END_TEST

START_TEST(paths_follow_their_formulas)
{
    for (int i = 1; i < 20; i++) {
        double t = i / 20.0;
        double big = 0.5 * (1 - t) * (1 - t) * (20 - 0.1) + (1 - t) * 0.1;
        near(path_at(&paths.all[0], t).beta, 1 - t, 1e-15, "linear", t);
        near(path_at(&paths.all[1], t).beta, 1 - 0.9 * t, 1e-15, "ot", t);
        near(path_at(&paths.all[2], t).alpha, sin(acos(0) * t), 1e-12, "cosine", t);
        near(path_at(&paths.all[3], t).alpha, pow(t, 1.5), 1e-14, "polynomial", t);
        near(path_at(&paths.all[4], t).beta, 1 - t * t * t, 1e-14, "polynomial", t);
        near(path_at(&paths.all[5], t).beta, sqrt(1 - t * t), 1e-14, "linear_vp", t);
        near(path_at(&paths.all[6], t).alpha, exp(-big / 2), 1e-14, "vp", t);
        near(path_at(&paths.all[6], t).beta, sqrt(-expm1(-big)), 1e-14, "vp", t);
        near(path_at(&paths.all[7], t).beta, 0.02 * pow(500, 1 - t), 1e-13, "ve", t);
    }
}
END_TEST

START_TEST(a_ddpm_has_its_own_products_at_its_steps)
{
    double kept = 1;
    for (int k = 0; k < 1000; k++) {
        double t = 1 - k / 999.0;
        kept *= 1 - (1e-4 + k / 999.0 * (0.02 - 1e-4));
        near(path_at(&paths.all[8], t).alpha, sqrt(kept), 1e-12, "alpha", t);
        near(path_at(&paths.all[8], t).beta, sqrt(1 - kept), 1e-11, "beta", t);
    }
}
END_TEST

START_TEST(schedules_have_the_published_betas)
{
    struct path path;
    const struct schedule_rule scaled = {PATH_SCHEDULE_SCALED_LINEAR, 1000, 0.00085, 0.012};
    ck_assert_int_eq(schedule_rule(&path, &scaled, NULL), 0);
    near(path.betas[0], 0.00085, 1e-12, "first", 0);
    near(path.betas[500], 0.00481495414171, 1e-12, "middle", 500);
    near(path.betas[999], 0.012, 1e-12, "last", 999);
    path_release(&path);
    near(paths.all[9].betas[0], 1 - pow(cos(0.028 / 1.008 * acos(0)), 2) /
                                        pow(cos(0.008 / 1.008 * acos(0)), 2), 1e-12, "cosine", 0);
    near(paths.all[9].betas[49], 0.999, 1e-12, "cosine", 49);
}
END_TEST

/* Values and slopes by scipy 1.15's PchipInterpolator. */
START_TEST(a_table_is_interpolated_as_scipy_does)
{
    static const struct {
        double t, alpha, dalpha, beta, dbeta;
    } expected[] = {
        {0, 0, 0.25, 1, -0.016666666666666913},
        {0.03, 0.010113461538461538, 0.41903846153846147, 0.9973082743362831, -0.1550427728613571},
        {0.1, 0.05, 0.6923076923076924, 0.98, -0.29734513274336305},
        {0.25, 0.2801465604879701, 1.9381565570992878, 0.8811007423562471, -0.9773224845866707},
        {0.42, 0.5084477117259812, 0.3368078008216606, 0.6547677725118484, -2.712796208530806},
        {0.6, 0.7143227389905512, 1.7244352685503963, 0.6, 0},
        {0.9, 0.9912658227848101, 0.16234177215189893, 0.4055681818181818, -3.419318181818182},
        {1, 1, 0, 0.01, -4.022727272727272},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct path_point at = path_at(&paths.all[10], expected[i].t);
        near(at.alpha, expected[i].alpha, 1e-12, "alpha", expected[i].t);
        near(at.dalpha, expected[i].dalpha, 1e-12, "dalpha", expected[i].t);
        near(at.beta, expected[i].beta, 1e-12, "beta", expected[i].t);
        near(at.dbeta, expected[i].dbeta, 1e-12, "dbeta", expected[i].t);
    }
}
END_TEST

START_TEST(curves_that_turn_have_no_slope_there)
{
    static const double x[] = {0, 1, 2}, y[] = {3, 1, 2}, steep[] = {0, 0.1, -5};
    struct curve curve;
    ck_assert_int_eq(curve_init(&curve, x, y, 3), 0);
    near(curve_at(&curve, 0).slope, -3.5, 1e-15, "slope", 0);
    near(curve_at(&curve, 0.5).value, 1.5625, 1e-15, "value", 0.5);
    near(curve_at(&curve, 1).slope, 0, 1e-15, "slope", 1);
    near(curve_at(&curve, 1.5).slope, 0.875, 1e-15, "slope", 1.5);
    curve_release(&curve);
    ck_assert_int_eq(curve_init(&curve, x, steep, 3), 0);
    near(curve_at(&curve, 0).slope, 0.3, 1e-15, "slope", 0);
    near(curve_at(&curve, 1.5).value, -1.4875, 1e-15, "value", 1.5);
    curve_release(&curve);
    ck_assert_int_eq(curve_init(&curve, x, y, 2), 0);
    near(curve_at(&curve, 0.25).value, 2.5, 1e-15, "value", 0.25);
    curve_release(&curve);
}
END_TEST

/* One hash for every compiler and machine: samples of a seed hang on these bits. */
START_TEST(paths_have_the_same_bits_on_every_machine)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (int i = 0; i < 2000 * PATHS; i++) {
        struct path_point at = path_at(&paths.all[i % PATHS], i / (2000.0 * PATHS - 1));
        unsigned char bytes[sizeof at];
        memcpy(bytes, &at, sizeof at);
        for (size_t b = 0; b < sizeof at; b++)
            hash = (hash ^ bytes[b]) * UINT64_C(0x100000001b3);
    }
    ck_assert_uint_eq(hash, UINT64_C(0x885c4202664a72cf));
}
END_TEST

START_TEST(noise_starts_with_the_spread_of_the_path)
{
    for (int p = 0; p < PATHS; p++) {
        double expected = paths.all[p].kind == PATH_VE ? sqrt(101) : 1;
        near(path_source_scale(&paths.all[p]), expected, 1e-12, paths.names[p], 0);
    }
    ck_assert(path_source_scale(&paths.all[0]) == 1);
}
END_TEST

START_TEST(kinds_have_names)
{
    enum path_kind kind;
    enum path_schedule schedule;
    for (int i = 0; i < PATH_COUNT; i++) {
        ck_assert(path_find(path_name((enum path_kind)i), &kind));
        ck_assert_int_eq((int)kind, i);
    }
    for (int i = 0; i < PATH_SCHEDULE_COUNT; i++) {
        ck_assert(path_schedule_find(path_schedule_name((enum path_schedule)i), &schedule));
        ck_assert_int_eq((int)schedule, i);
    }
    ck_assert(!path_find("lineal", &kind) && !path_schedule_find("", &schedule));
    ck_assert_ptr_null(path_name(PATH_COUNT));
    ck_assert_ptr_null(path_schedule_name(PATH_SCHEDULE_COUNT));
}
END_TEST

START_TEST(numbers_out_of_range_are_named)
{
    static const struct {
        struct path path;
        const char *where;
    } cases[] = {
        {{.kind = PATH_OT, .sigma_min = -0.1}, "/path/sigma_min"},
        {{.kind = PATH_OT, .sigma_min = 1}, "/path/sigma_min"},
        {{.kind = PATH_POLYNOMIAL, .n = 0.5}, "/path/n"},
        {{.kind = PATH_POLYNOMIAL, .n = NAN}, "/path/n"},
        {{.kind = PATH_POLYNOMIAL, .n = 65}, "/path/n"},
        {{.kind = PATH_VP, .beta_max = 20}, "/path/beta_min"},
        {{.kind = PATH_VP, .beta_min = 0.1, .beta_max = 101}, "/path/beta_max"},
        {{.kind = PATH_VP, .beta_min = 0.2, .beta_max = 0.1}, "/path/beta_max"},
        {{.kind = PATH_VE, .sigma_max = 1}, "/path/sigma_min"},
        {{.kind = PATH_VE, .sigma_min = 1, .sigma_max = 1}, "/path/sigma_max"},
        {{.kind = PATH_VE, .sigma_min = 1, .sigma_max = 1e7}, "/path/sigma_max"},
    };
    for (int p = 0; p < PATHS; p++)
        ck_assert_int_eq(path_check(&paths.all[p], NULL), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = {0};
        ck_assert_int_eq(path_check(&cases[i].path, &err), ERR_INVALID);
        ck_assert_str_eq(err.where, cases[i].where);
    }
}
END_TEST

START_TEST(tables_that_are_no_path_are_refused)
{
    enum { POINTS = 4 };
    static const struct {
        double t[POINTS], alpha[POINTS], beta[POINTS];
        const char *where;
    } cases[] = {
        {{0.1, 0.2, 0.3, 1}, {0, 0.2, 0.3, 1}, {1, 0.8, 0.7, 0}, "/path/t/0"},
        {{0, 0.2, 0.3, 0.9}, {0, 0.2, 0.3, 1}, {1, 0.8, 0.7, 0}, "/path/t/3"},
        {{0, 0.3, 0.3, 1}, {0, 0.2, 0.3, 1}, {1, 0.8, 0.7, 0}, "/path/t/2"},
        {{0, NAN, 0.3, 1}, {0, 0.2, 0.3, 1}, {1, 0.8, 0.7, 0}, "/path/t/1"},
        {{0, 0.2, 0.3, 1}, {0, 0.2, 0.1, 1}, {1, 0.8, 0.7, 0}, "/path/alpha/2"},
        {{0, 0.2, 0.3, 1}, {-1, 0.2, 0.3, 1}, {1, 0.8, 0.7, 0}, "/path/alpha/0"},
        {{0, 0.2, 0.3, 1}, {0, 0.2, 0.3, 1e7}, {1, 0.8, 0.7, 0}, "/path/alpha/3"},
        {{0, 0.2, 0.3, 1}, {0, 1e-13, 0.3, 1}, {1, 0.8, 0.7, 0}, "/path/alpha/1"},
        {{0, 0.2, 0.3, 1}, {0, 0.2, 0.3, 1}, {1, 0.8, 0.9, 0}, "/path/beta/2"},
        {{0, 0.2, 0.3, 1}, {0, 0.2, 0.3, 1}, {1, 0.8, NAN, 0}, "/path/beta/2"},
        {{0, 0.2, 0.3, 1}, {0, 0.2, 0.2, 1}, {1, 0.8, 0.8, 0}, "/path/alpha/2"},
        {{0, 0.2, 0.3, 1}, {0, 0, 0.2, 1}, {1, 0.8, 0.7, 0}, "/path/alpha/1"},
        {{0, 0.2, 0.3, 1}, {0, 0.3, 0.3, 1}, {1, 0.8, 0.7, 0.7}, "/path/alpha/2"},
    };
    struct path path;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = {0};
        const struct schedule_table table = {cases[i].t, cases[i].alpha, cases[i].beta, POINTS};
        ck_assert_int_eq(schedule_table(&path, &table, &err), ERR_INVALID);
        ck_assert_str_eq(err.where, cases[i].where);
    }
    const struct schedule_table one = {cases[0].t, cases[0].alpha, cases[0].beta, 1};
    ck_assert_int_eq(schedule_table(&path, &one, NULL), ERR_INVALID);
    const struct schedule_table long_one = {NULL, NULL, NULL, LIMIT_PATH_POINTS + 1};
    ck_assert_int_eq(schedule_table(&path, &long_one, NULL), ERR_INVALID);
}
END_TEST

static void check_betas(const double *betas, size_t count, const char *where)
{
    struct err err = {0};
    struct path path;
    ck_assert_int_eq(schedule_betas(&path, betas, count, &err), ERR_INVALID);
    ck_assert_str_eq(err.where, where);
}

START_TEST(betas_that_are_no_schedule_are_refused)
{
    struct path path;
    double many[40];
    for (size_t i = 0; i < 40; i++)
        many[i] = 0.99;
    check_betas((const double[]){0.1, 1}, 2, "/path/betas/1");
    check_betas((const double[]){0, 0.1}, 2, "/path/betas/0");
    check_betas((const double[]){NAN, 0.1}, 2, "/path/betas/0");
    check_betas((const double[]){0.1}, 1, "/path/betas");
    check_betas(NULL, LIMIT_PATH_POINTS + 1, "/path/betas");
    check_betas(many, 40, "/path/betas/14");
    static const struct {
        struct schedule_rule rule;
        const char *where;
    } rules[] = {
        {{PATH_SCHEDULE_LINEAR, 1, 0.1, 0.2}, "/path/steps"},
        {{PATH_SCHEDULE_COSINE, LIMIT_PATH_POINTS + 1, 0, 0}, "/path/steps"},
        {{PATH_SCHEDULE_LINEAR, 10, 0, 0.2}, "/path/beta_min"},
        {{PATH_SCHEDULE_SCALED_LINEAR, 10, 0.1, 0.05}, "/path/beta_max"},
        {{PATH_SCHEDULE_SCALED_LINEAR, 10, 0.1, 1}, "/path/beta_max"},
        {{PATH_SCHEDULE_LINEAR, 4096, 0.1, 0.2}, "/path/betas/607"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        struct err err = {0};
        ck_assert_int_eq(schedule_rule(&path, &rules[i].rule, &err), ERR_INVALID);
        ck_assert_str_eq(err.where, rules[i].where);
    }
}
END_TEST

START_TEST(copies_are_deep_and_fail_whole)
{
    for (int p = 0; p < PATHS; p++) {
        struct path copy;
        int code = ERR_NOMEM;
        for (size_t after = 0; code == ERR_NOMEM && after < 10; after++) {
            memset(&copy, 0, sizeof copy);
            mem_fail_after(after);
            code = path_copy(&copy, &paths.all[p]);
            mem_fail_after(SIZE_MAX);
        }
        ck_assert_int_eq(code, 0);
        ck_assert(!copy.betas || copy.betas != paths.all[p].betas);
        ck_assert(!copy.alpha.x || copy.alpha.x != paths.all[p].alpha.x);
        for (int i = 0; i <= 50; i++) {
            struct path_point a = path_at(&copy, i / 50.0), b = path_at(&paths.all[p], i / 50.0);
            ck_assert_mem_eq(&a, &b, sizeof a);
        }
        path_release(&copy);
    }
}
END_TEST

START_TEST(schedules_report_failed_allocations)
{
    const struct schedule_table table = {table_t, table_alpha, table_beta, 6};
    const struct schedule_rule rule = {.schedule = PATH_SCHEDULE_COSINE, .steps = 10};
    for (int kind = 0; kind < 2; kind++) {
        struct path path;
        int code = ERR_NOMEM;
        for (size_t after = 0; code == ERR_NOMEM && after < 10; after++) {
            struct err err = {0};
            mem_fail_after(after);
            code = kind ? schedule_rule(&path, &rule, &err) : schedule_table(&path, &table, &err);
            mem_fail_after(SIZE_MAX);
            ck_assert_int_eq((int)err.code, code);
        }
        ck_assert_int_eq(code, 0);
        path_release(&path);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("path");
    TCase *tests = tcase_create("path");
    tcase_add_unchecked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, every_path_goes_from_noise_to_data);
    tcase_add_test(tests, derivatives_are_those_of_finite_differences);
    tcase_add_test(tests, alpha_rises_and_beta_falls);
    tcase_add_test(tests, nothing_is_ever_other_than_finite);
    tcase_add_test(tests, unbounded_slopes_are_those_of_the_edge);
    tcase_add_test(tests, paths_follow_their_formulas);
    tcase_add_test(tests, a_ddpm_has_its_own_products_at_its_steps);
    tcase_add_test(tests, schedules_have_the_published_betas);
    tcase_add_test(tests, a_table_is_interpolated_as_scipy_does);
    tcase_add_test(tests, curves_that_turn_have_no_slope_there);
    tcase_add_test(tests, paths_have_the_same_bits_on_every_machine);
    tcase_add_test(tests, noise_starts_with_the_spread_of_the_path);
    tcase_add_test(tests, kinds_have_names);
    tcase_add_test(tests, numbers_out_of_range_are_named);
    tcase_add_test(tests, tables_that_are_no_path_are_refused);
    tcase_add_test(tests, betas_that_are_no_schedule_are_refused);
    tcase_add_test(tests, copies_are_deep_and_fail_whole);
    tcase_add_test(tests, schedules_report_failed_allocations);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
