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

int sample_spec_check(const struct sample_spec *spec, size_t dim, struct err *err)
{
    const struct grid_spec grid = {
        .t0 = spec->t0,
        .t1 = spec->t1,
        .steps = spec->steps,
        .times = spec->times,
        .time_count = spec->time_count,
        .frames = spec->frames,
    };
    if (spec->count < 1 || spec->count > LIMIT_COUNT)
        return err_set(err, ERR_INVALID, "/count", "must be 1 to %llu", LIMIT_COUNT);
    if (!spec->tableau)
        return err_set(err, ERR_INVALID, "/solver/method", "names no known method");
    if (!(spec->t0 >= 0.0 && spec->t0 <= 1.0))
        return err_set(err, ERR_INVALID, "/t0", "must be 0 to 1");
    if (!(spec->t1 >= 0.0 && spec->t1 <= 1.0))
        return err_set(err, ERR_INVALID, "/t1", "must be 0 to 1");
    int code = grid_check(&grid, err);
    return code ? code : sample_spec_check_x0(spec, dim, err);
}
