#include "core/flow/curve.h"

#include "core/base/check.h"
#include "core/base/err.h"
#include "core/base/mem.h"

#include <math.h>
#include <string.h>

static double curve_secant(const struct curve *curve, size_t i)
{
    return (curve->y[i + 1] - curve->y[i]) / (curve->x[i + 1] - curve->x[i]);
}

/* The weighted harmonic mean of the two secants that meet at point i. */
static double curve_inner_slope(const struct curve *curve, size_t i)
{
    double before = curve->x[i] - curve->x[i - 1], after = curve->x[i + 1] - curve->x[i];
    double left = curve_secant(curve, i - 1), right = curve_secant(curve, i);
    double weight_left = 2 * after + before, weight_right = after + 2 * before;
    if (left * right <= 0)
        return 0;
    return (weight_left + weight_right) / (weight_left / left + weight_right / right);
}

/* At an end: of the parabola through three points, bounded so that the piece stays monotone.
   near, far: widths; secant, next: their slopes. */
static double curve_end_slope(double near, double far, double secant, double next)
{
    double slope = ((2 * near + far) * secant - near * next) / (near + far);
    if (slope * secant <= 0)
        return 0;
    return secant * next <= 0 && fabs(slope) > 3 * fabs(secant) ? 3 * secant : slope;
}

static void curve_set_slopes(struct curve *curve)
{
    size_t last = curve->count - 1;
    if (last == 1) {
        curve->slope[0] = curve->slope[1] = curve_secant(curve, 0);
        return;
    }
    for (size_t i = 1; i < last; i++)
        curve->slope[i] = curve_inner_slope(curve, i);
    curve->slope[0] = curve_end_slope(curve->x[1] - curve->x[0], curve->x[2] - curve->x[1],
                                      curve_secant(curve, 0), curve_secant(curve, 1));
    curve->slope[last] = curve_end_slope(
        curve->x[last] - curve->x[last - 1], curve->x[last - 1] - curve->x[last - 2],
        curve_secant(curve, last - 1), curve_secant(curve, last - 2));
}

int curve_init(struct curve *curve, const double *x, const double *y, size_t count)
{
    size_t values;
    check(count >= 2);
    *curve = (struct curve){0};
    double *block = mem_size_mul(count, 3, &values) ? mem_alloc(values, sizeof *block) : NULL;
    if (!block)
        return ERR_NOMEM;
    *curve = (struct curve){count, block, block + count, block + 2 * count};
    memcpy(curve->x, x, count * sizeof *x);
    memcpy(curve->y, y, count * sizeof *y);
    curve_set_slopes(curve);
    return 0;
}

void curve_release(struct curve *curve)
{
    mem_free(curve->x);
    *curve = (struct curve){0};
}

/* The piece that x is in: its left point. */
static size_t curve_piece(const struct curve *curve, double x)
{
    size_t low = 0, high = curve->count - 1;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (curve->x[middle] <= x)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static double curve_between(double value, double a, double b)
{
    return fmax(fmin(a, b), fmin(fmax(a, b), value));
}

struct curve_point curve_at(const struct curve *curve, double x)
{
    size_t last = curve->count - 1;
    if (x >= curve->x[last])
        return (struct curve_point){curve->y[last], curve->slope[last]};
    if (!(x > curve->x[0]))
        return (struct curve_point){curve->y[0], curve->slope[0]};
    size_t i = curve_piece(curve, x);
    double width = curve->x[i + 1] - curve->x[i];
    double rise = curve->y[i + 1] - curve->y[i];
    double first = width * curve->slope[i], second = width * curve->slope[i + 1];
    double square = 3 * rise - 2 * first - second, cube = first + second - 2 * rise;
    double s = (x - curve->x[i]) / width;
    double value = curve->y[i] + s * (first + s * (square + s * cube));
    return (struct curve_point){
        .value = curve_between(value, curve->y[i], curve->y[i + 1]),
        .slope = (first + s * (2 * square + s * 3 * cube)) / width,
    };
}
