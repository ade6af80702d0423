#include "core/base/mem.h"
#include "core/flow/model.h"
#include "core/flow/tile.h"
#include "core/linalg/rng.h"
#include "tests/unit/flow/fields.h"
#include "tests/unit/unit.h"

#include <stdint.h>
#include <string.h>

static const struct gauss gauss = {{0.7, -0.5, 2.0}, {1.6, 0.5, 0.1}};

static struct grid new_grid(double t0, double t1, size_t steps)
{
    struct grid grid;
    const struct grid_spec spec = {.t0 = t0, .t1 = t1, .steps = steps};
    ck_assert_int_eq(grid_init(&grid, &spec, NULL), 0);
    return grid;
}

/* Runs every lane to the end of its grid. */
static void run_tile(struct tile *tile, size_t steps)
{
    for (size_t i = 0; i < steps; i++)
        tile_step(tile);
}

static double start_of(size_t row, size_t i)
{
    return 0.5 + (double)row / 64.0 + (double)i;
}

/* Of the Gaussian field, or of the turning one, which has no self. */
static double exact_of(struct field field, size_t row, size_t i, double t)
{
    const double x0[] = {start_of(row, 0), start_of(row, 1)};
    return field.self ? gauss_flow(field.self, i, start_of(row, i), t) : turn_flow(i, x0, t);
}

/* Root mean square error of 64 starts at t1. */
static double error_of(struct field field, const struct tableau *tableau, double t1, size_t steps)
{
    enum { STARTS = 64 };
    struct tile tile;
    struct grid grid = new_grid(0.0, t1, steps);
    float x[GAUSS_DIM];
    double sum = 0.0;
    ck_assert_int_eq(tile_init(&tile, field, tableau, simd_select(NULL), STARTS), 0);
    for (size_t r = 0; r < STARTS; r++) {
        for (size_t i = 0; i < field.dim; i++)
            x[i] = (float)start_of(r, i);
        ck_assert_uint_eq(tile_add(&tile, x, &grid, 0, NULL, r), r);
    }
    run_tile(&tile, steps);
    for (size_t r = 0; r < STARTS; r++) {
        tile_get(&tile, r, x);
        for (size_t i = 0; i < field.dim; i++) {
            double away = (double)x[i] - exact_of(field, r, i, t1);
            sum += away * away;
        }
    }
    tile_release(&tile);
    grid_release(&grid);
    return sqrt(sum / (double)(STARTS * field.dim));
}

static void check_slope(struct field field, const struct tableau *tableau, double order,
                        size_t steps, double t1)
{
    double coarse = error_of(field, tableau, t1, steps);
    double fine = error_of(field, tableau, t1, 2 * steps);
    double slope = log2(coarse / fine);
    ck_assert_msg(fabs(slope - order) < 0.1, "%s: slope %g instead of %g (errors %g, %g)",
                  tableau->name, slope, order, coarse, fine);
}

/* The tests of this file take steps of a given length; test_adaptive.c has those that choose it. */
static bool takes_fixed_steps(const struct tableau *tableau)
{
    return !tableau_adaptive(tableau);
}

/* Steps, by order, where the error is far above rounding and the next term far below the first. */
enum { ORDERS = 5 };

START_TEST(every_method_converges_with_its_order)
{
    static const size_t steps[ORDERS] = {0, 256, 64, 48, 24};
    for (size_t i = 0; tableau_at(i); i++) {
        const struct tableau *tableau = tableau_at(i);
        if (takes_fixed_steps(tableau))
            check_slope(turn_field(), tableau, tableau->order, steps[tableau->order], 1.0);
    }
}
END_TEST

/* The second-order error of the midpoint rule vanishes on this field: with u = a(t) (x - m(t)) it
   is a'' + 6 a a' + 4 a^3, a third derivative of the variance, which is quadratic in t. */
START_TEST(every_method_converges_on_the_gaussian_field)
{
    static const struct gauss narrow = {{0.7, 0.7, 0.7}, {0.1, 0.1, 0.1}};
    static const size_t steps[ORDERS] = {0, 64, 32, 24, 12};
    for (size_t i = 0; tableau_at(i); i++) {
        const struct tableau *tableau = tableau_at(i);
        int order = strcmp(tableau->name, "midpoint") == 0 ? 3 : tableau->order;
        if (takes_fixed_steps(tableau))
            check_slope(gauss_field(&narrow), tableau, order, steps[order], 0.9);
    }
}
END_TEST

