#include "config/limits.h"
#include "core/base/mem.h"
#include "core/flow/grid.h"
#include "core/flow/spec.h"
#include "core/flow/tableau.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* The products of a and c that the conditions of orders 1 to 5 weigh, and what a method of that
   order makes of them (Hairer, Norsett, Wanner I, II.2): one for each rooted tree. */
enum { TREES = 17, TREE_ORDERS = 5 };

struct tree {
    int order;
    double value[TABLEAU_STAGES];
    double exact;
};

static void take_a(double *out, const struct tableau *tableau, const double *v)
{
    for (size_t i = 0; i < tableau->stages; i++) {
        out[i] = 0.0;
        for (size_t j = 0; j < i; j++)
            out[i] += (double)tableau->a[i][j] * v[j];
    }
}

static void take_c(double *out, const struct tableau *tableau, const double *v)
{
    for (size_t i = 0; i < tableau->stages; i++)
        out[i] = tableau->c[i] * v[i];
}

static void fill_trees(struct tree *trees, const struct tableau *tableau)
{
    /* How each grows from an earlier one: by a product with a, with c, or with
       itself. */
    static const struct {
        int order, from;
        char by;
        double exact;
    } table[TREES] = {
        {1, 0, '1', 1.0},      {2, 0, 'c', 1.0 / 2},  {3, 1, 'c', 1.0 / 3},  {3, 1, 'a', 1.0 / 6},
        {4, 2, 'c', 1.0 / 4},  {4, 3, 'c', 1.0 / 8},  {4, 2, 'a', 1.0 / 12}, {4, 3, 'a', 1.0 / 24},
        {5, 4, 'c', 1.0 / 5},  {5, 5, 'c', 1.0 / 10}, {5, 6, 'c', 1.0 / 15}, {5, 7, 'c', 1.0 / 30},
        {5, 4, 'a', 1.0 / 20}, {5, 5, 'a', 1.0 / 40}, {5, 6, 'a', 1.0 / 60}, {5, 7, 'a', 1.0 / 120},
        {5, 3, '2', 1.0 / 20},
    };
    for (size_t n = 0; n < TREES; n++) {
        double *value = trees[n].value;
        const double *from = trees[table[n].from].value;
        trees[n].order = table[n].order;
        trees[n].exact = table[n].exact;
        for (size_t i = 0; i < tableau->stages && table[n].by == '1'; i++)
            value[i] = 1.0;
        if (table[n].by == 'c')
            take_c(value, tableau, from);
        if (table[n].by == 'a')
            take_a(value, tableau, from);
        for (size_t i = 0; i < tableau->stages && table[n].by == '2'; i++)
            value[i] = from[i] * from[i];
    }
}

/* The highest order whose conditions the weights satisfy at the fraction theta of a step. */
static int order_of(const struct tableau *tableau, const double *weights, double theta)
{
    struct tree trees[TREES];
    int order = TREE_ORDERS;
    fill_trees(trees, tableau);
    for (size_t n = 0; n < TREES; n++) {
        double sum = 0.0, size = 0.0;
        for (size_t i = 0; i < tableau->stages; i++) {
            sum += weights[i] * trees[n].value[i];
            size += fabs(weights[i]) * (1.0 + fabs(trees[n].value[i]));
        }
        double away = fabs(sum - trees[n].exact * pow(theta, trees[n].order));
        if (away > 3e-7 * size && trees[n].order <= order)
            order = trees[n].order - 1;
    }
    return order;
}

START_TEST(tableaux_satisfy_the_order_conditions)
{
    size_t count = 0;
    for (const struct tableau *tableau; (tableau = tableau_at(count)); count++) {
        double weights[TABLEAU_STAGES];
        ck_assert_ptr_eq(tableau_find(tableau->name), tableau);
        for (size_t i = 0; i < tableau->stages; i++) {
            double row = 0.0, size = 0.0;
            for (size_t j = 0; j < tableau->stages; j++) {
                ck_assert(j < i || tableau->a[i][j] == 0.0f);
                row += (double)tableau->a[i][j];
                size += fabs((double)tableau->a[i][j]);
            }
            ck_assert(fabs(row - tableau->c[i]) <= 1e-7 * size);
            weights[i] = (double)tableau->b[i];
        }
        ck_assert_int_eq(order_of(tableau, weights, 1.0), tableau->order);
    }
    ck_assert_uint_gt(count, 0);
    ck_assert_ptr_null(tableau_find("dopri8"));
}
END_TEST

