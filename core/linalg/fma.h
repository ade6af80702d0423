/* Fused multiply-add of a small vector on any processor, for the plain kernels. */
#ifndef CORE_LINALG_FMA_H
#define CORE_LINALG_FMA_H

#include <stdint.h>

typedef float fma_float4 __attribute__((vector_size(16)));
typedef float fma_float2 __attribute__((vector_size(8)));
typedef double fma_double2 __attribute__((vector_size(16)));
typedef int64_t fma_bits2 __attribute__((vector_size(16)));

/* a b + c, rounded to odd in double. The product of two floats is exact; where the sum is not, it
   is truncated (one step back if rounding took it away from zero) and its last bit is set. */
static inline __attribute__((always_inline)) fma_double2 fma_to_odd(fma_double2 a, fma_double2 b,
                                                                    fma_double2 c)
{
    fma_double2 product = a * b;
    fma_double2 sum = product + c;
    fma_double2 part = sum - product;
    fma_double2 lost = (product - (sum - part)) + (c - part);
    fma_double2 sign = lost * sum; /* NaN where the sum is not finite: then nothing is done */
    fma_bits2 towards_zero = sign < 0;
    fma_bits2 inexact = towards_zero | (sign > 0);
    fma_bits2 bits = ((fma_bits2)sum + towards_zero) | (inexact & 1);
    return (fma_double2)bits;
}

/* a b + c, rounded once. A sum that was rounded to odd in double rounds to the right float (Boldo
   and Melquiond 2008, "Emulation of FMA and correctly rounded sums: proved algorithms using
   rounding to odd"). */
static inline __attribute__((always_inline)) fma_float4 fma4(fma_float4 a, fma_float4 b,
                                                             fma_float4 c)
{
    fma_double2 low = fma_to_odd((fma_double2){(double)a[0], (double)a[1]},
                                 (fma_double2){(double)b[0], (double)b[1]},
                                 (fma_double2){(double)c[0], (double)c[1]});
    fma_double2 high = fma_to_odd((fma_double2){(double)a[2], (double)a[3]},
                                  (fma_double2){(double)b[2], (double)b[3]},
                                  (fma_double2){(double)c[2], (double)c[3]});
    fma_float2 low_float = __builtin_convertvector(low, fma_float2);
    fma_float2 high_float = __builtin_convertvector(high, fma_float2);
    return (fma_float4){low_float[0], low_float[1], high_float[0], high_float[1]};
}

#endif
