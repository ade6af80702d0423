/* The activations to 12 bits or more, for values that are rounded to the 8 of bfloat16 next:
   shorter polynomials and the reciprocal estimate. AVX-512 only. A NaN stays a NaN. */
#ifndef CORE_LINALG_HALF_MATH_H
#define CORE_LINALG_HALF_MATH_H

#include "core/linalg/vec_math.h"

#include <stdbool.h>

#if defined(TILE_AVX512)

#define HALF_LOG2E 1.44269504f

/* 2^y, exact where y is a whole number; relative error 4e-6. No y needs to be clamped. */
VEC_INLINE vec half_exp2(vec y)
{
    static const float terms[] = {1.0f, 0.693031788f, 0.241380975f, 0.0520307012f, 0.0135565130f};
    vec part = (vec)_mm512_reduce_ps((__m512)y, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    return (vec)_mm512_scalef_ps((__m512)vec_poly(part, terms, 5), (__m512)y);
}

/* a / b; relative error 2^-14. */
VEC_INLINE vec half_divide(vec a, vec b)
{
    return a * (vec)_mm512_rcp14_ps((__m512)b);
}

/* x / (1 + 2^-y). */
VEC_INLINE vec half_gate(vec x, vec y)
{
    return half_divide(x, vec_set(1.0f) + half_exp2(-y));
}

VEC_INLINE vec half_elu(vec x, float scale, float scale_alpha)
{
    vec e = half_exp2(vec_set(HALF_LOG2E) * x);
    vec below = vec_fma(vec_set(scale_alpha), e, vec_set(-scale_alpha));
    return vec_select(x, vec_set(0.0f), vec_set(scale) * x, below);
}

VEC_INLINE vec half_tanh(vec x)
{
    vec m = half_exp2(vec_set(-2.0f * HALF_LOG2E) * vec_abs(x)) - vec_set(1.0f);
    return vec_copysign(half_divide(m, m + vec_set(2.0f)), x);
}

/* x Phi(x): the logit of Phi is x times a polynomial in x^2 (error of Phi 3e-5 up to 6, beyond
   which it is 0 or 1). */
VEC_INLINE vec half_gelu(vec x)
{
    static const float terms[] = {1.59525464f * HALF_LOG2E, 0.0738519196f * HALF_LOG2E,
                                  -0.000682550804f * HALF_LOG2E};
    vec above = vec_at_least(vec_set(-6.0f), x);
    vec inside = vec_at_most(vec_set(6.0f), above);
    return half_gate(above, inside * vec_poly(inside * inside, terms, 3));
}

VEC_INLINE vec half_gelu_tanh(vec x)
{
    static const float terms[] = {1.59576912f * HALF_LOG2E, 0.0713548163f * HALF_LOG2E};
    return half_gate(x, x * vec_poly(x * x, terms, 2));
}

/* Whether half_activation is more than a step or nothing at all. */
VEC_INLINE bool half_is_curved(enum activation activation)
{
    return activation != ACTIVATION_NONE && activation != ACTIVATION_RELU;
}

VEC_INLINE vec half_activation(enum activation activation, vec x)
{
    switch (activation) {
    case ACTIVATION_SILU:
        return half_gate(x, vec_set(HALF_LOG2E) * x);
    case ACTIVATION_ELU:
        return half_elu(x, 1.0f, 1.0f);
    case ACTIVATION_SELU:
        return half_elu(x, 1.05070099f, 1.75809933f);
    case ACTIVATION_GELU:
        return half_gelu(x);
    case ACTIVATION_GELU_TANH:
        return half_gelu_tanh(x);
    case ACTIVATION_TANH:
        return half_tanh(x);
    case ACTIVATION_RELU:
    case ACTIVATION_NONE:
    case ACTIVATION_COUNT:
        break;
    }
    return vec_activation(activation, x);
}

#endif
#endif
