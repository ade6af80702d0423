/* Velocity fields whose flow is known in closed form, for tests of the integrator. */
#ifndef TESTS_UNIT_FLOW_FIELDS_H
#define TESTS_UNIT_FLOW_FIELDS_H

#include "core/flow/tile.h"

#include <math.h>

enum { GAUSS_DIM = 3 };

/* Carries N(0, 1) at t = 0 to N(mean, std^2) at t = 1 in each dimension, on the linear path. */
struct gauss {
    double mean[GAUSS_DIM];
    double std[GAUSS_DIM];
};

static inline void gauss_velocity(const void *self, const struct simd_kernels *kernels, float *v,
                                  const float *x, const float *t, float *scratch,
                                  struct simd_shape shape)
{
    const struct gauss *gauss = self;
    (void)kernels;
    (void)scratch;
    for (size_t i = 0; i < GAUSS_DIM; i++) {
        for (size_t r = 0; r < shape.lanes; r++) {
            double m = gauss->mean[i];
            double s = gauss->std[i];
            double time = (double)t[r];
            double variance = time * time * s * s + (1.0 - time) * (1.0 - time);
            double slope = (time * s * s - (1.0 - time)) / variance;
            double away = (double)x[i * shape.stride + r] - time * m;
            v[i * shape.stride + r] = (float)(m + slope * away);
        }
    }
}

/* The flow map from t = 0. */
static inline double gauss_flow(const struct gauss *gauss, size_t i, double x0, double t)
{
    return t * gauss->mean[i] +
           sqrt(t * t * gauss->std[i] * gauss->std[i] + (1 - t) * (1 - t)) * x0;
}

static inline size_t no_scratch(const void *self, size_t stride)
{
    (void)self;
    (void)stride;
    return 0;
}

static inline struct field gauss_field(const struct gauss *gauss)
{
    return (struct field){GAUSS_DIM, gauss_velocity, no_scratch, gauss};
}

/* A plane that turns, faster and faster: x(t) is x(0) turned by the angle 4 t^2. Every method of
   some order shows it here, for nothing in its leading error cancels. */
enum { TURN_DIM = 2 };

static inline void turn_velocity(const void *self, const struct simd_kernels *kernels, float *v,
                                 const float *x, const float *t, float *scratch,
                                 struct simd_shape shape)
{
    (void)self;
    (void)kernels;
    (void)scratch;
    for (size_t r = 0; r < shape.lanes; r++) {
        double speed = 8.0 * (double)t[r];
        v[r] = (float)(-speed * (double)x[shape.stride + r]);
        v[shape.stride + r] = (float)(speed * (double)x[r]);
    }
}

static inline double turn_flow(size_t i, const double *x0, double t)
{
    double sine = sin(4.0 * t * t), cosine = cos(4.0 * t * t);
    return i == 0 ? cosine * x0[0] - sine * x0[1] : sine * x0[0] + cosine * x0[1];
}

static inline struct field turn_field(void)
{
    return (struct field){TURN_DIM, turn_velocity, no_scratch, NULL};
}

/* Remembers the times at which it was asked, and is not finite where x[0] is above a bound. */
struct probe {
    float low, high; /* times of all lanes */
    size_t calls;
    float bound;
};

static inline void probe_velocity(const void *self, const struct simd_kernels *kernels, float *v,
                                  const float *x, const float *t, float *scratch,
                                  struct simd_shape shape)
{
    struct probe *probe = *(struct probe *const *)self;
    (void)kernels;
    (void)scratch;
    probe->calls++;
    for (size_t r = 0; r < shape.lanes; r++) {
        probe->low = fminf(probe->low, t[r]);
        probe->high = fmaxf(probe->high, t[r]);
        v[r] = x[r] > probe->bound ? INFINITY : 1.0f;
    }
}

/* probe: the address of a pointer that outlives the field. */
static inline struct field probe_field(struct probe *const *probe)
{
    return (struct field){1, probe_velocity, no_scratch, probe};
}

#endif
