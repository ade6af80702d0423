#include "core/flow/adaptive.h"

#include "config/limits.h"
#include "core/base/check.h"

#include <math.h>
#include <string.h>

/* A new lane spends two stages on its slope and on the probe of its first step (control.h); they
   share evaluations with the trial steps of the others. */
enum { PROBE_SLOPE = 1, PROBE_BEND = 2 };

/* A step that would leave less than this part of itself before t1 goes there. */
static const double reach = 1.01;

static bool adaptive_ended(const struct lane *lane)
{
    return lane->status != ROW_OK || lane->step == lane->grid->steps;
}

static double adaptive_last(const struct lane *lane)
{
    return lane->grid->times[lane->grid->steps];
}

/* Where a step of |h| from here goes: never past t1. */
static double adaptive_target(const struct lane *lane, double h)
{
    double left = adaptive_last(lane) - lane->solve.t;
    double length = fmax(fabs(h), LIMIT_SHORTEST_STEP);
    return length * reach >= fabs(left) ? adaptive_last(lane)
                                        : lane->solve.t + copysign(length, left);
}

/* The times of the grid up to the end of the last step. */
static void adaptive_pass(struct lane *lane)
{
    const double *times = lane->grid->times;
    bool forwards = times[0] < adaptive_last(lane);
    double to = lane->solve.to;
    while (lane->step < lane->grid->steps &&
           (forwards ? times[lane->step + 1] <= to : times[lane->step + 1] >= to))
        lane->step++;
}

void adaptive_begin(struct tile *tile, size_t lane)
{
    struct lane *at = &tile->lanes[lane];
    at->solve = (struct solve){.phase = SOLVE_NEW, .t = at->grid->times[at->step]};
    tile->rtol[lane] = at->grid->rtol;
    tile->atol[lane] = at->grid->atol;
}

/* Marks the steps that are kept, sets the trials; the number of stages that the tile has to
   evaluate. */
static size_t adaptive_plan(struct tile *tile, size_t lanes)
{
    size_t step = tile->tableau->stages - 1;
    size_t stages = 0;
    for (size_t r = 0; r < lanes; r++) {
        struct lane *lane = &tile->lanes[r];
        struct solve *solve = &lane->solve;
        tile->keep[r] = 0.0f;
        if (!lane->grid)
            continue;
        if (solve->phase == SOLVE_STEPPED) {
            tile->keep[r] = 1.0f;
            solve->t = solve->to;
            solve->phase = SOLVE_READY;
        }
        if (adaptive_ended(lane))
            continue;
        size_t needed = solve->phase == SOLVE_NEW ? PROBE_BEND : step;
        if (solve->evaluations + needed > lane->grid->max_evaluations) {
            lane->status = ROW_MAX_EVALUATIONS;
            continue;
        }
        solve->evaluations += needed;
        lane->evaluations += needed;
        stages = needed > stages ? needed : stages;
        if (solve->phase == SOLVE_READY) {
            solve->phase = SOLVE_TRIAL;
            solve->to = adaptive_target(lane, solve->control.h);
        }
    }
    return stages;
}

/* x = stage and k[0] = k[last] in the marked lanes. */
static void adaptive_keep(struct tile *tile, size_t lanes)
{
    float *first = tile->k[0];
    const float *last = tile->k[tile->tableau->stages - 1];
    for (size_t i = 0; i < tile->field.dim; i++) {
        for (size_t r = 0; r < lanes; r++) {
            size_t at = i * tile->stride + r;
            bool keep = tile->keep[r] > 0.0f;
            tile->x[at] = keep ? tile->stage[at] : tile->x[at];
            first[at] = keep ? last[at] : first[at];
        }
    }
}

/* Fills h and t for a stage; a lane that has no part in it is evaluated where it stands. */
static void adaptive_set_stage(struct tile *tile, size_t lanes, size_t s)
{
    const double *c = tile->tableau->c;
    for (size_t r = 0; r < lanes; r++) {
        const struct lane *lane = &tile->lanes[r];
        const struct solve *solve = &lane->solve;
        bool trial = lane->grid && solve->phase == SOLVE_TRIAL;
        bool bend =
            lane->grid && solve->phase == SOLVE_NEW && s == PROBE_BEND && lane->status == ROW_OK;
        double h = trial ? solve->to - solve->t : 0.0;
        double t = trial ? grid_between(solve->t, solve->to, c[s]) : solve->t;
        if (bend) {
            h = (solve->to - solve->t) / c[s]; /* all earlier slopes are the first one */
            t = solve->to;
        }
        tile->h[r] = (float)h;
        tile->t[r] = (float)t;
    }
}

