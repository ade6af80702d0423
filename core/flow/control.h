/* Step size control of one row under an embedded pair: a proportional-integral controller (Hairer,
   Norsett, Wanner, "Solving ordinary differential equations I", II.4, and Gustafsson 1991, with the
   constants of the former's program dopri5). Powers are taken with the logarithm and exponential
   of rng.h: the C library's pow may differ in its last bit from one machine to the next, and a step
   size that differs makes another row. Steps are signed: negative backwards. */
#ifndef CORE_FLOW_CONTROL_H
#define CORE_FLOW_CONTROL_H

#include <stdbool.h>

struct control {
    double h;         /* the step to try next */
    double log_error; /* of the last step that was accepted */
    bool rejected;    /* the trial before was */
};

/* The first step (II.4, "Starting step size") takes two evaluations. With the norms of x0 and of
   f0 = u(x0, t0): the length h0 > 0 of a probing step. */
double control_probe(double state, double slope);
/* With the norm of (u(x0 + h0 f0, t0 + h0) - f0) / h0 too: sets a fresh controller. h0: signed;
   embedded: order of the pair's second solution. */
void control_start(struct control *control, double h0, double slope, double bend, int embedded);
/* Judges a trial of length h by the norm of its error, relative to what is tolerated: true when it
   is accepted. Sets the next step: 0.2 to 10 times h, no growth after a rejection; the shortest
   where the error is not finite. */
bool control_judge(struct control *control, double h, double error, int embedded);

#endif
