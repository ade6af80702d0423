/* Four fused multiply-adds on any processor, for the plain kernels. */
#ifndef CORE_LINALG_FMA_H
#define CORE_LINALG_FMA_H

#include <stdint.h>

typedef float fma_float4 __attribute__((vector_size(16)));
typedef double fma_double4 __attribute__((vector_size(32)));
typedef int64_t fma_bits4 __attribute__((vector_size(32)));

/* a b + c, rounded once to float, without fused hardware. The product is exact in double. The sum
   is rounded to odd in double, which makes the second rounding, to float, the correct one (Boldo
   and Melquiond 2008, "Emulation of FMA and correctly rounded sums: proved algorithms using
   rounding to odd"): where the sum was inexact and its last bit is even, step one double towards
   the error. */
static inline __attribute__((always_inline)) fma_float4 fma4(fma_float4 a, fma_float4 b,
                                                             fma_float4 c)
{
    fma_double4 product =
        __builtin_convertvector(a, fma_double4) * __builtin_convertvector(b, fma_double4);
    fma_double4 addend = __builtin_convertvector(c, fma_double4);
    fma_double4 sum = product + addend;
    fma_double4 part = sum - product;
    fma_double4 error = (product - (sum - part)) + (addend - part);
    fma_bits4 bits = (fma_bits4)sum;
    fma_bits4 inexact = (error > 0) | (error < 0); /* false for NaN: the sum is not finite */
    fma_bits4 even = (bits & 1) - 1;
    fma_bits4 step = ((error > 0) ^ (sum > 0)) | 1; /* 1 makes the magnitude larger, -1 smaller */
    bits += inexact & even & step;
    return __builtin_convertvector((fma_double4)bits, fma_float4);
}

#endif