/* Root mean square of (a - b) / (atol + rtol |x|) in a lane; b may be NULL. */
static double adaptive_norm(const struct tile *tile, size_t lane, const float *a, const float *b)
{
    double sum = 0.0;
    for (size_t i = 0; i < tile->field.dim; i++) {
        size_t at = i * tile->stride + lane;
        double scale =
            (double)tile->atol[lane] + (double)tile->rtol[lane] * fabs((double)tile->x[at]);
        double part = ((double)a[at] - (b ? (double)b[at] : 0.0)) / scale;
        sum += part * part;
    }
    return sqrt(sum / (double)tile->field.dim);
}

/* The slope of a new lane is known, in k[1]. */
static void adaptive_set_probe(struct tile *tile, size_t lane)
{
    struct lane *at = &tile->lanes[lane];
    for (size_t i = 0; i < tile->field.dim; i++)
        tile->k[0][i * tile->stride + lane] = tile->k[PROBE_SLOPE][i * tile->stride + lane];
    double slope = adaptive_norm(tile, lane, tile->k[0], NULL);
    double h0 = control_probe(adaptive_norm(tile, lane, tile->x, NULL), slope);
    if (!isfinite(slope))
        at->status = ROW_NON_FINITE;
    at->solve.to = adaptive_target(at, h0);
}

/* The bend of a new lane is known from k[2]: its first step can be tried. */
static void adaptive_start(struct tile *tile, size_t lane)
{
    struct solve *solve = &tile->lanes[lane].solve;
    double h0 = solve->to - solve->t;
    double slope = adaptive_norm(tile, lane, tile->k[0], NULL);
    double bend = adaptive_norm(tile, lane, tile->k[PROBE_BEND], tile->k[0]) / fabs(h0);
    control_start(&solve->control, h0, slope, bend, tile->tableau->embedded);
    solve->phase = SOLVE_READY;
}

static void adaptive_probe(struct tile *tile, size_t lanes, size_t s)
{
    for (size_t r = 0; r < lanes; r++) {
        const struct lane *lane = &tile->lanes[r];
        if (!lane->grid || lane->solve.phase != SOLVE_NEW || adaptive_ended(lane))
            continue;
        if (s == PROBE_SLOPE)
            adaptive_set_probe(tile, r);
        else
            adaptive_start(tile, r);
    }
}

/* k[1] .. k[stages]; stage then holds the ends of the trials. */
static void adaptive_evaluate(struct tile *tile, size_t stages, struct simd_shape shape)
{
    const struct field *field = &tile->field;
    for (size_t s = 1; s <= stages; s++) {
        adaptive_set_stage(tile, shape.lanes, s);
        tile->kernels->combine(tile->stage, tile->x, tile->h, tile->tableau->a[s],
                               (const float *const *)tile->k, s, field->dim, shape);
        field->velocity(field->self, tile->kernels, tile->k[s], tile->stage, tile->t, tile->scratch,
                        shape);
        if (s <= PROBE_BEND)
            adaptive_probe(tile, shape.lanes, s);
    }
}

/* sum[r]: of the squares of error / scale over the dimensions, in their order; not finite where the
   trial is not. */
static void adaptive_sum_errors(struct tile *tile, size_t lanes)
{
    const struct tableau *tableau = tile->tableau;
    float *sum = tile->sum, *error = tile->error;
    memset(sum, 0, lanes * sizeof *sum);
    for (size_t i = 0; i < tile->field.dim; i++) {
        const float *x = tile->x + i * tile->stride;
        const float *next = tile->stage + i * tile->stride;
        memset(error, 0, lanes * sizeof *error);
        for (size_t s = 0; s < tableau->stages; s++) {
            const float *k = tile->k[s] + i * tile->stride;
            float e = tableau->e[s];
            for (size_t r = 0; r < lanes && e != 0.0f; r++)
                error[r] += e * k[r];
        }
        for (size_t r = 0; r < lanes; r++) {
            float from = fabsf(x[r]), to = fabsf(next[r]);
            float scale = tile->atol[r] + tile->rtol[r] * (from > to ? from : to);
            float part = tile->h[r] * error[r] / scale;
            sum[r] += part * part + 0.0f * next[r];
        }
    }
}

