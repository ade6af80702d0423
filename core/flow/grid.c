#include "core/flow/grid.h"

#include "config/limits.h"
#include "core/base/check.h"
#include "core/base/mem.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>

/* A requested time this close to a point of the uniform grid, in steps, is that point: rounding in
   a client's 0.1 + 0.2 must not cost a step of length 1e-17. */
static const double grid_same = 1e-9;

/* Steps shorter than this are below the resolution of a float32 time. */
static const double grid_shortest = 1e-7;

static double grid_uniform(const struct grid_spec *spec, size_t i)
{
    if (i == spec->steps)
        return spec->t1;
    return spec->t0 + (spec->t1 - spec->t0) * (double)i / (double)spec->steps;
}

static int grid_check_times(const struct grid_spec *spec, struct err *err)
{
    bool forwards = spec->t0 < spec->t1;
    double low = forwards ? spec->t0 : spec->t1;
    double high = forwards ? spec->t1 : spec->t0;
    if (spec->time_count < 1 || spec->time_count > LIMIT_FRAMES)
        return err_set(err, ERR_INVALID, "/times", "must hold 1 to %d times", LIMIT_FRAMES);
    for (size_t i = 0; i < spec->time_count; i++) {
        char where[40];
        double t = spec->times[i];
        snprintf(where, sizeof where, "/times/%zu", i);
        if (!(t >= low && t <= high))
            return err_set(err, ERR_INVALID, where, "must lie between t0 = %g and t1 = %g",
                           spec->t0, spec->t1);
        if (i && (forwards ? t <= spec->times[i - 1] : t >= spec->times[i - 1]))
            return err_set(err, ERR_INVALID, where, "times must go strictly from t0 to t1");
    }
    return 0;
}

int grid_check(const struct grid_spec *spec, struct err *err)
{
    if (spec->steps < 1 || spec->steps > LIMIT_STEPS)
        return err_set(err, ERR_INVALID, "/solver/steps", "must be 1 to %d", LIMIT_STEPS);
    if (!isfinite(spec->t0))
        return err_set(err, ERR_INVALID, "/t0", "must be a finite number");
    if (!isfinite(spec->t1))
        return err_set(err, ERR_INVALID, "/t1", "must be a finite number");
    if (!(fabs(spec->t1 - spec->t0) >= grid_shortest * (double)spec->steps))
        return err_set(err, ERR_INVALID, "/t1",
                       "must differ from t0 by at least %g a step, that is %g", grid_shortest,
                       grid_shortest * (double)spec->steps);
    if (spec->times)
        return grid_check_times(spec, err);
    if (spec->frames > LIMIT_FRAMES)
        return err_set(err, ERR_INVALID, "/frames", "must be at most %d", LIMIT_FRAMES);
    if (spec->frames > spec->steps + 1)
        return err_set(err, ERR_INVALID, "/frames", "must be at most steps + 1 = %zu",
                       spec->steps + 1);
    return 0;
}

/* Uniform points and requested times in one ascending walk from t0 to t1. */
static void grid_merge(struct grid *grid, const struct grid_spec *spec)
{
    double direction = spec->t0 < spec->t1 ? 1.0 : -1.0;
    double same = grid_same * fabs(spec->t1 - spec->t0) / (double)spec->steps;
    size_t points = 0;
    size_t next = 0; /* of the uniform points */
    for (size_t i = 0; i < spec->time_count; i++) {
        double t = spec->times[i];
        for (; next <= spec->steps; next++) {
            double ahead = direction * (t - grid_uniform(spec, next));
            bool end = next == 0 || next == spec->steps;
            if (ahead <= (end ? 0.0 : same))
                break;
            grid->times[points++] = grid_uniform(spec, next);
        }
        if (next <= spec->steps) {
            double apart = fabs(t - grid_uniform(spec, next));
            bool end = next == 0 || next == spec->steps;
            next += apart <= (end ? 0.0 : same);
        }
        grid->frames[grid->frame_count++] = points;
        grid->times[points++] = t;
    }
    for (; next <= spec->steps; next++)
        grid->times[points++] = grid_uniform(spec, next);
    grid->steps = points - 1;
}

static void grid_spread(struct grid *grid, const struct grid_spec *spec)
{
    size_t gaps = spec->frames >= 2 ? spec->frames - 1 : 0;
    for (size_t i = 0; i <= spec->steps; i++)
        grid->times[i] = grid_uniform(spec, i);
    grid->steps = spec->steps;
    for (size_t j = 0; j < gaps; j++)
        grid->frames[grid->frame_count++] = (2 * j * spec->steps + gaps) / (2 * gaps);
    grid->frames[grid->frame_count++] = spec->steps;
}

int grid_init(struct grid *grid, const struct grid_spec *spec, struct err *err)
{
    int code = grid_check(spec, err);
    *grid = (struct grid){0};
    if (code)
        return code;
    size_t frames = spec->times ? spec->time_count : spec->frames + 1;
    size_t points = spec->steps + 1 + (spec->times ? spec->time_count : 0);
    grid->times = mem_alloc(points, sizeof *grid->times);
    grid->frames = mem_alloc(frames, sizeof *grid->frames);
    if (!grid->times || !grid->frames) {
        grid_release(grid);
        return err_set(err, ERR_NOMEM, "", "There is no memory for a grid of %zu times.", points);
    }
    if (spec->times)
        grid_merge(grid, spec);
    else
        grid_spread(grid, spec);
    check(grid->times[0] == spec->t0 && grid->times[grid->steps] == spec->t1);
    return 0;
}

void grid_release(struct grid *grid)
{
    mem_free(grid->times);
    mem_free(grid->frames);
    *grid = (struct grid){0};
}
