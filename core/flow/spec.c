#include "core/flow/spec.h"

#include "config/limits.h"
#include "core/base/mem.h"

#include <math.h>
#include <stdio.h>

void sample_spec_init(struct sample_spec *spec)
{
    *spec = (struct sample_spec){
        .tableau = tableau_find("euler"),
        .steps = 100,
        .precision = PRECISION_F32,
        .rtol = 1e-5,
        .atol = 1e-5,
        .max_evaluations = LIMIT_STEPS,
        .t0 = 0.0,
        .t1 = 1.0,
    };
}

void sample_spec_release(struct sample_spec *spec)
{
    mem_free(spec->x0);
    mem_free(spec->times);
    spec->x0 = NULL;
    spec->times = NULL;
}

static int sample_spec_check_x0(const struct sample_spec *spec, size_t dim, struct err *err)
{
    if (!spec->x0)
        return 0;
    if (spec->x0_dim != dim)
        return err_set(err, ERR_INVALID, "/x0", "each row must hold %zu numbers, not %zu", dim,
                       spec->x0_dim);
    for (size_t row = 0; row < spec->count; row++) {
        for (size_t i = 0; i < dim; i++) {
            char where[64];
            if (isfinite(spec->x0[row * dim + i]))
                continue;
            snprintf(where, sizeof where, "/x0/%zu/%zu", row, i);
            return err_set(err, ERR_INVALID, where, "must be a finite number in float32's range");
        }
    }
    return 0;
}

static struct grid_spec sample_spec_times(const struct sample_spec *spec, bool frames)
{
    return (struct grid_spec){
        .t0 = spec->t0,
        .t1 = spec->t1,
        .steps = spec->steps,
        .times = frames ? spec->times : NULL,
        .time_count = frames ? spec->time_count : 0,
        .frames = frames ? spec->frames : 0,
    };
}

static int sample_spec_check_tolerance(const struct sample_spec *spec, struct err *err)
{
    if (!(spec->rtol >= LIMIT_RTOL_MIN && spec->rtol <= 1.0))
        return err_set(err, ERR_INVALID, "/solver/rtol", "must be %g to 1", LIMIT_RTOL_MIN);
    if (!(spec->atol >= LIMIT_ATOL_MIN && spec->atol <= 1.0))
        return err_set(err, ERR_INVALID, "/solver/atol", "must be %g to 1", LIMIT_ATOL_MIN);
    if (spec->max_evaluations < SPEC_EVALUATIONS_MIN || spec->max_evaluations > LIMIT_EVALUATIONS)
        return err_set(err, ERR_INVALID, "/solver/max_evaluations", "must be %d to %d",
                       SPEC_EVALUATIONS_MIN, LIMIT_EVALUATIONS);
    return 0;
}

static int sample_spec_check_solver(const struct sample_spec *spec, struct err *err)
{
    const struct grid_spec times = sample_spec_times(spec, true);
    if (!spec->tableau)
        return err_set(err, ERR_INVALID, "/solver/method", "names no known method");
    if (!tableau_adaptive(spec->tableau))
        return grid_check(&times, err);
    int code = sample_spec_check_tolerance(spec, err);
    return code ? code : grid_check_adaptive(&times, err);
}

int sample_spec_check(const struct sample_spec *spec, size_t dim, struct err *err)
{
    if (spec->count < 1 || spec->count > LIMIT_COUNT)
        return err_set(err, ERR_INVALID, "/count", "must be 1 to %llu", LIMIT_COUNT);
    if (!(spec->t0 >= 0.0 && spec->t0 <= 1.0))
        return err_set(err, ERR_INVALID, "/t0", "must be 0 to 1");
    if (!(spec->t1 >= 0.0 && spec->t1 <= 1.0))
        return err_set(err, ERR_INVALID, "/t1", "must be 0 to 1");
    int code = sample_spec_check_solver(spec, err);
    return code ? code : sample_spec_check_x0(spec, dim, err);
}

int sample_spec_grid(struct grid *grid, const struct sample_spec *spec, bool frames,
                     struct err *err)
{
    const struct grid_spec times = sample_spec_times(spec, frames);
    if (!tableau_adaptive(spec->tableau))
        return grid_init(grid, &times, err);
    int code = grid_init_adaptive(grid, &times, err);
    grid->rtol = (float)spec->rtol;
    grid->atol = (float)spec->atol;
    grid->max_evaluations = spec->max_evaluations;
    return code;
}

/* The number of steps grows with 1 / tolerance to the power of 1 / order of the error. */
double sample_spec_evaluations(const struct sample_spec *spec)
{
    const struct tableau *tableau = spec->tableau;
    double most = (double)spec->max_evaluations;
    if (!tableau_adaptive(tableau))
        return (double)(spec->steps * tableau->stages);
    double tolerance = spec->rtol > spec->atol ? spec->rtol : spec->atol;
    double steps = 1.0 + pow(tolerance, -1.0 / tableau->order);
    double expected = 2.0 + steps * (double)(tableau->stages - 1);
    return expected < most ? expected : most;
}