START_TEST(pairs_are_first_same_as_last_and_have_the_orders_they_name)
{
    size_t count = 0;
    for (size_t m = 0; tableau_at(m); m++) {
        const struct tableau *tableau = tableau_at(m);
        double weights[TABLEAU_STAGES];
        if (!tableau_adaptive(tableau))
            continue;
        count++;
        size_t last = tableau->stages - 1;
        ck_assert(tableau->c[last] == 1.0 && tableau->e[last] != 0.0f);
        for (size_t i = 0; i < tableau->stages; i++) {
            ck_assert(tableau->a[last][i] == tableau->b[i]);
            weights[i] = (double)tableau->b[i] - (double)tableau->e[i];
        }
        ck_assert_int_eq(order_of(tableau, weights, 1.0), tableau->embedded);
    }
    ck_assert_uint_eq(count, 3);
}
END_TEST

START_TEST(dense_output_has_its_order_and_joins_the_ends_smoothly)
{
    for (size_t m = 0; tableau_at(m); m++) {
        const struct tableau *tableau = tableau_at(m);
        double weights[TABLEAU_STAGES];
        int order = tableau->order < 4 ? tableau->order : 4;
        for (double theta = 0.125; tableau_adaptive(tableau) && theta < 1.0; theta += 0.125) {
            for (size_t i = 0; i < tableau->stages; i++) {
                weights[i] = 0.0;
                for (size_t j = 0; j < TABLEAU_POWERS; j++)
                    weights[i] += tableau->dense[i][j] * pow(theta, (double)(j + 1));
            }
            ck_assert_int_ge(order_of(tableau, weights, theta), order);
        }
        for (size_t i = 0; tableau_adaptive(tableau) && i < tableau->stages; i++) {
            double end = 0.0, slope = 0.0;
            for (size_t j = 0; j < TABLEAU_POWERS; j++) {
                end += tableau->dense[i][j];
                slope += (double)(j + 1) * tableau->dense[i][j];
            }
            ck_assert(fabs(end - (double)tableau->b[i]) < 3e-7);
            ck_assert(tableau->dense[i][0] == (i == 0 ? 1.0 : 0.0));
            ck_assert(fabs(slope - (i + 1 == tableau->stages ? 1.0 : 0.0)) < 1e-12);
        }
    }
}
END_TEST

START_TEST(uniform_times_are_not_accumulated)
{
    struct grid grid;
    const struct grid_spec spec = {.t0 = 0.0, .t1 = 1.0, .steps = 10, .frames = 3};
    ck_assert_int_eq(grid_init(&grid, &spec, NULL), 0);
    ck_assert_uint_eq(grid.steps, 10);
    for (size_t i = 0; i <= 10; i++)
        ck_assert(grid.times[i] == (double)i / 10);
    ck_assert_uint_eq(grid.frame_count, 3);
    ck_assert_uint_eq(grid.frames[0], 0);
    ck_assert_uint_eq(grid.frames[1], 5);
    ck_assert_uint_eq(grid.frames[2], 10);
    grid_release(&grid);
}
END_TEST

START_TEST(backward_grid_descends)
{
    struct grid grid;
    const struct grid_spec spec = {.t0 = 0.9, .t1 = 0.1, .steps = 7};
    ck_assert_int_eq(grid_init(&grid, &spec, NULL), 0);
    ck_assert(grid.times[0] == 0.9 && grid.times[7] == 0.1);
    for (size_t i = 0; i < 7; i++)
        ck_assert(grid.times[i + 1] < grid.times[i]);
    ck_assert_uint_eq(grid.frame_count, 1);
    ck_assert_uint_eq(grid.frames[0], 7);
    grid_release(&grid);
}
END_TEST

