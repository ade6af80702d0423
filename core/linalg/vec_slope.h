/* The activations together with their derivatives, for training. */
#ifndef CORE_LINALG_VEC_SLOPE_H
#define CORE_LINALG_VEC_SLOPE_H

#include "core/linalg/vec_math.h"

struct vec_slope {
    vec value; /* f(x) */
    vec slope; /* f'(x) */
};

/* x s(u), s the logistic function: s + x s (1 - s) du/dx. With e = e^-u, 1 - s is e s, without
   cancellation; the bound keeps e finite where s is below 1e-34. */
VEC_INLINE struct vec_slope vec_gate_slope(vec x, vec u, vec du)
{
    vec e = vec_exp(-vec_at_least(vec_set(-80.0f), u));
    vec s = vec_set(1.0f) / (vec_set(1.0f) + e);
    vec value = x * s;
    return (struct vec_slope){value, vec_fma(value * du, e * s, s)};
}

VEC_INLINE struct vec_slope vec_gelu_tanh_slope(vec x)
{
    vec square = x * x;
    vec u = x * vec_fma(square, vec_set(0.0713548163f), vec_set(1.59576912f));
    vec du = vec_fma(square, vec_set(0.214064449f), vec_set(1.59576912f));
    return vec_gate_slope(x, u, du);
}

VEC_INLINE struct vec_slope vec_gelu_slope(vec x)
{
    struct vec_normal normal = vec_normal(x);
    vec density = vec_set(0.398942280f) * normal.bell;
    return (struct vec_slope){x * normal.phi, vec_fma(x, density, normal.phi)};
}

/* f(x) = x above 0 and alpha (e^x - 1) below, times a scale: there f' = f + scale alpha. */
VEC_INLINE struct vec_slope vec_elu_slope(vec x, vec value, float scale, float scale_alpha)
{
    vec below = value + vec_set(scale_alpha);
    return (struct vec_slope){value, vec_select(x, vec_set(0.0f), vec_set(scale), below)};
}

VEC_INLINE struct vec_slope vec_slope(enum activation activation, vec x)
{
    const vec zero = vec_set(0.0f);
    const vec one = vec_set(1.0f);
    vec value = x;
    switch (activation) {
    case ACTIVATION_SILU:
        return vec_gate_slope(x, x, one);
    case ACTIVATION_RELU:
        return (struct vec_slope){vec_at_least(zero, x), vec_select(x, zero, one, zero)};
    case ACTIVATION_ELU:
        return vec_elu_slope(x, vec_elu(x), 1.0f, 1.0f);
    case ACTIVATION_SELU:
        return vec_elu_slope(x, vec_selu(x), 1.05070098735548049342f, 1.75809934084737685994f);
    case ACTIVATION_GELU:
        return vec_gelu_slope(x);
    case ACTIVATION_GELU_TANH:
        return vec_gelu_tanh_slope(x);
    case ACTIVATION_TANH:
        value = vec_tanh(x);
        return (struct vec_slope){value, vec_fma(-value, value, one)};
    case ACTIVATION_NONE:
    case ACTIVATION_COUNT:
        break;
    }
    return (struct vec_slope){value, one};
}

#endif
