#include "config/limits.h"
#include "core/base/mem.h"
#include "core/flow/tile.h"
#include "tests/unit/flow/fields.h"
#include "tests/unit/unit.h"

#include <stdint.h>
#include <string.h>

enum { STRIDE = 16, FRAMES = 41, MANY = 40000 };

static const struct gauss gauss = {{0.7, -0.5, 2.0}, {1.6, 0.5, 0.1}};

/* The end alone, or evenly spaced frames with both ends. */
static struct grid new_grid(double t0, double t1, size_t frames, double tolerance)
{
    struct grid grid;
    const struct grid_spec spec = {.t0 = t0, .t1 = t1, .frames = frames};
    ck_assert_int_eq(grid_init_adaptive(&grid, &spec, NULL), 0);
    grid.rtol = grid.atol = (float)tolerance;
    grid.max_evaluations = MANY;
    return grid;
}

static const struct tableau *pair_at(size_t i)
{
    static const char *const names[] = {"dopri5", "tsit5", "bosh3"};
    return i < 3 ? tableau_find(names[i]) : NULL;
}

static struct tile new_tile(struct field field, const struct tableau *tableau)
{
    struct tile tile;
    ck_assert_int_eq(tile_init(&tile, field, tableau, simd_select(NULL), STRIDE), 0);
    return tile;
}

static bool lane_runs(const struct lane *lane)
{
    return lane->status == ROW_OK && lane->step < lane->grid->steps;
}

static void run_lane(struct tile *tile, size_t lane)
{
    while (lane_runs(&tile->lanes[lane]))
        tile_step(tile);
}

static void start_of(size_t row, float *x)
{
    for (size_t i = 0; i < GAUSS_DIM; i++)
        x[i] = 0.5f + (float)row / 16.0f + (float)i;
}

static double exact_of(struct field field, size_t row, size_t i, double t)
{
    float x[GAUSS_DIM];
    start_of(row, x);
    const double x0[] = {(double)x[0], (double)x[1], (double)x[2]};
    return field.self ? gauss_flow(field.self, i, x0[i], t) : turn_flow(i, x0, t);
}

struct outcome {
    double error;       /* largest of 16 rows, relative to 1 + |x| */
    double evaluations; /* a row */
};

static struct outcome outcome_of(struct field field, const struct tableau *tableau,
                                 double tolerance)
{
    struct outcome outcome = {0};
    struct grid grid = new_grid(0.0, 1.0, 0, tolerance);
    struct tile tile = new_tile(field, tableau);
    float x[GAUSS_DIM];
    for (size_t r = 0; r < STRIDE; r++) {
        start_of(r, x);
        tile_add(&tile, x, &grid, 0, NULL, r);
    }
    for (size_t r = 0; r < STRIDE; r++) {
        run_lane(&tile, r);
        ck_assert_int_eq(tile.lanes[r].status, ROW_OK);
        outcome.evaluations += (double)tile.lanes[r].evaluations / STRIDE;
        tile_get(&tile, r, x);
        for (size_t i = 0; i < field.dim; i++) {
            double exact = exact_of(field, r, i, 1.0);
            outcome.error = fmax(outcome.error, fabs((double)x[i] - exact) / (1 + fabs(exact)));
        }
    }
    tile_release(&tile);
    grid_release(&grid);
    return outcome;
}

static void check_tolerances(struct field field, const struct tableau *tableau)
{
    struct outcome before = {0};
    for (double tolerance = 1e-3; tolerance > 2e-6; tolerance /= 10) {
        struct outcome now = outcome_of(field, tableau, tolerance);
        ck_assert_msg(now.error < 30 * tolerance, "%s at %g: error %g", tableau->name, tolerance,
                      now.error);
        ck_assert(before.evaluations == 0.0 || now.evaluations > before.evaluations);
        before = now;
    }
    /* A step costs more evaluations the more is asked of it, but no more than its order says. */
    double ratio = before.evaluations / outcome_of(field, tableau, 1e-3).evaluations;
    ck_assert(ratio < 1.5 * pow(1e3, 1.0 / (tableau->embedded + 1)));
}

