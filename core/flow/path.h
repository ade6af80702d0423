/* Gaussian probability paths x_t = alpha(t) x1 + beta(t) x0 (Lipman et al. 2024, "Flow matching
   guide and code", section 4), noise at t = 0, data at t = 1. A path is a row of a table. */
#ifndef CORE_FLOW_PATH_H
#define CORE_FLOW_PATH_H

#include <stdbool.h>

enum path_kind { PATH_LINEAR };

struct path_point {
    double alpha, beta;   /* x_t = alpha x1 + beta x0 */
    double dalpha, dbeta; /* their derivatives: the conditional velocity is dalpha x1 + dbeta x0 */
};

struct path_point path_at(enum path_kind kind, double t);
const char *path_name(enum path_kind kind);
bool path_find(const char *name, enum path_kind *out);

#endif
