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
    size_t steps;
    double t0, t1;
    float *x0; /* [count, x0_dim] row-major, or NULL: noise from the seed; owned */
    size_t x0_dim;
    double *times; /* [time_count], or NULL; owned */
    size_t time_count;
    size_t frames; /* see grid.h */
};

/* euler, 100 steps, t0 = 0, t1 = 1, f32, nothing owned. */
void sample_spec_init(struct sample_spec *spec);
void sample_spec_release(struct sample_spec *spec);
/* 0 or ERR_INVALID with the field ("/x0", "/count", ...). dim: of the model. */
int sample_spec_check(const struct sample_spec *spec, size_t dim, struct err *err);

#endif