START_TEST(error_falls_with_the_tolerance)
{
    for (size_t m = 0; pair_at(m); m++) {
        check_tolerances(turn_field(), pair_at(m));
        check_tolerances(gauss_field(&gauss), pair_at(m));
    }
}
END_TEST

/* The states at every frame of one row, stepped in one lane from start to end. */
static size_t run_with_frames(float *states, struct field field, const struct tableau *tableau,
                              const struct grid *grid)
{
    struct tile tile = new_tile(field, tableau);
    float x[GAUSS_DIM];
    size_t frame = 0;
    start_of(0, x);
    tile_add(&tile, x, grid, 0, NULL, 0);
    for (;;) {
        for (; frame <= tile.lanes[0].step; frame++)
            tile_get_at(&tile, 0, frame, states + frame * field.dim);
        if (!lane_runs(&tile.lanes[0]))
            break;
        tile_step(&tile);
    }
    ck_assert_uint_eq(frame, grid->steps + 1);
    size_t evaluations = tile.lanes[0].evaluations;
    tile_release(&tile);
    return evaluations;
}

START_TEST(dense_output_is_as_accurate_as_the_steps)
{
    static float states[FRAMES * GAUSS_DIM];
    for (size_t m = 0; pair_at(m); m++) {
        for (double tolerance = 1e-3; tolerance > 2e-6; tolerance /= 10) {
            struct grid grid = new_grid(0.0, 1.0, FRAMES, tolerance);
            run_with_frames(states, turn_field(), pair_at(m), &grid);
            for (size_t f = 0; f < FRAMES; f++) {
                for (size_t i = 0; i < TURN_DIM; i++) {
                    double exact = exact_of(turn_field(), 0, i, grid.times[f]);
                    double error = fabs((double)states[f * TURN_DIM + i] - exact);
                    ck_assert_msg(error < 20 * tolerance, "%s at %g, frame %zu: %g",
                                  pair_at(m)->name, tolerance, f, error);
                }
            }
            grid_release(&grid);
        }
    }
}
END_TEST

START_TEST(steps_do_not_depend_on_the_frames)
{
    static float states[FRAMES * GAUSS_DIM];
    float end[2 * GAUSS_DIM];
    for (size_t m = 0; pair_at(m); m++) {
        struct grid many = new_grid(0.0, 1.0, FRAMES, 1e-5);
        struct grid none = new_grid(0.0, 1.0, 0, 1e-5);
        struct field field = gauss_field(&gauss);
        size_t evaluations = run_with_frames(states, field, pair_at(m), &many);
        ck_assert_uint_eq(run_with_frames(end, field, pair_at(m), &none), evaluations);
        ck_assert_mem_eq(end + GAUSS_DIM, states + (FRAMES - 1) * GAUSS_DIM,
                         GAUSS_DIM * sizeof(float));
        grid_release(&many);
        grid_release(&none);
    }
}
END_TEST

/* A row that leaves its tile at every frame and enters another, on another lane, whose neighbours
   are somewhere else. */
START_TEST(row_that_moves_at_every_frame_keeps_its_bits)
{
    static float expected[FRAMES * GAUSS_DIM];
    for (size_t m = 0; pair_at(m); m++) {
        struct field field = gauss_field(&gauss);
        struct grid grid = new_grid(1.0, 0.1, FRAMES, 1e-5);
        size_t evaluations = run_with_frames(expected, field, pair_at(m), &grid);
        struct tile tile = new_tile(field, pair_at(m));
        size_t floats = tile_state_floats(field.dim, pair_at(m));
        float *state = mem_alloc(floats, sizeof *state);
        float x[GAUSS_DIM];
        size_t spent = 0;
        for (size_t r = 0; r < 5; r++) {
            start_of(r + 3, x);
            tile_add(&tile, x, &grid, 0, NULL, r);
        }
        start_of(0, x);
        size_t lane = tile_add(&tile, x, &grid, 0, NULL, 9);
        tile_save(&tile, lane, state);
        tile_drop(&tile, lane);
        for (size_t f = 1; f < FRAMES; f++) {
            if (f == 7)
                tile_drop(&tile, 2);
            lane = tile_restore(&tile, state, &grid, f - 1, NULL, 9);
            while (tile.lanes[lane].step < f)
                tile_step(&tile);
            tile_get_at(&tile, lane, f, x);
            ck_assert_mem_eq(x, expected + f * GAUSS_DIM, sizeof x);
            tile_save(&tile, lane, state);
            spent += tile.lanes[lane].evaluations;
            ck_assert_uint_eq(tile.lanes[lane].solve.evaluations, spent);
            tile_drop(&tile, lane);
        }
        ck_assert_uint_eq(spent, evaluations);
        mem_free(state);
        tile_release(&tile);
        grid_release(&grid);
    }
}
END_TEST

