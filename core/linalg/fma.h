/* Fused multiply-add of a small vector on any processor, for the plain kernels. */
#ifndef CORE_LINALG_FMA_H
#define CORE_LINALG_FMA_H

#include <float.h>
#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

typedef float fma_float4 __attribute__((vector_size(16)));
typedef double fma_double2 __attribute__((vector_size(16)));
typedef int64_t fma_bits2 __attribute__((vector_size(16)));
typedef int32_t fma_bits4 __attribute__((vector_size(16)));

#define FMA_INLINE static inline __attribute__((always_inline))

/* The first and the last two of four. */
FMA_INLINE fma_double2 fma_low(fma_float4 x)
{
#ifdef __SSE2__
    return (fma_double2)_mm_cvtps_pd((__m128)x);
#else
    return (fma_double2){(double)x[0], (double)x[1]};
#endif
}

FMA_INLINE fma_double2 fma_high(fma_float4 x)
{
#ifdef __SSE2__
    return (fma_double2)_mm_cvtps_pd(_mm_movehl_ps((__m128)x, (__m128)x));
#else
    return (fma_double2){(double)x[2], (double)x[3]};
#endif
}

FMA_INLINE fma_float4 fma_round(fma_double2 low, fma_double2 high)
{
#ifdef __SSE2__
    return (fma_float4)_mm_movelh_ps(_mm_cvtpd_ps((__m128d)low), _mm_cvtpd_ps((__m128d)high));
#else
    return (fma_float4){(float)low[0], (float)low[1], (float)high[0], (float)high[1]};
#endif
}

FMA_INLINE int fma_any(fma_bits4 mask)
{
#ifdef __SSE2__
    return _mm_movemask_epi8((__m128i)mask);
#else
    return (mask[0] | mask[1] | mask[2] | mask[3]) != 0;
#endif
}

/* product + c, rounded to odd: where the sum is not exact it is truncated (one step back if
   rounding took it away from zero) and its last bit is set. */
FMA_INLINE fma_double2 fma_to_odd(fma_double2 product, fma_double2 c)
{
    fma_double2 sum = product + c;
    fma_double2 part = sum - product;
    fma_double2 lost = (product - (sum - part)) + (c - part);
    fma_double2 sign = lost * sum; /* NaN where the sum is not finite: then nothing is done */
    fma_bits2 towards_zero = sign < 0;
    fma_bits2 inexact = towards_zero | (sign > 0);
    fma_bits2 bits = ((fma_bits2)sum + towards_zero) | (inexact & 1);
    return (fma_double2)bits;
}

/* a b + c, rounded once, whatever the numbers. A sum that was rounded to odd in double rounds to
   the right float (Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded sums: proved
   algorithms using rounding to odd"). */
FMA_INLINE fma_float4 fma4_hard(fma_float4 a, fma_float4 b, fma_float4 c)
{
    return fma_round(fma_to_odd(fma_low(a) * fma_low(b), fma_low(c)),
                     fma_to_odd(fma_high(a) * fma_high(b), fma_high(c)));
}

/* Where a double lies halfway between two normal floats: its last 29 bits are 1 and zeros. Compared
   as words, of which the upper one is never 1. */
FMA_INLINE fma_bits4 fma_ties(fma_double2 sum)
{
    const fma_bits2 rest = {0x1fffffff, 0x1fffffff};
    const fma_bits2 tie = {0x110000000, 0x110000000};
    return (fma_bits4)((fma_bits2)sum & rest) == (fma_bits4)tie;
}

/* a b + c, rounded once. The product of two floats is exact in double. Rounding the sum to double
   first, and then to float, can do harm only where the double lies halfway between two floats;
   among the smallest floats that is not looked into. */
FMA_INLINE fma_float4 fma4(fma_float4 a, fma_float4 b, fma_float4 c)
{
    fma_double2 low = fma_low(a) * fma_low(b) + fma_low(c);
    fma_double2 high = fma_high(a) * fma_high(b) + fma_high(c);
    fma_float4 sum = fma_round(low, high);
    fma_float4 size = (fma_float4)((fma_bits4)sum & INT32_MAX);
    fma_bits4 hard = fma_ties(low) | fma_ties(high) | (size <= FLT_MIN);
    if (__builtin_expect(fma_any(hard), 0))
        return fma4_hard(a, b, c);
    return sum;
}

#endif
