#include "core/flow/control.h"

#include "config/limits.h"
#include "core/linalg/rng.h"

#include <math.h>

static const double safety = 0.9;
static const double shrink_most = 0.2;
static const double grow_most = 10.0;

/* Exponents of the error of this step and of the one before, times the order of the error. */
static const double proportional = 0.85;
static const double integral = 0.2;

/* Below these an error says no more: the step grows by the most anyway. */
static const double error_floor = 1e-10;
static const double log_error_floor = -9.2103403719761836; /* log(1e-4) */

static double clamped(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

double control_probe(double state, double slope)
{
    if (!(state >= 1e-5 && slope >= 1e-5))
        return 1e-6;
    return 0.01 * (state / slope);
}

void control_start(struct control *control, double h0, double slope, double bend, int embedded)
{
    double length = fabs(h0);
    double steepest = slope > bend ? slope : bend;
    double h = 1e-3 * length > 1e-6 ? 1e-3 * length : 1e-6;
    if (!isfinite(bend))
        h = length;
    else if (steepest > 1e-15)
        h = rng_exp(rng_log(0.01 / steepest) / (embedded + 1));
    h = clamped(h, LIMIT_SHORTEST_STEP, 100.0 * length);
    *control = (struct control){.h = copysign(h, h0), .log_error = log_error_floor};
}

bool control_judge(struct control *control, double h, double error, int embedded)
{
    double order = embedded + 1;
    bool accepted = error <= 1.0; /* false for NaN */
    double factor = shrink_most;
    if (isfinite(error)) {
        double log_error = rng_log(error > error_floor ? error : error_floor);
        double exponent = -proportional * log_error;
        if (accepted) {
            exponent += integral * control->log_error;
            control->log_error = log_error > log_error_floor ? log_error : log_error_floor;
        }
        factor = safety * rng_exp(exponent / order);
    }
    bool may_grow = accepted && !control->rejected;
    control->h = h * clamped(factor, shrink_most, may_grow ? grow_most : 1.0);
    control->rejected = !accepted;
    return accepted;
}
