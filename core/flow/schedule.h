/* The paths that are given by numbers: a table of (t, alpha, beta), and the betas of a DDPM. Each
   function makes *path anew, which owns copies. 0, ERR_NOMEM, or ERR_INVALID naming the number that
   is wrong ("/path/alpha/3"). */
#ifndef CORE_FLOW_SCHEDULE_H
#define CORE_FLOW_SCHEDULE_H

#include "core/flow/path.h"

/* t, alpha, beta: [count]. t rises from 0 to 1; alpha does not fall, beta does not rise, and
   alpha / beta rises. */
struct schedule_table {
    const double *t;
    const double *alpha;
    const double *beta;
    size_t count; /* 2..LIMIT_PATH_POINTS */
};
int schedule_table(struct path *path, const struct schedule_table *table, struct err *err);

/* betas: [count], each between 0 and 1, of the steps k = 0 (nearest to the data) .. count - 1. */
int schedule_betas(struct path *path, const double *betas, size_t count, struct err *err);

/* The betas by rule. beta_min, beta_max: in (0, 1), unread for the cosine. */
struct schedule_rule {
    enum path_schedule schedule; /* not PATH_SCHEDULE_LISTED */
    size_t steps;                /* 2..LIMIT_PATH_POINTS */
    double beta_min, beta_max;
};
int schedule_rule(struct path *path, const struct schedule_rule *rule, struct err *err);

#endif
