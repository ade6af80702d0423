/* What to compute for /sample, /trajectory: plain data, checked against the model by
   sample_spec_check. proto fills it, the engine carries it out. */
#ifndef CORE_FLOW_SPEC_H
#define CORE_FLOW_SPEC_H

#include "core/base/err.h"
#include "core/flow/grid.h"
#include "core/flow/tableau.h"
#include "core/linalg/precision.h"

#include <stdbool.h>
#include <stdint.h>

/* Owns x0 and times. */
struct sample_spec {
    uint64_t count; /* rows, 1..LIMIT_COUNT */
    uint64_t seed;
    bool has_seed; /* false: the daemon draws one and states it */
    const struct tableau *tableau;
    enum precision precision;
    bool has_precision;     /* false: the model's own; the daemon then sets `precision` */
    size_t steps;           /* of a method with fixed steps */
    double rtol, atol;      /* of one that chooses them: LIMIT_RTOL_MIN..1, LIMIT_ATOL_MIN..1 */
    size_t max_evaluations; /* likewise, of one row: SPEC_EVALUATIONS_MIN..LIMIT_EVALUATIONS */
    double t0, t1;
    float *x0; /* [count, x0_dim] row-major, or NULL: noise from the seed; owned */
    size_t x0_dim;
    double *times; /* [time_count], or NULL; owned */
    size_t time_count;
    size_t frames; /* see grid.h */
};

/* Enough for the start and one step of every pair. */
enum { SPEC_EVALUATIONS_MIN = 10 };

/* euler, 100 steps, t0 = 0, t1 = 1, f32, nothing owned; for methods that choose their steps
   rtol = atol = 1e-5 and 10,000 evaluations. */
void sample_spec_init(struct sample_spec *spec);
void sample_spec_release(struct sample_spec *spec);
/* 0 or ERR_INVALID with the field ("/x0", "/count", ...). dim: of the model. */
int sample_spec_check(const struct sample_spec *spec, size_t dim, struct err *err);
/* The grid of a checked spec: with its frames, or for the end alone. 0 or what grid_init says. */
int sample_spec_grid(struct grid *grid, const struct sample_spec *spec, bool frames,
                     struct err *err);
/* Field evaluations that a row is expected to take. Exact for fixed steps where `times` add none;
   for a method that chooses its steps a guess from its order and tolerance, made to fit fields of
   moderate curvature. */
double sample_spec_evaluations(const struct sample_spec *spec);

#endif
