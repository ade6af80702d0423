/* Explicit Runge-Kutta methods as data (Hairer, Norsett, Wanner, "Solving ordinary differential
   equations I", II.1). */
#ifndef CORE_FLOW_TABLEAU_H
#define CORE_FLOW_TABLEAU_H

#include <stddef.h>

enum { TABLEAU_STAGES = 4 };

struct tableau {
    const char *name; /* as requests give it: "euler" */
    int order;
    size_t stages;                           /* field evaluations a step */
    float a[TABLEAU_STAGES][TABLEAU_STAGES]; /* strictly lower triangular */
    float b[TABLEAU_STAGES];
    double c[TABLEAU_STAGES];
};

/* NULL when there is none of that name. */
const struct tableau *tableau_find(const char *name);
/* The i-th of the table, or NULL past the end. */
const struct tableau *tableau_at(size_t i);

#endif
