#include "core/flow/schedule.h"

#include "config/limits.h"
#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/linalg/rng.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Nearer points are one point in float32; smaller alphas have no reciprocal there. */
static const double schedule_gap = 1e-6;
static const double schedule_least = 1e-12;
static const double schedule_most = 1e6;
static const double schedule_beta_most = 0.9999;
/* What is left of the data at the noise end; its root is divided by. */
static const double schedule_log_kept_least = -69; /* 1e-30 */

static int schedule_refuse(struct err *err, const char *field, size_t i, const char *why)
{
    char where[64];
    snprintf(where, sizeof where, "/path/%s/%zu", field, i);
    return err_set(err, ERR_INVALID, where, "%s", why);
}

static int schedule_nomem(struct err *err)
{
    return err_set(err, ERR_NOMEM, "/path", "not enough memory for the path");
}

static int schedule_check_count(size_t count, const char *where, struct err *err)
{
    if (count >= 2 && count <= LIMIT_PATH_POINTS)
        return 0;
    return err_set(err, ERR_INVALID, where, "must have 2 to %d numbers, not %zu",
                   LIMIT_PATH_POINTS, count);
}

static bool schedule_holds(double value)
{
    return value == 0 || (value >= schedule_least && value <= schedule_most);
}

static int schedule_check_point(const struct schedule_table *table, size_t i, struct err *err)
{
    const char *range = "must be 0, or 1e-12 to 1e6";
    if (!schedule_holds(table->alpha[i]))
        return schedule_refuse(err, "alpha", i, range);
    if (!schedule_holds(table->beta[i]))
        return schedule_refuse(err, "beta", i, range);
    if (i == 0)
        return table->t[0] == 0 ? 0 : schedule_refuse(err, "t", 0, "must be 0");
    if (!(table->t[i] - table->t[i - 1] >= schedule_gap))
        return schedule_refuse(err, "t", i, "must be at least 1e-6 above the one before");
    if (table->alpha[i] < table->alpha[i - 1])
        return schedule_refuse(err, "alpha", i, "must not be below the one before");
    if (table->beta[i] > table->beta[i - 1])
        return schedule_refuse(err, "beta", i, "must not be above the one before");
    if (!(table->alpha[i] * table->beta[i - 1] > table->alpha[i - 1] * table->beta[i]))
        return schedule_refuse(err, "alpha", i, "must rise against beta from point to point");
    if (i == table->count - 1 && table->t[i] != 1)
        return schedule_refuse(err, "t", i, "must be 1");
    return 0;
}

/* Where alpha and beta both have no slope, the velocity says nothing of the data. */
static int schedule_check_slopes(const struct path *path, struct err *err)
{
    for (size_t i = 1; i + 1 < path->alpha.count; i++) {
        if (path->alpha.slope[i] == 0 && path->beta.slope[i] == 0)
            return schedule_refuse(err, "alpha", i,
                                   "must not stand still on one side where beta does on the other");
    }
    return 0;
}

int schedule_table(struct path *path, const struct schedule_table *table, struct err *err)
{
    struct path made = {.kind = PATH_TABLE};
    int code = schedule_check_count(table->count, "/path/t", err);
    for (size_t i = 0; i < table->count && !code; i++)
        code = schedule_check_point(table, i, err);
    if (code)
        return code;
    if (curve_init(&made.alpha, table->t, table->alpha, table->count) ||
        curve_init(&made.beta, table->t, table->beta, table->count))
        code = schedule_nomem(err);
    if (!code)
        code = schedule_check_slopes(&made, err);
    if (code)
        path_release(&made);
    else
        *path = made;
    return code;
}

