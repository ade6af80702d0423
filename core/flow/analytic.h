/* Velocity fields that are known in closed form, for every path: of a mixture of Gaussians with
   diagonal covariances. One component is the field from a Gaussian to a Gaussian; components of no
   width are the rows of a dataset, whose field is that of the posterior mean. */
#ifndef CORE_FLOW_ANALYTIC_H
#define CORE_FLOW_ANALYTIC_H

#include "core/flow/prediction.h"
#include "core/flow/tile.h"

/* x1 ~ sum_k weights[k] N(means[k], diag(deviations[k]^2)), x0 ~ N(0, I). All borrowed. */
struct analytic {
    const struct path *path;
    size_t dim, count;
    const double *weights;    /* [count] > 0, of any sum; NULL: equal */
    const double *means;      /* [count, dim] */
    const double *deviations; /* [count, dim] >= 0; NULL: 0, a dataset */
    double clamp; /* where a deviation is 0 and beta(1) too, the last `clamp` of time is frozen */
};

/* What a perfect network says at (x, t): the expectation of the data, the noise or the velocity
   given x, or the score. x, out: [dim]. */
void analytic_predict(const struct analytic *analytic, enum prediction prediction, double t,
                      const double *x, double *out);
/* log p_t(x), natural. */
double analytic_log_density(const struct analytic *analytic, double t, const double *x);

/* As a field; analytic stays borrowed. The same bits on every machine. */
struct field analytic_field(const struct analytic *analytic);

/* v = velocity everywhere: N(0, s^2 I) goes to N(velocity t, s^2 I). */
struct analytic_constant {
    size_t dim;
    const float *velocity; /* [dim] borrowed */
};
struct field analytic_constant_field(const struct analytic_constant *constant);

#endif