START_TEST(field_is_never_evaluated_outside_the_interval)
{
    static const double ends[][2] = {{0.1, 0.7}, {0.9, 0.3}, {0.0, 1.0}, {1.0, 0.0}, {0.3, 0.3001}};
    for (size_t e = 0; e < 5; e++) {
        for (size_t m = 0; pair_at(m); m++) {
            struct probe probe = {.low = 2.0f, .high = -1.0f, .bound = INFINITY};
            struct probe *self = &probe;
            struct grid grid = new_grid(ends[e][0], ends[e][1], 0, 1e-3);
            struct tile tile = new_tile(probe_field(&self), pair_at(m));
            double away = ends[e][1] - ends[e][0];
            float x;
            for (size_t r = 0; r < STRIDE; r++) {
                x = (float)r;
                tile_add(&tile, &x, &grid, 0, NULL, r);
            }
            for (size_t r = 0; r < STRIDE; r++) {
                run_lane(&tile, r);
                tile_get(&tile, r, &x);
                ck_assert(fabs((double)x - (double)r - away) < 1e-6 * (1.0 + (double)r));
            }
            tile_step(&tile);
            ck_assert(probe.low == (float)fmin(ends[e][0], ends[e][1]));
            ck_assert(probe.high == (float)fmax(ends[e][0], ends[e][1]));
            tile_release(&tile);
            grid_release(&grid);
        }
    }
}
END_TEST

/* Two evaluations to begin, then one less a trial than the pair has stages. */
START_TEST(first_stage_is_the_last_of_the_step_before)
{
    for (size_t m = 0; pair_at(m); m++) {
        struct probe probe = {.bound = INFINITY};
        struct probe *self = &probe;
        struct grid grid = new_grid(0.0, 1.0, 0, 1e-5);
        struct tile tile = new_tile(probe_field(&self), pair_at(m));
        const float x = 1.0f;
        tile_add(&tile, &x, &grid, 0, NULL, 0);
        tile_step(&tile);
        ck_assert_uint_eq(probe.calls, 2);
        run_lane(&tile, 0);
        const struct solve *solve = &tile.lanes[0].solve;
        ck_assert_uint_eq(solve->evaluations, probe.calls);
        ck_assert_uint_eq(solve->evaluations,
                          2 + (solve->accepted + solve->rejected) * (pair_at(m)->stages - 1));
        ck_assert_uint_le(solve->accepted, 4); /* a straight line */
        tile_step(&tile);
        ck_assert_uint_eq(solve->evaluations, probe.calls);
        tile_release(&tile);
        grid_release(&grid);
    }
}
END_TEST

START_TEST(evaluations_never_pass_their_bound)
{
    for (size_t m = 0; pair_at(m); m++) {
        size_t step = pair_at(m)->stages - 1;
        for (size_t most = 10; most < 40; most++) {
            struct grid grid = new_grid(0.0, 1.0, 0, 1e-6);
            struct tile tile = new_tile(turn_field(), pair_at(m));
            float x[GAUSS_DIM];
            grid.max_evaluations = most;
            start_of(0, x);
            tile_add(&tile, x, &grid, 0, NULL, 0);
            run_lane(&tile, 0);
            ck_assert_int_eq(tile.lanes[0].status, ROW_MAX_EVALUATIONS);
            ck_assert_uint_eq(tile.lanes[0].evaluations, 2 + (most - 2) / step * step);
            tile_release(&tile);
            grid_release(&grid);
        }
    }
}
END_TEST

