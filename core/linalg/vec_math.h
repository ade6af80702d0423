/* The activations as vector code: range reduction and polynomials with fused multiply-adds,
   division, no table and no reciprocal estimate. A NaN stays a NaN. Coefficients are least-maximum
   fits made for these intervals and rounded to float. */
#ifndef CORE_LINALG_VEC_MATH_H
#define CORE_LINALG_VEC_MATH_H

#include "core/linalg/activation.h"
#include "core/linalg/vec.h"

/* Horner from the last coefficient to the first. */
VEC_INLINE vec vec_poly(vec x, const float *coefficients, int count)
{
    vec sum = vec_set(coefficients[count - 1]);
    VEC_UNROLL
    for (int i = count - 2; i >= 0; i--)
        sum = vec_fma(sum, x, vec_set(coefficients[i]));
    return sum;
}

/* e^x = scale (1 + q), scale = 2^n, q = e^r - 1, |r| <= log(2) / 2. */
struct vec_exp {
    vec scale;
    vec q;
};

/* scale is 0 below -87.7 and infinite above 88.4: what lies between there and the last float is
   below 1e-38, or its reciprocal is. */
VEC_INLINE struct vec_exp vec_exp_split(vec x)
{
    static const float tail[] = {0.499999940f, 0.166665196f, 0.0416682400f, 0.00836882368f,
                                 0.00138232135f}; /* (e^r - 1 - r) / r^2, relative error 3e-9 */
    const float round = 12582912.0f;              /* 1.5 2^23: adding it rounds to an integer */
    x = vec_at_most(vec_set(89.0f), vec_at_least(vec_set(-88.3f), x));
    vec shifted = vec_fma(x, vec_set(1.44269504f), vec_set(round));
    vec n = shifted - vec_set(round);
    vec r = vec_fma(n, vec_set(-0.693147182f), x);
    r = vec_fma(n, vec_set(1.90465421e-9f), r);
    vec_bits exponent = ((vec_bits)shifted + vec_splat(127)) << 23;
    return (struct vec_exp){(vec)exponent, vec_fma(r * r, vec_poly(r, tail, 5), r)};
}

VEC_INLINE vec vec_exp(vec x)
{
    struct vec_exp e = vec_exp_split(x);
    return e.scale * (vec_set(1.0f) + e.q);
}

/* e^x - 1 for x <= 0; some finite or infinite number above. */
VEC_INLINE vec vec_expm1_negative(vec x)
{
    struct vec_exp e = vec_exp_split(x);
    return vec_fma(e.scale, e.q, e.scale - vec_set(1.0f));
}

/* Some vectors go step by step side by side, not one after the other: their long chains would fill
   the processor's scheduler with instructions that wait. */
enum { VEC_GROUP = 4 };

/* e[j] = e^-x[j] for -88 <= x <= 87, where no power of two overflows: it is added to the exponent.
   Terms are paired, for a short chain; relative error 3e-9 before rounding. */
VEC_INLINE void vec_exp_minus(vec *e, const vec *x, size_t n)
{
    const float round = 12582912.0f; /* as above */
    vec shifted[VEC_GROUP], r[VEC_GROUP], square[VEC_GROUP], high[VEC_GROUP], low[VEC_GROUP];
    VEC_EACH(j, n)
        shifted[j] = vec_fma(x[j], vec_set(-1.44269504f), vec_set(round));
    VEC_EACH(j, n) {
        vec power = shifted[j] - vec_set(round);
        r[j] = vec_fma(power, vec_set(-0.693147182f), -x[j]);
        r[j] = vec_fma(power, vec_set(1.90465421e-9f), r[j]);
    }
    VEC_EACH(j, n) {
        square[j] = r[j] * r[j];
        high[j] = vec_fma(r[j], vec_set(0.00836867094f), vec_set(0.0416682623f));
        high[j] = vec_fma(square[j], vec_set(0.00138208945f), high[j]);
        low[j] = vec_fma(r[j], vec_set(0.166665211f), vec_set(0.49999994f));
    }
    VEC_EACH(j, n)
        low[j] = vec_fma(square[j], high[j], low[j]);
    VEC_EACH(j, n)
        e[j] = vec_set(1.0f) + vec_fma(square[j], low[j], r[j]);
    VEC_EACH(j, n)
        e[j] = (vec)((vec_bits)e[j] + ((vec_bits)shifted[j] << 23));
}

