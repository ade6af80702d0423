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

static int grid_check_span(const struct grid_spec *spec, struct err *err)
{
    if (!isfinite(spec->t0))
        return err_set(err, ERR_INVALID, "/t0", "must be a finite number");
    if (!isfinite(spec->t1))
        return err_set(err, ERR_INVALID, "/t1", "must be a finite number");
    return 0;
}

static int grid_check_frames(const struct grid_spec *spec, struct err *err)
{
    if (spec->frames > LIMIT_FRAMES)
        return err_set(err, ERR_INVALID, "/frames", "must be at most %d", LIMIT_FRAMES);
    return 0;
}

int grid_check(const struct grid_spec *spec, struct err *err)
{
    if (spec->steps < 1 || spec->steps > LIMIT_STEPS)
        return err_set(err, ERR_INVALID, "/solver/steps", "must be 1 to %d", LIMIT_STEPS);
    int code = grid_check_span(spec, err);
    if (code)
        return code;
    double shortest = LIMIT_SHORTEST_STEP * (double)spec->steps;
    if (!(fabs(spec->t1 - spec->t0) >= shortest))
        return err_set(err, ERR_INVALID, "/t1",
                       "must differ from t0 by at least %g a step, that is %g", LIMIT_SHORTEST_STEP,
                       shortest);
    if (spec->times)
        return grid_check_times(spec, err);
    code = grid_check_frames(spec, err);
    if (!code && spec->frames > spec->steps + 1)
        return err_set(err, ERR_INVALID, "/frames", "must be at most steps + 1 = %zu",
                       spec->steps + 1);
    return code;
}

int grid_check_adaptive(const struct grid_spec *spec, struct err *err)
{
    int code = grid_check_span(spec, err);
    if (code)
        return code;
    double shortest = LIMIT_SHORTEST_STEP * (spec->times ? 1.0 : (double)spec->frames + 1.0);
    if (!(fabs(spec->t1 - spec->t0) >= shortest))
        return err_set(err, ERR_INVALID, "/t1", "must differ from t0 by at least %g", shortest);
    return spec->times ? grid_check_times(spec, err) : grid_check_frames(spec, err);
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

static int grid_allocate(struct grid *grid, size_t points, size_t frames, struct err *err)
{
    grid->times = mem_alloc(points, sizeof *grid->times);
    grid->frames = mem_alloc(frames, sizeof *grid->frames);
    if (!grid->times || !grid->frames) {
        grid_release(grid);
        return err_set(err, ERR_NOMEM, "", "There is no memory for a grid of %zu times.", points);
    }
    return 0;
}

int grid_init(struct grid *grid, const struct grid_spec *spec, struct err *err)
{
    int code = grid_check(spec, err);
    *grid = (struct grid){0};
    if (code)
        return code;
    size_t frames = spec->times ? spec->time_count : spec->frames + 1;
    size_t points = spec->steps + 1 + (spec->times ? spec->time_count : 0);
    code = grid_allocate(grid, points, frames, err);
    if (code)
        return code;
    if (spec->times)
        grid_merge(grid, spec);
    else
        grid_spread(grid, spec);
    check(grid->times[0] == spec->t0 && grid->times[grid->steps] == spec->t1);
    return 0;
}

/* The j-th of the times that an adaptive solve reports. */
static double grid_frame_time(const struct grid_spec *spec, size_t j, size_t frames)
{
    if (spec->times)
        return spec->times[j];
    if (j + 1 == frames)
        return spec->t1;
    return grid_between(spec->t0, spec->t1, (double)j / (double)(frames - 1));
}

/* Appends a time to an adaptive grid, unless it is the last one again. */
static void grid_append(struct grid *grid, double t)
{
    if (grid->times[grid->steps] != t)
        grid->times[++grid->steps] = t;
}

int grid_init_adaptive(struct grid *grid, const struct grid_spec *spec, struct err *err)
{
    int code = grid_check_adaptive(spec, err);
    *grid = (struct grid){0};
    if (code)
        return code;
    size_t frames = spec->times ? spec->time_count : spec->frames >= 2 ? spec->frames : 1;
    code = grid_allocate(grid, frames + 2, frames, err);
    if (code)
        return code;
    grid->times[0] = spec->t0;
    for (size_t j = 0; j < frames; j++) {
        grid_append(grid, grid_frame_time(spec, j, frames));
        grid->frames[grid->frame_count++] = grid->steps;
    }
    grid_append(grid, spec->t1);
    return 0;
}

double grid_between(double from, double to, double c)
{
    double t = from + c * (to - from);
    double low = from < to ? from : to;
    double high = from < to ? to : from;
    return t < low ? low : t > high ? high : t;
}

void grid_release(struct grid *grid)
{
    mem_free(grid->times);
    mem_free(grid->frames);
    *grid = (struct grid){0};
}