/* Relaxes towards cos t so fast that accuracy asks for far longer steps than stability. */
static void stiff_velocity(const void *self, const struct simd_kernels *kernels, float *v,
                           const float *x, const float *t, float *scratch, struct simd_shape shape)
{
    const double *rate = self;
    (void)kernels;
    (void)scratch;
    for (size_t r = 0; r < shape.lanes; r++)
        v[r] = (float)(-*rate * ((double)x[r] - cos((double)t[r])));
}

static enum row_status run_stiff(double rate, float *x, size_t *evaluations)
{
    struct grid grid = new_grid(0.0, 1.0, 0, 1e-4);
    struct tile tile =
        new_tile((struct field){1, stiff_velocity, no_scratch, &rate}, tableau_find("dopri5"));
    tile_add(&tile, x, &grid, 0, NULL, 0);
    run_lane(&tile, 0);
    enum row_status status = tile.lanes[0].status;
    *evaluations = tile.lanes[0].evaluations;
    tile_get(&tile, 0, x);
    tile_release(&tile);
    grid_release(&grid);
    return status;
}

START_TEST(stiff_field_costs_evaluations_and_then_fails_cleanly)
{
    size_t evaluations;
    float x = 2.0f;
    ck_assert_int_eq(run_stiff(300.0, &x, &evaluations), ROW_OK);
    ck_assert(fabs((double)x - cos(1.0)) < 0.01);
    ck_assert_uint_gt(evaluations, 500);
    ck_assert_uint_lt(evaluations, 1500);
    x = 2.0f;
    ck_assert_int_eq(run_stiff(3e6, &x, &evaluations), ROW_MAX_EVALUATIONS);
    ck_assert(isfinite(x));
    x = 2.0f;
    ck_assert_int_eq(run_stiff(1e10, &x, &evaluations), ROW_STEP_UNDERFLOW);
    ck_assert(x == 2.0f);
}
END_TEST

START_TEST(row_that_fails_harms_no_neighbour)
{
    for (size_t m = 0; pair_at(m); m++) {
        struct probe probe = {.bound = 10.0f};
        struct probe *self = &probe;
        struct grid grid = new_grid(0.0, 1.0, 0, 1e-5);
        struct grid brief = new_grid(0.0, 1.0, 0, 1e-5);
        struct tile tile = new_tile(probe_field(&self), pair_at(m));
        const float starts[] = {1.0f, 9.5f, 11.0f, NAN, 8.0f, 1.0f};
        float x, alone;
        brief.max_evaluations = 10;
        tile_add(&tile, &starts[0], &grid, 0, NULL, 0);
        run_lane(&tile, 0);
        tile_get(&tile, 0, &alone);
        tile_drop(&tile, 0);
        for (size_t r = 0; r < 6; r++)
            tile_add(&tile, &starts[r], r == 4 ? &brief : &grid, 0, NULL, r);
        for (size_t r = 0; r < 6; r++)
            run_lane(&tile, r);
        ck_assert_int_eq(tile.lanes[0].status, ROW_OK);
        ck_assert_int_eq(tile.lanes[1].status, ROW_NON_FINITE); /* on its way */
        ck_assert_int_eq(tile.lanes[2].status, ROW_NON_FINITE); /* its first slope */
        ck_assert_int_eq(tile.lanes[3].status, ROW_NON_FINITE);
        ck_assert_int_eq(tile.lanes[4].status, ROW_MAX_EVALUATIONS);
        ck_assert_int_eq(tile.lanes[5].status, ROW_OK);
        tile_get(&tile, 0, &x);
        ck_assert_mem_eq(&x, &alone, sizeof x);
        tile_get(&tile, 5, &x);
        ck_assert_mem_eq(&x, &alone, sizeof x);
        tile_get(&tile, 1, &x);
        ck_assert(x > 9.9f && x <= 10.0f); /* as far as it went */
        ck_assert_uint_eq(tile.lanes[2].evaluations, 2);
        ck_assert_uint_eq(tile.lanes[3].evaluations, 0);
        ck_assert_uint_lt(tile.lanes[1].evaluations, 2000);
        tile_release(&tile);
        grid_release(&grid);
        grid_release(&brief);
    }
}
END_TEST