START_TEST(every_frame_count_gives_distinct_frames_with_both_ends)
{
    for (size_t steps = 1; steps <= 40; steps++) {
        for (size_t frames = 2; frames <= steps + 1; frames++) {
            struct grid grid;
            const struct grid_spec spec = {.t1 = 1.0, .steps = steps, .frames = frames};
            ck_assert_int_eq(grid_init(&grid, &spec, NULL), 0);
            ck_assert_uint_eq(grid.frame_count, frames);
            ck_assert_uint_eq(grid.frames[0], 0);
            ck_assert_uint_eq(grid.frames[frames - 1], steps);
            for (size_t i = 1; i < frames; i++)
                ck_assert_uint_gt(grid.frames[i], grid.frames[i - 1]);
            grid_release(&grid);
        }
    }
}
END_TEST

/* Strictly monotone, from t0 to t1, and each requested time stands at its frame. */
static void check_merged(const struct grid_spec *spec, size_t steps)
{
    struct grid grid;
    double direction = spec->t0 < spec->t1 ? 1.0 : -1.0;
    ck_assert_int_eq(grid_init(&grid, spec, NULL), 0);
    ck_assert_uint_eq(grid.steps, steps);
    ck_assert(grid.times[0] == spec->t0 && grid.times[grid.steps] == spec->t1);
    for (size_t i = 0; i < grid.steps; i++)
        ck_assert(direction * (grid.times[i + 1] - grid.times[i]) > 0.0);
    ck_assert_uint_eq(grid.frame_count, spec->time_count);
    for (size_t i = 0; i < grid.frame_count; i++)
        ck_assert(grid.times[grid.frames[i]] == spec->times[i]);
    grid_release(&grid);
}

START_TEST(requested_times_become_points_of_the_grid)
{
    const double on_grid[] = {0.0, 0.25, 1.0};
    const double between[] = {0.1, 0.25, 0.26, 0.99};
    const double rounded[] = {0.1 + 0.2, 0.7 + 1e-12};
    const double crowded[] = {0.5 - 1e-12, 0.5, 0.5 + 1e-12};
    const double last_crowded[] = {1.0 - 1e-14, 1.0};
    const double first_crowded[] = {0.0, 1e-14};
    const double backwards[] = {0.9, 0.5, 0.45, 0.0};
    check_merged(&(struct grid_spec){0, 1, 4, on_grid, 3, 0}, 4);
    check_merged(&(struct grid_spec){0, 1, 4, between, 4, 0}, 7);
    check_merged(&(struct grid_spec){0, 1, 10, rounded, 2, 0}, 10);
    check_merged(&(struct grid_spec){0, 1, 4, crowded, 3, 0}, 6);
    check_merged(&(struct grid_spec){0, 1, 4, last_crowded, 2, 0}, 5);
    check_merged(&(struct grid_spec){0, 1, 4, first_crowded, 2, 0}, 5);
    check_merged(&(struct grid_spec){1, 0, 2, backwards, 4, 0}, 4);
}
END_TEST

static void check_refused(const struct grid_spec *spec, const char *where)
{
    struct grid grid;
    struct err err = {0};
    ck_assert_int_eq(grid_init(&grid, spec, &err), ERR_INVALID);
    ck_assert_str_eq(err.where, where);
    ck_assert_ptr_null(grid.times);
}

START_TEST(bad_grids_are_refused_by_field)
{
    const double outside[] = {0.5, 1.25};
    const double descending[] = {0.2, 0.5, 0.5};
    const double nan_time[] = {(double)NAN};
    const double upwards[] = {0.1, 0.2};
    check_refused(&(struct grid_spec){.t1 = 1.0}, "/solver/steps");
    check_refused(&(struct grid_spec){.t1 = 1.0, .steps = LIMIT_STEPS + 1}, "/solver/steps");
    check_refused(&(struct grid_spec){.t0 = (double)NAN, .t1 = 1.0, .steps = 1}, "/t0");
    check_refused(&(struct grid_spec){.t1 = (double)INFINITY, .steps = 1}, "/t1");
    check_refused(&(struct grid_spec){.t0 = 0.5, .t1 = 0.5, .steps = 1}, "/t1");
    check_refused(&(struct grid_spec){.t0 = 0.5, .t1 = 0.5 + 1e-9, .steps = 10}, "/t1");
    check_refused(&(struct grid_spec){.t1 = 1.0, .steps = 4, .frames = 6}, "/frames");
    check_refused(&(struct grid_spec){.t1 = 1.0, .steps = 5000, .frames = LIMIT_FRAMES + 1},
                  "/frames");
    check_refused(&(struct grid_spec){0, 1, 4, outside, 2, 0}, "/times/1");
    check_refused(&(struct grid_spec){0, 1, 4, descending, 3, 0}, "/times/2");
    check_refused(&(struct grid_spec){0, 1, 4, nan_time, 1, 0}, "/times/0");
    check_refused(&(struct grid_spec){1, 0, 4, upwards, 2, 0}, "/times/1");
    check_refused(&(struct grid_spec){0, 1, 4, upwards, 0, 0}, "/times");
    check_refused(&(struct grid_spec){0, 1, 4, upwards, LIMIT_FRAMES + 1, 0}, "/times");
}
END_TEST

