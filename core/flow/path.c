#include "core/flow/path.h"

#include "core/base/check.h"
#include "core/base/mem.h"
#include "core/linalg/rng.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* 1 - e^-x for x >= 0, without cancellation. */
static double path_lost(double x)
{
    double term = x, sum = x;
    if (x > 0.25)
        return 1 - (x < 700 ? rng_exp(-x) : 0);
    for (int n = 2; n < 14; n++) {
        term *= -x / n;
        sum += term;
    }
    return sum;
}

/* Variance preserving with alpha^2 = e^-x: x >= 0 and its derivative. */
static struct path_point path_preserving(double x, double dx)
{
    double alpha = rng_exp(-0.5 * x);
    double beta = sqrt(path_lost(x));
    double beta_dbeta = 0.5 * dx * alpha * alpha;
    return (struct path_point){alpha, beta, -0.5 * dx * alpha, beta_dbeta / beta, beta_dbeta};
}

static struct path_point path_linear(const struct path *path, double t)
{
    (void)path;
    return (struct path_point){t, 1.0 - t, 1.0, -1.0, t - 1.0};
}

static struct path_point path_ot(const struct path *path, double t)
{
    double slope = -(1.0 - path->sigma_min);
    double beta = 1.0 + slope * t;
    return (struct path_point){t, beta, 1.0, slope, beta * slope};
}

static struct path_point path_cosine(const struct path *path, double t)
{
    const double half_pi = 1.57079632679489661923;
    double sine, cosine;
    (void)path;
    rng_sincos_turns(0.25 * t, &sine, &cosine);
    cosine = fabs(cosine); /* -0 at t = 1 */
    return (struct path_point){sine, cosine, half_pi * cosine, -half_pi * sine,
                               -half_pi * sine * cosine};
}

static double path_power(double t, double n)
{
    if (n == 0)
        return 1;
    double exponent = t > 0 ? n * rng_log(t) : -INFINITY;
    return exponent > -700 ? rng_exp(exponent) : 0;
}

static struct path_point path_polynomial(const struct path *path, double t)
{
    double power = path_power(t, path->n - 1);
    double alpha = t * power, slope = path->n * power;
    return (struct path_point){alpha, 1 - alpha, slope, -slope, (alpha - 1) * slope};
}

static struct path_point path_linear_vp(const struct path *path, double t)
{
    double beta = sqrt((1 - t) * (1 + t));
    (void)path;
    return (struct path_point){t, beta, 1.0, -t / beta, -t};
}

static struct path_point path_vp(const struct path *path, double t)
{
    double s = 1 - t, rise = path->beta_max - path->beta_min;
    return path_preserving(s * (path->beta_min + 0.5 * s * rise), -(path->beta_min + s * rise));
}

static struct path_point path_ve(const struct path *path, double t)
{
    double log_ratio = rng_log(path->sigma_max / path->sigma_min);
    double sigma = path->sigma_min * rng_exp((1 - t) * log_ratio);
    return (struct path_point){1.0, sigma, 0.0, -sigma * log_ratio, -sigma * sigma * log_ratio};
}

static struct path_point path_ddpm(const struct path *path, double t)
{
    struct curve_point kept = curve_at(&path->log_kept, t);
    return path_preserving(-kept.value, -kept.slope);
}

static struct path_point path_table_point(const struct path *path, double t)
{
    struct curve_point alpha = curve_at(&path->alpha, t);
    struct curve_point beta = curve_at(&path->beta, t);
    return (struct path_point){alpha.value, beta.value, alpha.slope, beta.slope,
                               beta.value * beta.slope};
}

#define PATH_PARAMETER(field, low, high) {#field, offsetof(struct path, field), low, high}

/* The ranges keep alpha and 1 / alpha, beta and its slope within what a float can hold. */
static const struct {
    const char *name;
    struct path_point (*at)(const struct path *path, double t);
    bool steep;
    struct path_parameter parameters[3];
} path_table[] = {
    [PATH_LINEAR] = {"linear", path_linear, false, {{0}}},
    [PATH_OT] = {"ot", path_ot, false, {PATH_PARAMETER(sigma_min, 0, 0.999)}},
    [PATH_COSINE] = {"cosine", path_cosine, false, {{0}}},
    [PATH_POLYNOMIAL] = {"polynomial", path_polynomial, false, {PATH_PARAMETER(n, 1, 64)}},
    [PATH_LINEAR_VP] = {"linear_vp", path_linear_vp, true, {{0}}},
    [PATH_VP] = {"vp",
                 path_vp,
                 true,
                 {PATH_PARAMETER(beta_min, 1e-4, 100), PATH_PARAMETER(beta_max, 1e-4, 100)}},
    [PATH_VE] = {"ve",
                 path_ve,
                 false,
                 {PATH_PARAMETER(sigma_min, 1e-6, 1e6), PATH_PARAMETER(sigma_max, 1e-6, 1e6)}},
    [PATH_DDPM] = {"ddpm", path_ddpm, false, {{0}}},
    [PATH_TABLE] = {"table", path_table_point, false, {{0}}},
};