START_TEST(failed_row_is_failed_in_the_next_tile_too)
{
    struct probe probe = {.bound = 10.0f};
    struct probe *self = &probe;
    struct grid grid = new_grid(0.0, 1.0, 3, 1e-5);
    struct tile tile = new_tile(probe_field(&self), tableau_find("tsit5"));
    float state[64];
    const float x = 9.9f;
    ck_assert_uint_le(tile_state_floats(1, tile.tableau), 64);
    tile_add(&tile, &x, &grid, 0, NULL, 0);
    run_lane(&tile, 0);
    ck_assert_uint_eq(tile.lanes[0].step, 0);
    tile_save(&tile, 0, state);
    tile_drop(&tile, 0);
    tile_restore(&tile, state, &grid, 0, NULL, 0);
    ck_assert_int_eq(tile.lanes[0].status, ROW_NON_FINITE);
    size_t calls = probe.calls;
    tile_step(&tile);
    ck_assert_uint_eq(probe.calls, calls);
    tile_release(&tile);
    grid_release(&grid);
}
END_TEST

/* Settles at 1, and is not a number beyond 1.5: a stage of a bold step goes there. */
static void walled_velocity(const void *self, const struct simd_kernels *kernels, float *v,
                            const float *x, const float *t, float *scratch, struct simd_shape shape)
{
    (void)self;
    (void)kernels;
    (void)t;
    (void)scratch;
    for (size_t r = 0; r < shape.lanes; r++)
        v[r] = x[r] > 1.5f ? NAN : 20.0f * (1.0f - x[r]);
}

START_TEST(trial_that_is_not_finite_is_tried_again_with_a_shorter_step)
{
    struct grid grid = new_grid(0.0, 1.0, 0, 0.5);
    struct tile tile =
        new_tile((struct field){1, walled_velocity, no_scratch, NULL}, tableau_find("dopri5"));
    float x = 0.0f;
    tile_add(&tile, &x, &grid, 0, NULL, 0);
    run_lane(&tile, 0);
    tile_get(&tile, 0, &x);
    ck_assert_int_eq(tile.lanes[0].status, ROW_OK);
    ck_assert_uint_gt(tile.lanes[0].solve.rejected, 0);
    ck_assert(fabsf(x - 1.0f) < 0.5f);
    tile_release(&tile);
    grid_release(&grid);
}
END_TEST

START_TEST(frames_of_an_adaptive_grid_are_the_times_asked_for)
{
    struct grid grid;
    const double times[] = {0.25, 0.5, 1.0};
    const double inner[] = {0.1, 0.7};
    const struct grid_spec exact = {.t1 = 1.0, .times = times, .time_count = 3};
    const struct grid_spec within = {.t0 = 1.0, .t1 = 0.05, .times = inner, .time_count = 2};
    struct grid_spec backwards = within;
    const double descending[] = {0.7, 0.1};
    struct err err = {0};
    ck_assert_int_eq(grid_init_adaptive(&grid, &exact, &err), 0);
    ck_assert_uint_eq(grid.steps, 3);
    ck_assert(grid.times[0] == 0.0 && grid.times[3] == 1.0);
    ck_assert_uint_eq(grid.frame_count, 3);
    for (size_t i = 0; i < 3; i++)
        ck_assert(grid.times[grid.frames[i]] == times[i]);
    grid_release(&grid);
    ck_assert_int_eq(grid_init_adaptive(&grid, &within, &err), ERR_INVALID);
    ck_assert_str_eq(err.where, "/times/1");
    backwards.times = descending;
    ck_assert_int_eq(grid_init_adaptive(&grid, &backwards, &err), 0);
    ck_assert_uint_eq(grid.steps, 3);
    ck_assert(grid.times[3] == 0.05);
    grid_release(&grid);
    const struct grid_spec even = {.t0 = 0.1, .t1 = 0.8, .frames = 8};
    ck_assert_int_eq(grid_init_adaptive(&grid, &even, &err), 0);
    ck_assert_uint_eq(grid.steps, 7);
    ck_assert(grid.times[7] == 0.8 && fabs(grid.times[3] - 0.4) < 1e-12);
    grid_release(&grid);
    for (size_t after = 0; after < 2; after++) {
        mem_fail_after(after);
        ck_assert_int_eq(grid_init_adaptive(&grid, &even, &err), ERR_NOMEM);
        mem_fail_after(SIZE_MAX);
        ck_assert_ptr_null(grid.times);
    }
}
END_TEST