START_TEST(samples_have_the_exact_mean_and_covariance)
{
    enum { ROWS = 20000, STRIDE = 400 };
    const struct rng_key key = {.seed = 5, .stream = RNG_SOURCE};
    struct grid grid = new_grid(0.0, 1.0, 32);
    struct tile tile;
    double mean[GAUSS_DIM] = {0};
    double second[GAUSS_DIM][GAUSS_DIM] = {{0}};
    ck_assert_int_eq(
        tile_init(&tile, gauss_field(&gauss), tableau_find("rk4"), simd_select(NULL), STRIDE), 0);
    for (size_t row = 0; row < ROWS; row++) {
        float x[GAUSS_DIM];
        rng_normal(key, row, 0, x, GAUSS_DIM);
        size_t lane = tile_add(&tile, x, &grid, 0, NULL, row);
        if (lane < STRIDE - 1)
            continue;
        run_tile(&tile, grid.steps);
        for (size_t r = 0; r < STRIDE; r++) {
            tile_get(&tile, r, x);
            for (size_t i = 0; i < GAUSS_DIM; i++) {
                mean[i] += (double)x[i] / ROWS;
                for (size_t j = 0; j < GAUSS_DIM; j++)
                    second[i][j] += (double)x[i] * (double)x[j] / ROWS;
            }
            tile_drop(&tile, r);
        }
    }
    for (size_t i = 0; i < GAUSS_DIM; i++) {
        double s = gauss.std[i];
        ck_assert(fabs(mean[i] - gauss.mean[i]) < 4.0 * s / sqrt(ROWS));
        for (size_t j = 0; j < GAUSS_DIM; j++) {
            double covariance = second[i][j] - mean[i] * mean[j];
            double exact = i == j ? s * s : 0.0;
            double spread = s * gauss.std[j] * sqrt((i == j ? 2.0 : 1.0) / ROWS);
            ck_assert(fabs(covariance - exact) < 4.0 * spread);
        }
    }
    tile_release(&tile);
    grid_release(&grid);
}
END_TEST

START_TEST(the_flow_runs_backwards)
{
    struct grid forward = new_grid(0.0, 1.0, 64);
    struct grid backward = new_grid(1.0, 0.0, 64);
    const float x0[GAUSS_DIM] = {0.3f, -1.2f, 0.9f};
    float x[GAUSS_DIM];
    struct tile tile;
    ck_assert_int_eq(
        tile_init(&tile, gauss_field(&gauss), tableau_find("rk4"), simd_select(NULL), 16), 0);
    tile_add(&tile, x0, &forward, 0, NULL, 0);
    run_tile(&tile, 64);
    tile_get(&tile, 0, x);
    for (size_t i = 0; i < GAUSS_DIM; i++)
        ck_assert(fabs((double)x[i] - gauss_flow(&gauss, i, (double)x0[i], 1.0)) < 1e-4);
    tile_drop(&tile, 0);
    tile_add(&tile, x, &backward, 0, NULL, 0);
    run_tile(&tile, 64);
    tile_get(&tile, 0, x);
    for (size_t i = 0; i < GAUSS_DIM; i++)
        ck_assert(fabsf(x[i] - x0[i]) < 1e-3f);
    tile_release(&tile);
    grid_release(&forward);
    grid_release(&backward);
}
END_TEST

START_TEST(field_is_never_evaluated_outside_the_interval)
{
    static const double ends[][2] = {{0.1, 0.7}, {0.9, 0.3}, {0.0, 1.0}, {1.0, 0.0}};
    for (size_t e = 0; e < 4; e++) {
        for (size_t m = 0; tableau_at(m); m++) {
            struct probe probe = {.low = 2.0f, .high = -1.0f, .bound = INFINITY};
            struct probe *self = &probe;
            struct tile tile;
            const float zero = 0.0f;
            if (!takes_fixed_steps(tableau_at(m)))
                continue;
            struct grid grid = new_grid(ends[e][0], ends[e][1], 77);
            ck_assert_int_eq(
                tile_init(&tile, probe_field(&self), tableau_at(m), simd_select(NULL), 16), 0);
            for (size_t r = 0; r < 16; r++)
                tile_add(&tile, &zero, &grid, r, NULL, r);
            run_tile(&tile, 80);
            ck_assert(probe.low >= (float)fmin(ends[e][0], ends[e][1]));
            ck_assert(probe.high <= (float)fmax(ends[e][0], ends[e][1]));
            ck_assert_uint_eq(probe.calls, 77 * tableau_at(m)->stages);
            tile_release(&tile);
            grid_release(&grid);
        }
    }
}
END_TEST

