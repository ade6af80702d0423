/* The times at which a solve lands, and how exactly. Shared by all rows of a request; immutable. */
#ifndef CORE_FLOW_GRID_H
#define CORE_FLOW_GRID_H

#include "core/base/err.h"

#include <stddef.h>

struct grid {
    double *times; /* [steps + 1], owned: times[0] = t0, times[steps] = t1, strictly monotone */
    size_t steps;
    size_t *frames; /* [frame_count], owned: indices into times that are reported, ascending */
    size_t frame_count;
    float rtol, atol;       /* adaptive only: tolerated error of x is atol + rtol |x| */
    size_t max_evaluations; /* adaptive only: of one row */
};

/* What is asked of a grid. t0 < t1 runs forwards, t0 > t1 backwards. */
struct grid_spec {
    double t0, t1;
    size_t steps;        /* uniform steps, 1..LIMIT_STEPS */
    const double *times; /* [time_count] borrowed, or NULL: exact times to report. One that is
                            not on the uniform grid becomes a further point of it. */
    size_t time_count;
    size_t frames; /* used when times is NULL: 0 or 1 = the end only; K >= 2 = states at
                      the grid points nearest to K evenly spaced times, t0 and t1 among
                      them */
};

/* 0, or ERR_INVALID with the field: "/solver/steps", "/t0", "/t1" (not finite, or too close for
   that many steps), "/times", "/times/3" (outside [t0, t1] or not strictly monotone), "/frames"
   (above steps + 1 or LIMIT_FRAMES). */
int grid_check(const struct grid_spec *spec, struct err *err);
/* Uniform times are t0 + (t1 - t0) i / steps, never accumulated; the last is t1 exactly.
   0, ERR_NOMEM, or what grid_check says; *grid is then empty. */
int grid_init(struct grid *grid, const struct grid_spec *spec, struct err *err);
/* The same for a method that chooses its steps: the grid holds t0, the requested times (or spec's
   frames, evenly spaced) and t1; spec->steps is not used, and tolerances are left to the caller. */
int grid_check_adaptive(const struct grid_spec *spec, struct err *err);
int grid_init_adaptive(struct grid *grid, const struct grid_spec *spec, struct err *err);
void grid_release(struct grid *grid);

/* from + c (to - from), never outside that step whatever the rounding. */
double grid_between(double from, double to, double c);

#endif