static void check_refused(const struct grid_spec *spec, const char *where)
{
    struct err err = {0};
    ck_assert_int_eq(grid_check_adaptive(spec, &err), ERR_INVALID);
    ck_assert_str_eq(err.where, where);
}

START_TEST(bad_adaptive_grids_are_refused_by_field)
{
    check_refused(&(struct grid_spec){.t0 = (double)NAN, .t1 = 1.0}, "/t0");
    check_refused(&(struct grid_spec){.t1 = (double)INFINITY}, "/t1");
    check_refused(&(struct grid_spec){.t0 = 0.5, .t1 = 0.5 + 1e-8}, "/t1");
    check_refused(&(struct grid_spec){.t1 = 1.0, .frames = LIMIT_FRAMES + 1}, "/frames");
}
END_TEST

START_TEST(controller_grows_and_shrinks_within_bounds)
{
    struct control control;
    control_start(&control, 1e-3, 1.0, 0.0, 4);
    ck_assert(control.h == 0.1); /* 100 probing steps */
    ck_assert(control_judge(&control, 0.1, 0.0, 4));
    ck_assert(control.h == 1.0);
    ck_assert(!control_judge(&control, 1.0, 1e30, 4));
    ck_assert(control.h == 0.2);
    ck_assert(!control_judge(&control, 0.2, (double)NAN, 4));
    ck_assert(fabs(control.h - 0.04) < 1e-15);
    ck_assert(control_judge(&control, 0.04, 1e-9, 4));
    ck_assert(control.h == 0.04); /* no growth after a rejection */
    ck_assert(control_judge(&control, 0.04, 1e-9, 4));
    ck_assert(control.h > 0.1);
    ck_assert(control_judge(&control, -0.1, 1.0, 4));
    ck_assert(control.h < -0.04 && control.h > -0.09);
    ck_assert(!control_judge(&control, -0.1, 1.0 + 1e-9, 4));
    control_start(&control, -1e-3, 1e3, (double)INFINITY, 4);
    ck_assert(control.h == -1e-3);
    control_start(&control, 1e-3, 0.0, 0.0, 4);
    ck_assert(control.h == 1e-6);
    ck_assert(control_probe(0.0, 1.0) == 1e-6 && control_probe(2.0, 1.0) == 0.02);
}
END_TEST

START_TEST(statuses_have_names)
{
    ck_assert_str_eq(row_status_name(ROW_OK), "ok");
    ck_assert_str_eq(row_status_name(ROW_NON_FINITE), "non_finite");
    ck_assert_str_eq(row_status_name(ROW_MAX_EVALUATIONS), "max_evaluations");
    ck_assert_str_eq(row_status_name(ROW_STEP_UNDERFLOW), "step_underflow");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("adaptive");
    TCase *tests = tcase_create("adaptive");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, error_falls_with_the_tolerance);
    tcase_add_test(tests, dense_output_is_as_accurate_as_the_steps);
    tcase_add_test(tests, steps_do_not_depend_on_the_frames);
    tcase_add_test(tests, row_that_moves_at_every_frame_keeps_its_bits);
    tcase_add_test(tests, field_is_never_evaluated_outside_the_interval);
    tcase_add_test(tests, first_stage_is_the_last_of_the_step_before);
    tcase_add_test(tests, evaluations_never_pass_their_bound);
    tcase_add_test(tests, stiff_field_costs_evaluations_and_then_fails_cleanly);
    tcase_add_test(tests, row_that_fails_harms_no_neighbour);
    tcase_add_test(tests, failed_row_is_failed_in_the_next_tile_too);
    tcase_add_test(tests, trial_that_is_not_finite_is_tried_again_with_a_shorter_step);
    tcase_add_test(tests, frames_of_an_adaptive_grid_are_the_times_asked_for);
    tcase_add_test(tests, bad_adaptive_grids_are_refused_by_field);
    tcase_add_test(tests, controller_grows_and_shrinks_within_bounds);
    tcase_add_test(tests, statuses_have_names);
    suite_add_tcase(suite, tests);
    return unit_run(suite);
}
