#include "core/flow/analytic.h"

#include "core/linalg/rng.h"

#include <math.h>
#include <string.h>

static const double half_log_two_pi = 0.91893853320467274178;

static double analytic_exp(double x)
{
    return x > -700 ? rng_exp(x) : 0;
}

static double analytic_deviation(const struct analytic *analytic, size_t k, size_t i)
{
    return analytic->deviations ? analytic->deviations[k * analytic->dim + i] : 0;
}

/* One dimension of a component at time t: x ~ N(alpha m, variance). */
struct analytic_normal {
    double mean;     /* m, of the data */
    double spread;   /* s^2, of the data */
    double variance; /* alpha^2 s^2 + beta^2 */
    double away;     /* x - alpha m */
};

static struct analytic_normal analytic_normal(const struct analytic *analytic,
                                              const struct path_point *at, size_t k, size_t i,
                                              double x)
{
    double mean = analytic->means[k * analytic->dim + i];
    double deviation = analytic_deviation(analytic, k, i);
    double spread = deviation * deviation;
    return (struct analytic_normal){
        .mean = mean,
        .spread = spread,
        .variance = at->alpha * at->alpha * spread + at->beta * at->beta,
        .away = x - at->alpha * mean,
    };
}

/* log of weight k times its density at x, without the factors of 2 pi. */
static double analytic_log_part(const struct analytic *analytic, const struct path_point *at,
                                size_t k, const double *x)
{
    double sum = analytic->weights ? rng_log(analytic->weights[k]) : 0;
    for (size_t i = 0; i < analytic->dim; i++) {
        struct analytic_normal n = analytic_normal(analytic, at, k, i, x[i]);
        sum -= 0.5 * (rng_log(n.variance) + n.away * n.away / n.variance);
    }
    return sum;
}

/* The prediction for x of this component. E[x1 | x] = m + alpha s^2 away / variance and E[x0 | x] =
   beta away / variance. */
static double analytic_value(enum prediction prediction, const struct path_point *at,
                             const struct analytic_normal *n)
{
    double pull = n->away / n->variance;
    switch (prediction) {
    case PREDICTION_DATA:
        return n->mean + at->alpha * n->spread * pull;
    case PREDICTION_NOISE:
        return at->beta * pull;
    case PREDICTION_SCORE:
        return -pull;
    case PREDICTION_VELOCITY:
    case PREDICTION_COUNT:
        break;
    }
    return at->dalpha * n->mean + (at->dalpha * at->alpha * n->spread + at->beta_dbeta) * pull;
}

static struct path_point analytic_point(const struct analytic *analytic, double t)
{
    struct path_point at = path_at(analytic->path, t);
    if (t <= 1 - analytic->clamp || path_at(analytic->path, 1).beta > 0)
        return at;
    for (size_t k = 0; k < analytic->count; k++) {
        for (size_t i = 0; i < analytic->dim; i++) {
            if (analytic_deviation(analytic, k, i) == 0)
                return path_at(analytic->path, 1 - analytic->clamp);
        }
    }
    return at;
}

/* The components' mean by their share in the density, in one pass: `most` is the largest logarithm
   so far, to which the sums are relative. */
void analytic_predict(const struct analytic *analytic, enum prediction prediction, double t,
                      const double *x, double *out)
{
    const struct path_point at = analytic_point(analytic, t);
    double most = -INFINITY, total = 0;
    memset(out, 0, analytic->dim * sizeof *out);
    for (size_t k = 0; k < analytic->count; k++) {
        double part = analytic_log_part(analytic, &at, k, x);
        double keep = part > most ? analytic_exp(most - part) : 1;
        most = part > most ? part : most;
        double share = analytic_exp(part - most);
        total = keep * total + share;
        for (size_t i = 0; i < analytic->dim; i++) {
            struct analytic_normal n = analytic_normal(analytic, &at, k, i, x[i]);
            out[i] = keep * out[i] + share * analytic_value(prediction, &at, &n);
        }
    }
    for (size_t i = 0; i < analytic->dim; i++)
        out[i] /= total;
}

double analytic_log_density(const struct analytic *analytic, double t, const double *x)
{
    const struct path_point at = analytic_point(analytic, t);
    double most = -INFINITY, total = 0, weights = 0;
    for (size_t k = 0; k < analytic->count; k++) {
        double part = analytic_log_part(analytic, &at, k, x);
        double larger = part > most ? part : most;
        total = total * analytic_exp(most - larger) + analytic_exp(part - larger);
        most = larger;
        weights += analytic->weights ? analytic->weights[k] : 1;
    }
    return most + rng_log(total) - rng_log(weights) - (double)analytic->dim * half_log_two_pi;
}

/* x and v of one lane in double. */
static size_t analytic_scratch(const void *self, size_t stride)
{
    const struct analytic *analytic = self;
    (void)stride;
    return 2 * analytic->dim * (sizeof(double) / sizeof(float));
}

static void analytic_velocity(const void *self, const struct simd_kernels *kernels, float *v,
                              const float *x, const float *t, float *scratch,
                              struct simd_shape shape)
{
    const struct analytic *analytic = self;
    double *from = (void *)scratch, *to = from + analytic->dim;
    (void)kernels;
    for (size_t r = 0; r < shape.lanes; r++) {
        for (size_t i = 0; i < analytic->dim; i++)
            from[i] = (double)x[i * shape.stride + r];
        analytic_predict(analytic, PREDICTION_VELOCITY, (double)t[r], from, to);
        for (size_t i = 0; i < analytic->dim; i++)
            v[i * shape.stride + r] = (float)to[i];
    }
}

struct field analytic_field(const struct analytic *analytic)
{
    return (struct field){
        .dim = analytic->dim,
        .velocity = analytic_velocity,
        .scratch = analytic_scratch,
        .self = analytic,
    };
}

static size_t analytic_constant_scratch(const void *self, size_t stride)
{
    (void)self;
    (void)stride;
    return 0;
}

static void analytic_constant_velocity(const void *self, const struct simd_kernels *kernels,
                                       float *v, const float *x, const float *t, float *scratch,
                                       struct simd_shape shape)
{
    const struct analytic_constant *constant = self;
    (void)kernels;
    (void)x;
    (void)t;
    (void)scratch;
    for (size_t i = 0; i < constant->dim; i++) {
        for (size_t r = 0; r < shape.lanes; r++)
            v[i * shape.stride + r] = constant->velocity[i];
    }
}

struct field analytic_constant_field(const struct analytic_constant *constant)
{
    return (struct field){
        .dim = constant->dim,
        .velocity = analytic_constant_velocity,
        .scratch = analytic_constant_scratch,
        .self = constant,
    };
}
