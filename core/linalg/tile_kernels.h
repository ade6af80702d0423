/* The variants of tile_kernels.c. Which are built: meson defines SIMD_HAVE_X for simd.c. */
#ifndef CORE_LINALG_TILE_KERNELS_H
#define CORE_LINALG_TILE_KERNELS_H

#include "core/linalg/simd.h"

extern const struct simd_kernels tile_kernels_avx512;
extern const struct simd_kernels tile_kernels_avx2;
extern const struct simd_kernels tile_kernels_neon;
extern const struct simd_kernels tile_kernels_plain;

#endif
