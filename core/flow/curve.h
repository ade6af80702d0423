/* A smooth curve through given points that rises and falls only where they do: cubic Hermite pieces
   with the slopes of Fritsch and Butland 1984, "A method for constructing local monotone piecewise
   cubic interpolants", and at the ends those of scipy's PchipInterpolator. */
#ifndef CORE_FLOW_CURVE_H
#define CORE_FLOW_CURVE_H

#include <stddef.h>

struct curve {
    size_t count;  /* >= 2, or 0: no curve */
    double *x;     /* [count] strictly rising; owned, and with it y and slope */
    double *y;     /* [count] */
    double *slope; /* [count] */
};

struct curve_point {
    double value;
    double slope;
};

/* Copies x, y: [count], count >= 2. 0 or ERR_NOMEM. */
int curve_init(struct curve *curve, const double *x, const double *y, size_t count);
void curve_release(struct curve *curve);
/* Left of the first point, and right of the last, that point. At a given x exactly its y, and never
   outside the two neighbours' y. */
struct curve_point curve_at(const struct curve *curve, double x);

#endif