START_TEST(grid_without_memory_is_empty)
{
    for (size_t after = 0; after < 2; after++) {
        struct grid grid;
        struct err err = {0};
        const struct grid_spec spec = {.t1 = 1.0, .steps = 10};
        mem_fail_after(after);
        ck_assert_int_eq(grid_init(&grid, &spec, &err), ERR_NOMEM);
        mem_fail_after(SIZE_MAX);
        ck_assert_ptr_null(grid.times);
        ck_assert_ptr_null(grid.frames);
    }
}
END_TEST

static void check_spec(const struct sample_spec *spec, const char *where)
{
    struct err err = {0};
    ck_assert_int_eq(sample_spec_check(spec, 2, &err), where ? ERR_INVALID : 0);
    ck_assert_str_eq(err.where, where ? where : "");
}

START_TEST(sample_spec_is_checked_field_by_field)
{
    struct sample_spec good;
    struct sample_spec spec;
    float x0[] = {1.0f, 2.0f, 3.0f, NAN};
    double times[] = {0.5, 0.25};
    sample_spec_init(&good);
    ck_assert_str_eq(good.tableau->name, "euler");
    ck_assert_uint_eq(good.steps, 100);
    good.count = 2;
    check_spec(&good, NULL);
    spec = good, spec.count = 0;
    check_spec(&spec, "/count");
    spec = good, spec.count = LIMIT_COUNT + 1;
    check_spec(&spec, "/count");
    spec = good, spec.tableau = NULL;
    check_spec(&spec, "/solver/method");
    spec = good, spec.steps = 0;
    check_spec(&spec, "/solver/steps");
    spec = good, spec.t0 = -0.1;
    check_spec(&spec, "/t0");
    spec = good, spec.t1 = (double)NAN;
    check_spec(&spec, "/t1");
    spec = good, spec.t1 = 0.0;
    check_spec(&spec, "/t1");
    spec = good, spec.frames = 200;
    check_spec(&spec, "/frames");
    spec = good, spec.times = times, spec.time_count = 2;
    check_spec(&spec, "/times/1");
    spec = good, spec.x0 = x0, spec.x0_dim = 1;
    check_spec(&spec, "/x0");
    spec.x0_dim = 2;
    check_spec(&spec, "/x0/1/1");
    spec.count = 1;
    check_spec(&spec, NULL);
}
END_TEST

START_TEST(released_spec_owns_nothing)
{
    struct sample_spec spec;
    sample_spec_init(&spec);
    spec.x0 = mem_zalloc(4, sizeof(float));
    spec.times = mem_zalloc(4, sizeof(double));
    sample_spec_release(&spec);
    ck_assert_ptr_null(spec.x0);
    ck_assert_ptr_null(spec.times);
    sample_spec_release(&spec);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("grid");
    TCase *tests = tcase_create("grid");
    tcase_add_test(tests, tableaux_satisfy_the_order_conditions);
    tcase_add_test(tests, pairs_are_first_same_as_last_and_have_the_orders_they_name);
    tcase_add_test(tests, dense_output_has_its_order_and_joins_the_ends_smoothly);
    tcase_add_test(tests, uniform_times_are_not_accumulated);
    tcase_add_test(tests, backward_grid_descends);
    tcase_add_test(tests, every_frame_count_gives_distinct_frames_with_both_ends);
    tcase_add_test(tests, requested_times_become_points_of_the_grid);
    tcase_add_test(tests, bad_grids_are_refused_by_field);
    tcase_add_test(tests, grid_without_memory_is_empty);
    tcase_add_test(tests, sample_spec_is_checked_field_by_field);
    tcase_add_test(tests, released_spec_owns_nothing);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