static void adaptive_judge(struct tile *tile, size_t lane)
{
    struct lane *at = &tile->lanes[lane];
    struct solve *solve = &at->solve;
    double error = sqrt((double)tile->sum[lane] / (double)tile->field.dim);
    if (control_judge(&solve->control, solve->to - solve->t, error, tile->tableau->embedded)) {
        solve->phase = SOLVE_STEPPED;
        solve->accepted++;
        adaptive_pass(at);
        return;
    }
    solve->phase = SOLVE_READY;
    solve->rejected++;
    if (fabs(solve->control.h) < LIMIT_SHORTEST_STEP)
        at->status = isfinite(error) ? ROW_STEP_UNDERFLOW : ROW_NON_FINITE;
}

void adaptive_step(struct tile *tile, struct simd_shape shape)
{
    size_t stages = adaptive_plan(tile, shape.lanes);
    adaptive_keep(tile, shape.lanes);
    adaptive_evaluate(tile, stages, shape);
    if (stages + 1 < tile->tableau->stages)
        return;
    adaptive_sum_errors(tile, shape.lanes);
    for (size_t r = 0; r < shape.lanes; r++) {
        if (tile->lanes[r].grid && tile->lanes[r].solve.phase == SOLVE_TRIAL)
            adaptive_judge(tile, r);
    }
}

/* Within the last step; weights of k at the fraction theta of it. */
static void adaptive_interpolate(const struct tile *tile, size_t lane, double theta, float *out)
{
    const struct tableau *tableau = tile->tableau;
    const struct solve *solve = &tile->lanes[lane].solve;
    double h = solve->to - solve->t;
    double weights[TABLEAU_STAGES];
    for (size_t s = 0; s < tableau->stages; s++) {
        double sum = 0.0;
        for (size_t j = TABLEAU_POWERS; j-- > 0;)
            sum = (sum + tableau->dense[s][j]) * theta;
        weights[s] = h * sum;
    }
    for (size_t i = 0; i < tile->field.dim; i++) {
        size_t at = i * tile->stride + lane;
        double x = (double)tile->x[at];
        for (size_t s = 0; s < tableau->stages; s++)
            x += weights[s] * (double)tile->k[s][at];
        out[i] = (float)x;
    }
}

void adaptive_get(const struct tile *tile, size_t lane, size_t step, float *out)
{
    const struct lane *at = &tile->lanes[lane];
    const struct solve *solve = &at->solve;
    double t = at->grid->times[step];
    bool stepped = at->status == ROW_OK && solve->phase == SOLVE_STEPPED;
    const float *from = stepped && t == solve->to ? tile->stage : tile->x;
    if (stepped && t != solve->to && t != solve->t) {
        adaptive_interpolate(tile, lane, (t - solve->t) / (solve->to - solve->t), out);
        return;
    }
    for (size_t i = 0; i < tile->field.dim; i++)
        out[i] = from[i * tile->stride + lane];
}

/* A saved row: this, x, stage, and k of every stage. */
struct adaptive_head {
    struct solve solve;
    enum row_status status;
};

enum { HEAD_FLOATS = (sizeof(struct adaptive_head) + sizeof(float) - 1) / sizeof(float) };

size_t adaptive_state_floats(size_t dim, const struct tableau *tableau)
{
    return HEAD_FLOATS + (2 + tableau->stages) * dim;
}

void adaptive_save(const struct tile *tile, size_t lane, float *state)
{
    const struct lane *at = &tile->lanes[lane];
    const struct adaptive_head head = {.solve = at->solve, .status = at->status};
    memcpy(state, &head, sizeof head);
    state += HEAD_FLOATS;
    for (size_t i = 0; i < tile->field.dim; i++) {
        size_t from = i * tile->stride + lane;
        *state++ = tile->x[from];
        *state++ = tile->stage[from];
        for (size_t s = 0; s < tile->tableau->stages; s++)
            *state++ = tile->k[s][from];
    }
}

void adaptive_restore(struct tile *tile, size_t lane, const float *state)
{
    struct lane *at = &tile->lanes[lane];
    struct adaptive_head head;
    memcpy(&head, state, sizeof head);
    state += HEAD_FLOATS;
    for (size_t i = 0; i < tile->field.dim; i++) {
        size_t to = i * tile->stride + lane;
        tile->x[to] = *state++;
        tile->stage[to] = *state++;
        for (size_t s = 0; s < tile->tableau->stages; s++)
            tile->k[s][to] = *state++;
    }
    adaptive_begin(tile, lane);
    at->solve = head.solve;
    at->status = head.status;
    if (at->solve.phase == SOLVE_STEPPED)
        adaptive_pass(at);
}