START_TEST(lane_that_leaves_the_finite_numbers_stands_still)
{
    struct probe probe = {.bound = 10.0f};
    struct probe *self = &probe;
    struct grid grid = new_grid(0.0, 1.0, 4);
    const float good = 1.0f, bad = 11.0f, nan = NAN;
    float x;
    struct tile tile;
    ck_assert_int_eq(
        tile_init(&tile, probe_field(&self), tableau_find("heun"), simd_select(NULL), 16), 0);
    tile_add(&tile, &good, &grid, 0, NULL, 0);
    tile_add(&tile, &bad, &grid, 0, NULL, 1);
    tile_add(&tile, &good, &grid, 3, NULL, 2);
    tile_add(&tile, &nan, &grid, 0, NULL, 3);
    run_tile(&tile, 4);
    ck_assert(tile.lanes[0].status == ROW_OK && tile.lanes[0].step == 4);
    ck_assert(tile.lanes[1].status == ROW_NON_FINITE && tile.lanes[1].step == 1);
    ck_assert(tile.lanes[2].status == ROW_OK && tile.lanes[2].step == 4);
    ck_assert(tile.lanes[3].status == ROW_NON_FINITE && tile.lanes[3].step == 0);
    tile_get(&tile, 0, &x);
    ck_assert(x == 2.0f);
    tile_get(&tile, 2, &x);
    ck_assert(x == 1.25f);
    tile_release(&tile);
    grid_release(&grid);
}
END_TEST

START_TEST(finished_lane_keeps_its_bits_where_the_field_is_singular)
{
    struct probe probe = {.bound = 1.5f};
    struct probe *self = &probe;
    struct grid brief = new_grid(0.0, 1.0, 1);
    struct grid slow = new_grid(0.0, 1.0, 4);
    const float x0 = 1.0f, low = -5.0f;
    float x;
    struct tile tile;
    ck_assert_int_eq(
        tile_init(&tile, probe_field(&self), tableau_find("euler"), simd_select(NULL), 16), 0);
    tile_add(&tile, &x0, &brief, 0, NULL, 0);
    tile_add(&tile, &low, &slow, 0, NULL, 1);
    run_tile(&tile, 4);
    tile_get(&tile, 0, &x);
    ck_assert(x == 2.0f && tile.lanes[0].status == ROW_OK);
    tile_get(&tile, 1, &x);
    ck_assert(x == -4.0f && tile.lanes[1].status == ROW_OK);
    tile_release(&tile);
    grid_release(&brief);
    grid_release(&slow);
}
END_TEST

START_TEST(lanes_are_taken_from_the_bottom_and_given_back)
{
    struct probe probe = {.bound = INFINITY};
    struct probe *self = &probe;
    struct grid grid = new_grid(0.0, 1.0, 2);
    const float x = 0.0f;
    int owner;
    struct tile tile;
    ck_assert_int_eq(
        tile_init(&tile, probe_field(&self), tableau_find("euler"), simd_select(NULL), 16), 0);
    for (size_t r = 0; r < 16; r++)
        ck_assert_uint_eq(tile_add(&tile, &x, &grid, 0, &owner, 100 + r), r);
    ck_assert_uint_eq(tile_add(&tile, &x, &grid, 0, NULL, 0), 16);
    ck_assert_ptr_eq(tile.lanes[7].owner, &owner);
    ck_assert_uint_eq(tile.lanes[7].row, 107);
    tile_drop(&tile, 7);
    tile_drop(&tile, 3);
    ck_assert_uint_eq(tile.active, 14);
    ck_assert_uint_eq(tile_add(&tile, &x, &grid, 0, NULL, 0), 3);
    ck_assert_uint_eq(tile_add(&tile, &x, &grid, 0, NULL, 0), 7);
    for (size_t r = 0; r < 16; r++)
        tile_drop(&tile, r);
    tile_step(&tile);
    ck_assert_uint_eq(probe.calls, 0);
    tile_release(&tile);
    grid_release(&grid);
}
END_TEST

START_TEST(tile_without_memory_is_refused)
{
    struct tile tile;
    mem_fail_after(0);
    ck_assert_int_eq(
        tile_init(&tile, gauss_field(&gauss), tableau_find("rk4"), simd_select(NULL), 16),
        ERR_NOMEM);
    mem_fail_after(SIZE_MAX);
    tile_release(&tile);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tile");
    TCase *tests = tcase_create("tile");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, every_method_converges_with_its_order);
    tcase_add_test(tests, every_method_converges_on_the_gaussian_field);
    tcase_add_test(tests, samples_have_the_exact_mean_and_covariance);
    tcase_add_test(tests, the_flow_runs_backwards);
    tcase_add_test(tests, field_is_never_evaluated_outside_the_interval);
    tcase_add_test(tests, lane_that_leaves_the_finite_numbers_stands_still);
    tcase_add_test(tests, finished_lane_keeps_its_bits_where_the_field_is_singular);
    tcase_add_test(tests, lanes_are_taken_from_the_bottom_and_given_back);
    tcase_add_test(tests, tile_without_memory_is_refused);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
