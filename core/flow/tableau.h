/* Explicit Runge-Kutta methods as data (Hairer, Norsett, Wanner, "Solving ordinary differential
   equations I", II.1). */
#ifndef CORE_FLOW_TABLEAU_H
#define CORE_FLOW_TABLEAU_H

#include <stdbool.h>
#include <stddef.h>

enum { TABLEAU_STAGES = 7, TABLEAU_POWERS = 4 };

/* A method with fixed steps, or an embedded pair that chooses them. Pairs are first same as last:
   the last row of a is b, so that the last stage stands at the end of the step and is the first of
   the next. */
struct tableau {
    const char *name; /* as requests give it: "euler" */
    int order;
    int embedded; /* order of the second solution of a pair, the one that e leads to; 0: fixed
                     steps */
    size_t stages;
    float a[TABLEAU_STAGES][TABLEAU_STAGES]; /* strictly lower triangular */
    float b[TABLEAU_STAGES];
    float e[TABLEAU_STAGES]; /* b minus that of the second solution: h sum e k is the error */
    double c[TABLEAU_STAGES];
    /* Of a pair, within the step: x + h sum_i k[i] sum_j dense[i][j] theta^(j + 1) at the fraction
       theta of it. */
    double dense[TABLEAU_STAGES][TABLEAU_POWERS];
};

static inline bool tableau_adaptive(const struct tableau *tableau)
{
    return tableau->embedded > 0;
}

/* NULL when there is none of that name. */
const struct tableau *tableau_find(const char *name);
/* The i-th of the table, or NULL past the end. */
const struct tableau *tableau_at(size_t i);

#endif