/* The curve of log A over t, from the last step at t = 0 to step 0 at t = 1. x, y: [count]. */
static int schedule_fill(const double *betas, size_t count, double *x, double *y, struct err *err)
{
    double log_kept = 0;
    for (size_t k = 0; k < count; k++) {
        size_t at = count - 1 - k;
        if (!(betas[k] >= schedule_least && betas[k] <= schedule_beta_most))
            return schedule_refuse(err, "betas", k, "must be 1e-12 to 0.9999");
        log_kept += rng_log(1 - betas[k]);
        if (log_kept < schedule_log_kept_least)
            return schedule_refuse(err, "betas", k,
                                   "leaves less than 1e-30 of the variance of the data");
        x[at] = (double)at / (double)(count - 1);
        y[at] = log_kept;
    }
    return 0;
}

static int schedule_make(struct path *path, const double *betas, size_t count, double *x,
                         struct err *err)
{
    struct path made = {.kind = PATH_DDPM, .schedule = PATH_SCHEDULE_LISTED};
    int code = schedule_fill(betas, count, x, x + count, err);
    if (code)
        return code;
    made.betas = mem_alloc(count, sizeof *made.betas);
    if (!made.betas || curve_init(&made.log_kept, x, x + count, count)) {
        path_release(&made);
        return schedule_nomem(err);
    }
    memcpy(made.betas, betas, count * sizeof *betas);
    *path = made;
    return 0;
}

int schedule_betas(struct path *path, const double *betas, size_t count, struct err *err)
{
    int code = schedule_check_count(count, "/path/betas", err);
    if (code)
        return code;
    double *points = mem_alloc(2 * count, sizeof *points);
    code = points ? schedule_make(path, betas, count, points, err) : schedule_nomem(err);
    mem_free(points);
    return code;
}

/* A(s) of Nichol and Dhariwal 2021, equation 17. */
static double schedule_cosine(double s)
{
    double sine, cosine;
    rng_sincos_turns(0.25 * (s + 0.008) / 1.008, &sine, &cosine);
    return cosine * cosine;
}

static double schedule_beta(const struct schedule_rule *rule, size_t k)
{
    double steps = (double)rule->steps;
    double part = (double)k / (steps - 1);
    double from = rule->beta_min, to = rule->beta_max;
    if (rule->schedule == PATH_SCHEDULE_LINEAR)
        return from + part * (to - from);
    if (rule->schedule == PATH_SCHEDULE_SCALED_LINEAR) {
        double root = sqrt(from) + part * (sqrt(to) - sqrt(from));
        return root * root;
    }
    double left = schedule_cosine((double)(k + 1) / steps) / schedule_cosine((double)k / steps);
    return fmin(1 - left, 0.999);
}

static int schedule_check_rule(const struct schedule_rule *rule, struct err *err)
{
    if (rule->steps < 2 || rule->steps > LIMIT_PATH_POINTS)
        return err_set(err, ERR_INVALID, "/path/steps", "must be 2 to %d", LIMIT_PATH_POINTS);
    if (rule->schedule == PATH_SCHEDULE_COSINE)
        return 0;
    if (!(rule->beta_min >= schedule_least && rule->beta_min <= schedule_beta_most))
        return err_set(err, ERR_INVALID, "/path/beta_min", "must be 1e-12 to 0.9999");
    if (!(rule->beta_max >= rule->beta_min && rule->beta_max <= schedule_beta_most))
        return err_set(err, ERR_INVALID, "/path/beta_max", "must be beta_min to 0.9999");
    return 0;
}

int schedule_rule(struct path *path, const struct schedule_rule *rule, struct err *err)
{
    check(rule->schedule != PATH_SCHEDULE_LISTED);
    int code = schedule_check_rule(rule, err);
    if (code)
        return code;
    double *betas = mem_alloc(rule->steps, sizeof *betas);
    if (!betas)
        return schedule_nomem(err);
    for (size_t k = 0; k < rule->steps; k++)
        betas[k] = schedule_beta(rule, k);
    code = schedule_betas(path, betas, rule->steps, err);
    mem_free(betas);
    if (code)
        return code;
    path->schedule = rule->schedule;
    path->beta_min = rule->beta_min;
    path->beta_max = rule->beta_max;
    return 0;
}