static const char *const path_schedules[] = {
    [PATH_SCHEDULE_LISTED] = "listed",
    [PATH_SCHEDULE_LINEAR] = "linear",
    [PATH_SCHEDULE_SCALED_LINEAR] = "scaled_linear",
    [PATH_SCHEDULE_COSINE] = "cosine",
};

struct path_point path_at(const struct path *path, double t)
{
    check((unsigned)path->kind < PATH_COUNT);
    t = t > 0 ? fmin(t, 1) : 0;
    struct path_point point = path_table[path->kind].at(path, t);
    if (path_table[path->kind].steep && t > 1 - PATH_EDGE)
        point.dbeta = path_table[path->kind].at(path, 1 - PATH_EDGE).dbeta;
    return point;
}

bool path_steep(const struct path *path)
{
    return path_table[path->kind].steep;
}

double path_source_scale(const struct path *path)
{
    struct path_point start = path_at(path, 0);
    return sqrt(start.alpha * start.alpha + start.beta * start.beta);
}

const char *path_name(enum path_kind kind)
{
    return (unsigned)kind < PATH_COUNT ? path_table[kind].name : NULL;
}

bool path_find(const char *name, enum path_kind *out)
{
    for (unsigned i = 0; i < PATH_COUNT; i++) {
        if (strcmp(path_table[i].name, name) == 0) {
            *out = (enum path_kind)i;
            return true;
        }
    }
    return false;
}

const char *path_schedule_name(enum path_schedule schedule)
{
    return (unsigned)schedule < PATH_SCHEDULE_COUNT ? path_schedules[schedule] : NULL;
}

bool path_schedule_find(const char *name, enum path_schedule *out)
{
    for (unsigned i = 0; i < PATH_SCHEDULE_COUNT; i++) {
        if (strcmp(path_schedules[i], name) == 0) {
            *out = (enum path_schedule)i;
            return true;
        }
    }
    return false;
}

const struct path_parameter *path_parameters(enum path_kind kind)
{
    check((unsigned)kind < PATH_COUNT);
    return path_table[kind].parameters;
}

int path_check(const struct path *path, struct err *err)
{
    check((unsigned)path->kind < PATH_COUNT);
    for (const struct path_parameter *at = path_parameters(path->kind); at->name; at++) {
        char where[64];
        double value = *(const double *)((const char *)path + at->offset);
        if (value >= at->low && value <= at->high)
            continue;
        snprintf(where, sizeof where, "/path/%s", at->name);
        return err_set(err, ERR_INVALID, where, "must be %g to %g", at->low, at->high);
    }
    if (path->kind == PATH_VP && path->beta_max < path->beta_min)
        return err_set(err, ERR_INVALID, "/path/beta_max", "must be at least beta_min");
    if (path->kind == PATH_VE && path->sigma_max <= path->sigma_min)
        return err_set(err, ERR_INVALID, "/path/sigma_max", "must be larger than sigma_min");
    return 0;
}

static int path_copy_curve(struct curve *to, const struct curve *from)
{
    return from->count > 0 ? curve_init(to, from->x, from->y, from->count) : 0;
}

int path_copy(struct path *to, const struct path *from)
{
    struct path copy = *from;
    copy.log_kept = copy.alpha = copy.beta = (struct curve){0};
    copy.betas = NULL;
    int code = path_copy_curve(&copy.log_kept, &from->log_kept);
    if (!code)
        code = path_copy_curve(&copy.alpha, &from->alpha);
    if (!code)
        code = path_copy_curve(&copy.beta, &from->beta);
    if (!code && from->betas) {
        copy.betas = mem_alloc(from->log_kept.count, sizeof *copy.betas);
        if (copy.betas)
            memcpy(copy.betas, from->betas, from->log_kept.count * sizeof *copy.betas);
        else
            code = ERR_NOMEM;
    }
    if (code)
        path_release(&copy);
    else
        *to = copy;
    return code;
}

void path_release(struct path *path)
{
    curve_release(&path->log_kept);
    curve_release(&path->alpha);
    curve_release(&path->beta);
    mem_free(path->betas);
    *path = (struct path){0};
}
