/* The vector type and the few operations that the tile kernels are written in. One width a build:
   TILE_AVX512, TILE_AVX2, TILE_NEON or TILE_PLAIN is set by meson. Every operation is exact or
   correctly rounded and the same in each width. Only tile_kernels.c and vec_math.h include this. */
#ifndef CORE_LINALG_VEC_H
#define CORE_LINALG_VEC_H

#include <stddef.h>
#include <stdint.h>

#if defined(TILE_AVX512)
#include <immintrin.h>
#define VEC_BYTES 64
#elif defined(TILE_AVX2)
#include <immintrin.h>
#define VEC_BYTES 32
#elif defined(TILE_NEON)
#include <arm_neon.h>
#define VEC_BYTES 16
#elif defined(TILE_PLAIN)
#include "core/linalg/fma.h"
#define VEC_BYTES 16
#else
#error "one of TILE_AVX512, TILE_AVX2, TILE_NEON and TILE_PLAIN must be defined"
#endif

typedef float vec __attribute__((vector_size(VEC_BYTES)));
typedef uint32_t vec_bits __attribute__((vector_size(VEC_BYTES)));

enum { VEC_LANES = VEC_BYTES / 4 };

/* Everything must be inlined: kernels are specialised by constant arguments. */
#define VEC_INLINE static inline __attribute__((always_inline))

/* Loops over a constant number of accumulators must vanish, or the accumulators live in memory. */
#if defined(__clang__)
#define VEC_UNROLL _Pragma("clang loop unroll(full)")
#else
#define VEC_UNROLL _Pragma("GCC unroll 16")
#endif

/* The head of such a loop. */
#define VEC_EACH(index, count)                                                                     \
    VEC_UNROLL                                                                                     \
    for (size_t index = 0; index < (count); index++)

VEC_INLINE vec vec_set(float value)
{
    return value - (vec){0};
}

VEC_INLINE vec vec_load(const float *from)
{
    return *(const vec *)from;
}

VEC_INLINE void vec_store(float *to, vec value)
{
    *(vec *)to = value;
}

/* Asks for a line of memory that will be read soon; any address may be given. */
VEC_INLINE void vec_prefetch(uintptr_t address)
{
    __builtin_prefetch((const void *)address);
}

/* a b + c, rounded once. */
VEC_INLINE vec vec_fma(vec a, vec b, vec c)
{
#if defined(TILE_AVX512)
    return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(TILE_AVX2)
    return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(TILE_NEON)
    return (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    return fma4(a, b, c);
#endif
}

/* a > b ? yes : no in each lane; a NaN is never greater. */
VEC_INLINE vec vec_select(vec a, vec b, vec yes, vec no)
{
#if defined(TILE_AVX512)
    __mmask16 mask = _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GT_OQ);
    return (vec)_mm512_mask_blend_ps(mask, (__m512)no, (__m512)yes);
#elif defined(TILE_AVX2)
    __m256 mask = _mm256_cmp_ps((__m256)a, (__m256)b, _CMP_GT_OQ);
    return (vec)_mm256_blendv_ps((__m256)no, (__m256)yes, mask);
#else
    vec_bits mask = (vec_bits)(a > b);
    return (vec)((mask & (vec_bits)yes) | (~mask & (vec_bits)no));
#endif
}

/* max(floor, x) and min(ceiling, x); a NaN in x stays. */
VEC_INLINE vec vec_at_least(vec floor, vec x)
{
#if defined(TILE_AVX512)
    return (vec)_mm512_max_ps((__m512)floor, (__m512)x);
#elif defined(TILE_AVX2)
    return (vec)_mm256_max_ps((__m256)floor, (__m256)x);
#else
    return vec_select(floor, x, floor, x);
#endif
}

VEC_INLINE vec vec_at_most(vec ceiling, vec x)
{
#if defined(TILE_AVX512)
    return (vec)_mm512_min_ps((__m512)ceiling, (__m512)x);
#elif defined(TILE_AVX2)
    return (vec)_mm256_min_ps((__m256)ceiling, (__m256)x);
#else
    return vec_select(x, ceiling, ceiling, x);
#endif
}

VEC_INLINE vec_bits vec_splat(uint32_t bits)
{
    return bits - (vec_bits){0};
}

VEC_INLINE vec vec_abs(vec x)
{
    return (vec)((vec_bits)x & vec_splat(0x7fffffffu));
}

/* |magnitude| with the sign of `sign`. */
VEC_INLINE vec vec_copysign(vec magnitude, vec sign)
{
    vec_bits top = vec_splat(0x80000000u);
    return (vec)(((vec_bits)magnitude & ~top) | ((vec_bits)sign & top));
}

#endif