/* x[j] = x[j] / (1 + e^-y[j]) of at most VEC_GROUP vectors. Below -88 it is some 1e-37. */
VEC_INLINE void vec_gate(vec *x, const vec *y, size_t n)
{
    vec e[VEC_GROUP], inside[VEC_GROUP];
    VEC_EACH(j, n)
        inside[j] = vec_at_most(vec_set(87.0f), vec_at_least(vec_set(-88.0f), y[j]));
    vec_exp_minus(e, inside, n);
    VEC_EACH(j, n)
        x[j] = vec_at_least(vec_set(-88.0f), x[j]) / (vec_set(1.0f) + e[j]);
}

VEC_INLINE vec vec_elu(vec x)
{
    return vec_select(x, vec_set(0.0f), x, vec_expm1_negative(x));
}

/* Klambauer et al. 2017, "Self-normalizing neural networks". */
VEC_INLINE vec vec_selu(vec x)
{
    const float scale = 1.05070098735548049342f;
    const float scale_alpha = 1.75809934084737685994f;
    vec below = vec_set(scale_alpha) * vec_expm1_negative(x);
    return vec_select(x, vec_set(0.0f), vec_set(scale) * x, below);
}

VEC_INLINE vec vec_tanh(vec x)
{
    vec m = vec_expm1_negative(vec_set(-2.0f) * vec_abs(x));
    return vec_copysign(m / (m + vec_set(2.0f)), x);
}

/* Phi(x) and the bell e^(-x^2 / 2) of the normal distribution. The tail Q(a) = Phi(-a), a = |x|, is
   the bell times a polynomial in (a - 3) / (a + 3) (relative error 1e-8 up to a = 14, where x Q(a)
   is below the smallest float). */
struct vec_normal {
    vec phi;
    vec bell;
};

VEC_INLINE struct vec_normal vec_normal(vec x)
{
    static const float tail[] = {0.121513948f,    -0.206402615f,  0.123225018f,    -0.0462133549f,
                                 0.00613219384f,  0.00290485821f, -0.00098414598f, -0.00034009706f,
                                 0.000115923387f, 5.41484151e-05f};
    vec a = vec_at_most(vec_set(14.0f), vec_abs(x));
    vec t = (a - vec_set(3.0f)) / (a + vec_set(3.0f));
    vec square = a * a;
    vec lost = vec_fma(a, a, -square); /* what rounding took from the square */
    vec bell = vec_exp(vec_set(-0.5f) * square);
    bell = vec_fma(bell * lost, vec_set(-0.5f), bell);
    vec q = bell * vec_poly(t, tail, 10);
    return (struct vec_normal){vec_select(x, vec_set(0.0f), vec_set(1.0f) - q, q), bell};
}

VEC_INLINE vec vec_gelu(vec x)
{
    return x * vec_normal(x).phi;
}

/* 0.5 x (1 + tanh(u)) = x / (1 + e^(-2u)), u = sqrt(2 / pi) (x + 0.044715 x^3). */
VEC_INLINE void vec_gelu_tanh(vec *x, size_t n)
{
    vec y[VEC_GROUP];
    VEC_EACH(j, n)
        y[j] = x[j] * vec_fma(x[j] * x[j], vec_set(0.0713548163f), vec_set(1.59576912f));
    vec_gate(x, y, n);
}

/* Those that are not gates. */
VEC_INLINE vec vec_plain_activation(enum activation activation, vec x)
{
    switch (activation) {
    case ACTIVATION_RELU:
        return vec_at_least(vec_set(0.0f), x);
    case ACTIVATION_ELU:
        return vec_elu(x);
    case ACTIVATION_SELU:
        return vec_selu(x);
    case ACTIVATION_GELU:
        return vec_gelu(x);
    case ACTIVATION_TANH:
        return vec_tanh(x);
    case ACTIVATION_SILU:
    case ACTIVATION_GELU_TANH:
    case ACTIVATION_NONE:
    case ACTIVATION_COUNT:
        break;
    }
    return x;
}

/* Of n vectors, at most VEC_GROUP. */
VEC_INLINE void vec_activations(enum activation activation, vec *x, size_t n)
{
    if (activation == ACTIVATION_SILU)
        vec_gate(x, x, n);
    else if (activation == ACTIVATION_GELU_TANH)
        vec_gelu_tanh(x, n);
    else
        VEC_EACH(j, n)
            x[j] = vec_plain_activation(activation, x[j]);
}

VEC_INLINE vec vec_activation(enum activation activation, vec x)
{
    vec_activations(activation, &x, 1);
    return x;
}

#endif
