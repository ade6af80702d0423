/* Gaussian probability paths x_t = alpha(t) x1 + beta(t) x0: noise x0 ~ N(0, I) at t = 0, data x1
   at t = 1 (Lipman et al. 2024, "Flow matching guide and code", section 4). A path is a row of a
   table in path.c. Paths are always stated in this time, whatever time a checkpoint counts in. */
#ifndef CORE_FLOW_PATH_H
#define CORE_FLOW_PATH_H

#include "core/base/err.h"
#include "core/flow/curve.h"

#include <stdbool.h>

enum path_kind {
    PATH_LINEAR,     /* t, 1 - t */
    PATH_OT,         /* t, 1 - (1 - sigma_min) t (Lipman et al. 2023, example II) */
    PATH_COSINE,     /* sin(pi t / 2), cos(pi t / 2) */
    PATH_POLYNOMIAL, /* t^n, 1 - t^n */
    PATH_LINEAR_VP,  /* t, sqrt(1 - t^2) */
    PATH_VP,         /* exp(-T / 2), sqrt(1 - exp(-T)), T = s beta_min + s^2 (beta_max - beta_min)
                        / 2, s = 1 - t (Song et al. 2021, equation 32) */
    PATH_VE,         /* 1, sigma_min^t sigma_max^(1 - t) (Song et al. 2021, equation 30) */
    PATH_DDPM,       /* sqrt(A), sqrt(1 - A), A the product of 1 - betas[0..k], k = (1 - t)
                        (steps - 1) (Ho et al. 2020); log A is a curve between the steps */
    PATH_TABLE,      /* curves through given alphas and betas */
    PATH_COUNT
};

/* Where the betas of PATH_DDPM come from. */
enum path_schedule {
    PATH_SCHEDULE_LISTED,
    PATH_SCHEDULE_LINEAR,        /* beta_min to beta_max (Ho et al. 2020) */
    PATH_SCHEDULE_SCALED_LINEAR, /* the same for their roots (latent diffusion) */
    PATH_SCHEDULE_COSINE, /* of A itself, betas at most 0.999 (Nichol and Dhariwal 2021) */
    PATH_SCHEDULE_COUNT
};

/* Plain data but for the curves, which schedule.h makes. {0} is the linear path. */
struct path {
    enum path_kind kind;
    double sigma_min, sigma_max;
    double n;
    double beta_min, beta_max;
    enum path_schedule schedule;
    struct curve log_kept;    /* PATH_DDPM: log A over t; owned */
    double *betas;            /* PATH_DDPM: [log_kept.count], step 0 first; owned */
    struct curve alpha, beta; /* PATH_TABLE, over the same t; owned */
};

struct path_point {
    double alpha, beta;   /* x_t = alpha x1 + beta x0 */
    double dalpha, dbeta; /* their derivatives: the conditional velocity is dalpha x1 + dbeta x0 */
    double beta_dbeta;    /* beta dbeta, finite at t = 1 on every path */
};

/* Always finite, for any t; outside [0, 1] it is the end. Where dbeta grows without bound (vp,
   linear_vp at t = 1) it stays what it is PATH_EDGE before. */
#define PATH_EDGE 1e-6
struct path_point path_at(const struct path *path, double t);
/* True where dbeta is unbounded at t = 1. */
bool path_steep(const struct path *path);
/* The standard deviation at t = 0 of data with unit variance: that of the noise to start from. */
double path_source_scale(const struct path *path);

/* Names as they stand in JSON; out of the enum: NULL. */
const char *path_name(enum path_kind kind);
bool path_find(const char *name, enum path_kind *out);
const char *path_schedule_name(enum path_schedule schedule);
bool path_schedule_find(const char *name, enum path_schedule *out);

/* A number that a kind of path needs: a double at `offset` of struct path, in [low, high]. */
struct path_parameter {
    const char *name; /* NULL ends a list */
    size_t offset;
    double low, high;
};
const struct path_parameter *path_parameters(enum path_kind kind);
/* 0, or ERR_INVALID naming the parameter ("/path/beta_max"). */
int path_check(const struct path *path, struct err *err);

/* 0 or ERR_NOMEM. */
int path_copy(struct path *to, const struct path *from);
void path_release(struct path *path);

#endif
